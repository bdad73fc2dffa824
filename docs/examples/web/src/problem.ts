/** An answer that is an error: `message` is for people, and `retryAfter` in seconds. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message = "The server does not answer",
    readonly retryAfter?: number,
  ) {
    super(message);
  }

  static of(response: Response, body?: { detail?: string }) {
    const seconds = Number(response.headers.get("Retry-After"));
    return new Problem(response.status, body?.detail, seconds || undefined);
  }
}

/** Whether it may go well the next time: no network, a server that is busy or away, too many requests. */
export function isTransient(error: Error): boolean {
  return error instanceof Problem ? error.status === 429 || error.status > 500 : error instanceof TypeError;
}

/** For every query and mutation of TanStack Query; each of ours may be sent again. */
export const patience = {
  retry: (failures: number, error: Error) => isTransient(error) || (failures < 2 && (error as Problem).status === 500),
  retryDelay: (failures: number, error: Error) =>
    error instanceof Problem && error.retryAfter ? error.retryAfter * 1000 : Math.min(1000 * 2 ** failures, 30_000),
};
