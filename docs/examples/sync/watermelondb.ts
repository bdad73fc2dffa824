import type { Database, DirtyRaw } from "@nozbe/watermelondb";
import { type SyncTableChangeSet, synchronize } from "@nozbe/watermelondb/sync";
import type { Operation, Task, Tasks } from "./tasks";
// a row of the table "tasks" has the members of a task but uid and deleted_at; tags are JSON, created_at is a number
const raw = ({ uid: id, tags, created_at, deleted_at, ...row }: Task): DirtyRaw =>
  ({ ...row, id, tags: JSON.stringify(tags), created_at: Date.parse(created_at) });
const task = ({ id, tags, created_at, _status, _changed, ...row }: DirtyRaw) =>
  ({ ...row, uid: id, tags: JSON.parse(tags), created_at: new Date(created_at).toJSON(), deleted_at: null }) as Task;
const edits = (row: DirtyRaw) =>
  Object.fromEntries(row["_changed"].split(",").map((name: keyof Task) => [name, task(row)[name]]));

let turn = Promise.resolve(); // WatermelonDB refuses a synchronisation during another
export function sync(database: Database, tasks: Tasks): Promise<void> {
  const held = async () => (await database.get("tasks").query().fetch()).map((model) => task(model._raw));
  return (turn = turn.catch(() => {}).then(() => synchronize({
    database, sendCreatedAsUpdated: true,
    pullChanges: async ({ lastPulledAt }) => {
      const { changes, revision } = await tasks.changes(lastPulledAt ?? 0, held);
      const updated = changes.filter((row) => !row.deleted_at).map(raw);
      const deleted = changes.filter((row) => row.deleted_at).map((row) => row.uid);
      return { changes: { tasks: { created: [], updated, deleted } }, timestamp: Math.max(revision, 1) };
    },
    pushChanges: async ({ changes }) => {
      const { created, updated, deleted } = (changes as Record<"tasks", SyncTableChangeSet>).tasks;
      const puts = created.map((row): Operation => ({ op: "put", uid: row["id"], data: task(row) }));
      const patches = updated.map((row): Operation => ({ op: "patch", uid: row["id"], data: edits(row) }));
      await tasks.push([...puts, ...patches, ...deleted.map((uid): Operation => ({ op: "delete", uid }))]);
    },
  })));
}
