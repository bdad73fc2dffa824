/** Stands in for `expo/fetch`, which runs on phones only: Node's fetch, with the parameters that Expo's takes. */
interface FetchRequestInit {
  body?: BodyInit | null;
  credentials?: RequestCredentials;
  headers?: HeadersInit;
  method?: string;
  signal?: AbortSignal | null;
  redirect?: RequestRedirect;
}

export const fetch = (url: string | URL, init?: FetchRequestInit): Promise<Response> => globalThis.fetch(url, init);
