import { EventSource } from "eventsource";
import { apiFetch } from "./auth";

/**
 * Call `pull` whenever the server may have something new: when connected, and when the user's revision moves on.
 * Comes back with a fresh token by itself. Returns a function that ends it.
 */
export function live(pull: (revision?: number) => void, onState: (connected: boolean) => void): () => void {
  let source: EventSource | undefined;
  async function open(url: RequestInfo | URL, init?: RequestInit) {
    const answer = await apiFetch(url, init);
    if (answer.ok) return answer;
    await new Promise((resolve) => setTimeout(resolve, Number(answer.headers.get("Retry-After")) * 1000));
    throw new Error(`${answer.status}`); // returned, it would be the end; thrown, it is tried again
  }
  function connect() {
    source?.close();
    onState(false);
    if (document.hidden) return; // browsers have six connections to a server, for all tabs together
    source = new EventSource("/api/me/events", { fetch: open });
    source.onopen = () => (onState(true), pull());
    source.onmessage = ({ data }) => pull(JSON.parse(data).revision);
    source.onerror = () => onState(false);
    source.addEventListener("expired", connect); // the token is; apiFetch has a new one
  }
  connect();
  addEventListener("online", connect); // rather than wait for the next attempt
  document.addEventListener("visibilitychange", connect);
  return () => {
    removeEventListener("online", connect);
    document.removeEventListener("visibilitychange", connect);
    source?.close();
  };
}
