// A client of openapi-fetch, with the types of openapi-typescript in api/schema.ts.
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./api/schema";

const { API_URL = "", TOKEN = "" } = process.env;
const client = createClient<paths>({ baseUrl: API_URL, headers: { Authorization: `Bearer ${TOKEN}` } });
const me = { path: { user_id: "me" } };

const created = await client.POST("/api/{user_id}/tasks", { params: me, body: { title: "Buy milk" } });
assert(created.data);
assert.equal(created.data.completed, false);
console.log("create", created.response.status);
const path = { user_id: "me", task_id: created.data.id };
const firstTag = created.response.headers.get("ETag") ?? "";

await client.POST("/api/{user_id}/tasks", { params: me, body: { title: "Call Ada", priority: "HIGH", tags: ["work"] } });
await client.POST("/api/{user_id}/tasks", { params: me, body: { title: "Sort photos", priority: "LOW" } });
const query = { priority: ["HIGH" as const, "LOW" as const], sort: "title" as const };
const listed = await client.GET("/api/{user_id}/tasks", { params: { ...me, query } });
assert.deepEqual(listed.data?.map((task) => task.title), ["Call Ada", "Sort photos"]);
console.log("list", listed.response.status);

const header = { "If-None-Match": listed.response.headers.get("ETag") ?? "" };
const unchanged = await client.GET("/api/{user_id}/tasks", { params: { ...me, query, header } });
assert.equal(unchanged.data, undefined);
console.log("unchanged", unchanged.response.status);

const updated = await client.PATCH("/api/{user_id}/tasks/{task_id}", {
  params: { path, header: { "If-Match": firstTag } },
  body: { title: "Buy oat milk", due_date: new Date("2026-12-01T10:00:00Z").toISOString() },
});
assert.equal(updated.data?.title, "Buy oat milk");
console.log("update", updated.response.status);

const completed = await client.PATCH("/api/{user_id}/tasks/{task_id}/complete", {
  params: { path },
  body: { completed: true },
});
assert.equal(completed.data?.completed, true);
console.log("complete", completed.response.status);

const stale = await client.PATCH("/api/{user_id}/tasks/{task_id}", {
  params: { path, header: { "If-Match": firstTag } },
  body: { title: "Buy soy milk" },
});
assert.equal(stale.error?.code, "stale_revision");
console.log("stale", stale.response.status);

const invalid = await client.POST("/api/{user_id}/tasks", { params: me, body: { title: " " } });
assert.deepEqual(invalid.error?.errors, [{ field: "title", message: "Must not be blank" }]);
console.log("invalid", invalid.response.status);

const deleted = await client.DELETE("/api/{user_id}/tasks/{task_id}", { params: { path } });
assert.equal(deleted.error, undefined);
console.log("delete", deleted.response.status);

const missing = await client.GET("/api/{user_id}/tasks/{task_id}", { params: { path } });
assert.equal(missing.error?.code, "task_not_found");
console.log("missing", missing.response.status);

const batch = await client.POST("/api/{user_id}/tasks/batch", {
  params: me,
  body: {
    operations: [
      { op: "put", uid: "made-offline", data: { title: "Buy tea" } },
      { op: "patch", uid: "made-offline", base: 0, data: { completed: true } },
      { op: "delete", id: created.data.id },
    ],
  },
});
assert.deepEqual(batch.data?.results.map((result) => result.task?.title), ["Buy tea", "Buy tea", "Buy oat milk"]);
console.log("batch", batch.response.status);

const refused = await client.POST("/api/{user_id}/tasks/batch", {
  params: me,
  body: { operations: [{ op: "patch", uid: "never-made", data: {} }] },
});
assert(refused.error && "results" in refused.error);
assert.deepEqual(refused.error.results.map((result) => result.status), ["missing"]);
console.log("refused", refused.response.status);
