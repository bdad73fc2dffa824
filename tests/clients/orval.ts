// A client of orval, generated into api/tasks.ts: one function for each operation, its result a union by status.
import assert from "node:assert/strict";
import { completeTask, createTask, deleteTask, getTask, listTasks, runBatch, updateTask } from "./api/tasks";

const { TOKEN = "" } = process.env;
const withHeaders = (headers: Record<string, string> = {}) => ({
  headers: { Authorization: `Bearer ${TOKEN}`, ...headers },
});

const created = await createTask("me", { title: "Buy milk" }, withHeaders());
assert(created.status === 201);
assert.equal(created.data.completed, false);
console.log("create", created.status);
const { id } = created.data;
const firstTag = created.headers.get("ETag") ?? "";

await createTask("me", { title: "Call Ada", priority: "HIGH", tags: ["work"] }, withHeaders());
await createTask("me", { title: "Sort photos", priority: "LOW" }, withHeaders());
const listed = await listTasks("me", { priority: ["HIGH", "LOW"], sort: "title" }, withHeaders());
assert(listed.status === 200);
assert.deepEqual(listed.data.map((task) => task.title), ["Call Ada", "Sort photos"]);
console.log("list", listed.status);

const known = listed.headers.get("ETag") ?? "";
const unchanged = await listTasks(
  "me",
  { priority: ["HIGH", "LOW"], sort: "title" },
  withHeaders({ "If-None-Match": known }),
);
console.log("unchanged", unchanged.status);

const due_date = new Date("2026-12-01T10:00:00Z").toISOString();
const updated = await updateTask("me", id, { title: "Buy oat milk", due_date }, withHeaders({ "If-Match": firstTag }));
assert(updated.status === 200);
assert.equal(updated.data.title, "Buy oat milk");
console.log("update", updated.status);

const completed = await completeTask("me", id, { completed: true }, withHeaders());
assert(completed.status === 200);
assert.equal(completed.data.completed, true);
console.log("complete", completed.status);

const stale = await updateTask("me", id, { title: "Buy soy milk" }, withHeaders({ "If-Match": firstTag }));
assert(stale.status === 412);
assert.equal(stale.data.code, "stale_revision");
console.log("stale", stale.status);

const invalid = await createTask("me", { title: " " }, withHeaders());
assert(invalid.status === 422);
assert.deepEqual(invalid.data.errors, [{ field: "title", message: "Must not be blank" }]);
console.log("invalid", invalid.status);

const deleted = await deleteTask("me", id, withHeaders());
console.log("delete", deleted.status);

const missing = await getTask("me", id, withHeaders());
assert(missing.status === 404);
assert.equal(missing.data.code, "task_not_found");
console.log("missing", missing.status);

const operations: Parameters<typeof runBatch>[1]["operations"] = [
  { op: "put", uid: "made-offline", data: { title: "Buy tea" } },
  { op: "patch", uid: "made-offline", base: 0, data: { completed: true } },
  { op: "delete", id: created.data.id },
];
const batch = await runBatch("me", { operations }, withHeaders());
assert(batch.status === 200);
assert.deepEqual(batch.data.results.map((result) => result.task?.title), ["Buy tea", "Buy tea", "Buy oat milk"]);
console.log("batch", batch.status);

const nothing = { op: "patch", uid: "never-made", data: {} } as const;
const refused = await runBatch("me", { operations: [nothing] }, withHeaders());
assert(refused.status === 409);
assert.deepEqual(refused.data.results.map((result) => result.status), ["missing"]);
console.log("refused", refused.status);
