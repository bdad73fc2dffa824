// A client of @hey-api/openapi-ts, generated into api/.
import assert from "node:assert/strict";
import { completeTask, createTask, deleteTask, getTask, listTasks, runBatch, updateTask } from "./api";
import { client } from "./api/client.gen";

const { API_URL = "", TOKEN = "" } = process.env;
client.setConfig({ baseUrl: API_URL, auth: TOKEN });
const me = { user_id: "me" };

const created = await createTask({ path: me, body: { title: "Buy milk" } });
assert(created.data);
assert.equal(created.data.completed, false);
console.log("create", created.response?.status);
const path = { user_id: "me", task_id: created.data.id };
const firstTag = created.response?.headers.get("ETag") ?? "";

await createTask({ path: me, body: { title: "Call Ada", priority: "HIGH", tags: ["work"] } });
await createTask({ path: me, body: { title: "Sort photos", priority: "LOW" } });
const listed = await listTasks({ path: me, query: { priority: ["HIGH", "LOW"], sort: "title" } });
assert.deepEqual(listed.data?.map((task) => task.title), ["Call Ada", "Sort photos"]);
console.log("list", listed.response?.status);

const unchanged = await listTasks({
  path: me,
  query: { priority: ["HIGH", "LOW"], sort: "title" },
  headers: { "If-None-Match": listed.response?.headers.get("ETag") ?? "" },
});
assert.equal(unchanged.data, undefined);
console.log("unchanged", unchanged.response?.status);

const updated = await updateTask({
  path,
  headers: { "If-Match": firstTag },
  body: { title: "Buy oat milk", due_date: new Date("2026-12-01T10:00:00Z").toISOString() },
});
assert.equal(updated.data?.title, "Buy oat milk");
console.log("update", updated.response?.status);

const completed = await completeTask({ path, body: { completed: true } });
assert.equal(completed.data?.completed, true);
console.log("complete", completed.response?.status);

const stale = await updateTask({ path, headers: { "If-Match": firstTag }, body: { title: "Buy soy milk" } });
assert.equal(stale.error?.code, "stale_revision");
console.log("stale", stale.response?.status);

const invalid = await createTask({ path: me, body: { title: " " } });
assert.deepEqual(invalid.error?.errors, [{ field: "title", message: "Must not be blank" }]);
console.log("invalid", invalid.response?.status);

const deleted = await deleteTask({ path });
assert.equal(deleted.error, undefined);
console.log("delete", deleted.response?.status);

const missing = await getTask({ path });
assert.equal(missing.error?.code, "task_not_found");
console.log("missing", missing.response?.status);

const batch = await runBatch({
  path: me,
  body: {
    operations: [
      { op: "put", uid: "made-offline", data: { title: "Buy tea" } },
      { op: "patch", uid: "made-offline", base: 0, data: { completed: true } },
      { op: "delete", id: created.data.id },
    ],
  },
});
assert.deepEqual(batch.data?.results.map((result) => result.task?.title), ["Buy tea", "Buy tea", "Buy oat milk"]);
console.log("batch", batch.response?.status);

const refused = await runBatch({ path: me, body: { operations: [{ op: "patch", uid: "never-made", data: {} }] } });
assert(refused.error && "results" in refused.error);
assert.deepEqual(refused.error.results.map((result) => result.status), ["missing"]);
console.log("refused", refused.response?.status);
