import { createParser } from "eventsource-parser";
import { fetch } from "expo/fetch"; // React Native's own cannot read an answer before its end
import { type Live, oneAtATime } from "./tasks";

/** The same for React Native, which lacks what EventSource is made of. */
export const live: Live = (tasks, pull) => {
  const end = new AbortController();
  const hint = oneAtATime(pull, () => end.signal.aborted);
  let [wait, longer] = [3000, 0];
  const onRetry = (milliseconds: number) => void (wait = milliseconds);
  const parser = createParser({ onEvent: ({ event }) => void (event ?? hint()), onRetry });
  const read = async () => {
    const headers = { accept: "text/event-stream", authorization: `Bearer ${await tasks.token()}` };
    const answer = await fetch(tasks.events, { headers, signal: end.signal });
    longer = Number(answer.headers.get("Retry-After")) * 1000;
    if (!answer.ok || !answer.body) return;
    hint(); // connected: something may have been missed
    parser.reset();
    const [reader, decoder] = [answer.body.getReader(), new TextDecoder()];
    for (let part; !(part = await reader.read()).done; ) parser.feed(decoder.decode(part.value, { stream: true }));
  };
  const stay = async () => {
    while (!end.signal.aborted) {
      await read().catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, wait + longer));
    }
  };
  void stay();
  return () => end.abort();
};
