import { EventSource } from "eventsource";
import { type Live, oneAtATime } from "./tasks";

/** For browsers and Node. Browsers' own EventSource cannot send a token; this one takes any fetch. */
export const live: Live = (tasks, pull) => {
  const hint = oneAtATime(pull, () => source.readyState === source.CLOSED);
  const source = new EventSource(tasks.events, {
    fetch: async (url, init) => {
      const token = await tasks.token(); // for each connection: the last one may have ended because its token had
      const answer = await fetch(url, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}` } });
      if (answer.ok) return answer;
      await new Promise((resolve) => setTimeout(resolve, Number(answer.headers.get("Retry-After")) * 1000));
      throw new Error(`${answer.status}`); // returned, it would be the end; thrown, it is tried again
    },
  });
  source.onopen = source.onmessage = hint; // connected: something may have been missed
  return () => source.close();
};
