import { EventSource } from "eventsource";
import { apiFetch } from "./auth";

/**
 * Call `pull` whenever the server may have something new: when connected, and when the user's revision moves on.
 * Comes back with a fresh token by itself. Returns a function that ends it.
 */
export function live(pull: (revision?: number) => void, onState: (connected: boolean) => void): () => void {
  let source: EventSource;
  async function open(url: RequestInfo | URL, init?: RequestInit) {
    const answer = await apiFetch(url, init);
    if (!answer.ok) throw new Error(`${answer.status}`); // thrown, so that it tries again after the server's `retry`
    return answer;
  }
  function connect() {
    source?.close();
    source = new EventSource("/api/me/events", { fetch: open });
    source.onopen = () => (onState(true), pull());
    source.onmessage = ({ data }) => pull(JSON.parse(data).revision);
    source.onerror = () => onState(false);
    source.addEventListener("expired", connect); // the token is; apiFetch has a new one
  }
  connect();
  addEventListener("online", connect); // rather than wait for the next attempt
  return () => {
    removeEventListener("online", connect);
    source.close();
  };
}
