import createClient from "openapi-fetch";
import { apiFetch } from "./auth";
import { Problem } from "./problem";
import type { components, paths } from "./schema";

export type Task = components["schemas"]["Task"];
export type Fields = Pick<Task, "title" | "priority" | "due_date" | "completed">;
export type Held = { tasks: Task[]; etag?: string | undefined };

export const PRIORITIES = ["HIGH", "MEDIUM", "LOW"] as const;

const api = createClient<paths>({ fetch: apiFetch }); // no baseUrl: the page's own origin
const me = { user_id: "me" };
const one = (uid: string) => ({ path: { ...me, task_id: uid } });

function taken<T>({ data, error, response }: { data?: T; error?: { detail?: string }; response: Response }): T {
  if (!response.ok) throw Problem.of(response, error);
  return data as T;
}

/** Every task, newest first: what is held already if nothing has changed since, which costs the server next to nothing. */
export async function list(held: Held | undefined, signal: AbortSignal): Promise<Held> {
  const tasks: Task[] = [];
  const header = held?.etag ? { "If-None-Match": held.etag } : {};
  for (let cursor: string | undefined, etag: string | undefined; ; ) {
    const query = cursor ? { cursor } : {};
    const answer = await api.GET("/api/{user_id}/tasks", { params: { path: me, query, header }, signal });
    if (held && answer.response.status === 304) return held;
    tasks.push(...taken(answer));
    etag ??= answer.response.headers.get("ETag") ?? undefined;
    const next = /<([^>]+)>; rel="next"/.exec(answer.response.headers.get("Link") ?? "")?.[1];
    if (!next) return { tasks, etag };
    cursor = new URL(next, location.href).searchParams.get("cursor")!;
  }
}

/** May be sent again, as often as it takes: there will be one task of that uid. */
export async function create(uid: string, body: Fields): Promise<Task> {
  const params = { path: me, header: { "Idempotency-Key": uid } };
  return taken(await api.POST("/api/{user_id}/tasks", { params, body }));
}

/** Write only if nobody else has since that revision; otherwise a Problem with status 412. */
export async function update(uid: string, revision: number, body: Partial<Fields>): Promise<Task> {
  const params = { ...one(uid), header: { "If-Match": `"${revision}"` } };
  return taken(await api.PATCH("/api/{user_id}/tasks/{task_id}", { params, body }));
}

export async function read(uid: string): Promise<Task> {
  return taken(await api.GET("/api/{user_id}/tasks/{task_id}", { params: one(uid) }));
}

export async function remove(uid: string): Promise<void> {
  const answer = await api.DELETE("/api/{user_id}/tasks/{task_id}", { params: one(uid) });
  if (answer.response.status !== 404) taken(answer); // somebody has, or we have and did not hear of it
}

export async function restore(uid: string): Promise<Task> {
  return taken(await api.POST("/api/{user_id}/tasks/{task_id}/restore", { params: one(uid) }));
}
