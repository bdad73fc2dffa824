import { jwtClient } from "better-auth/client/plugins";
import { createAuthClient } from "better-auth/react";
import { decodeJwt } from "jose";
import { Problem } from "./problem";

export const authClient = createAuthClient({ plugins: [jwtClient()] });

let current: Promise<{ token: string; renewAt: number }> | undefined; // in memory, never in localStorage

async function fetchToken() {
  const asked = Date.now();
  const { data, error } = await authClient.token(); // GET /api/auth/token with the session's cookie
  if (error?.status === 401) authClient.$store.notify("$sessionSignal"); // signed out elsewhere: show the form
  if (error) throw new Problem(error.status === 401 ? 401 : 503, "Your sign-in cannot be checked right now");
  const { iat = 0, exp = 0 } = decodeJwt(data.token);
  return { token: data.token, renewAt: asked + (exp - iat) * 900 }; // at nine tenths of its life
}

/** The token that is there, or a new one if it ends soon or was refused. Calls at the same time share one request. */
export async function getToken(refused?: string): Promise<string> {
  const held = current;
  const known = await held?.catch(() => undefined);
  if (known && known.token !== refused && Date.now() < known.renewAt) return known.token;
  if (!current || current === held) current = fetchToken();
  return (await current).token;
}

/** fetch with the token. A request that is answered 401 is sent once more, with a new token. */
export async function apiFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  const again = request.clone(); // the body of a request can be sent only once
  const token = await getToken();
  request.headers.set("Authorization", `Bearer ${token}`);
  const response = await fetch(request);
  if (response.status !== 401) return response;
  again.headers.set("Authorization", `Bearer ${await getToken(token)}`);
  return fetch(again);
}
