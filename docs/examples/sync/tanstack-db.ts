import { type SyncConfig, createCollection } from "@tanstack/db";
import { type OfflineConfig, startOfflineExecutor } from "@tanstack/offline-transactions";
import type { Task, Tasks } from "./tasks";

const OPERATIONS = { insert: "put", update: "patch", delete: "delete" } as const;
type Sync = SyncConfig<Task, string>["sync"];

export function offlineTasks(tasks: Tasks, options: Partial<OfflineConfig> = {}) {
  const held = new Map<string, Task>(); // the server's rows, without what waits to be sent
  let since = 0;
  let into!: Parameters<Sync>[0];
  const sync: SyncConfig<Task, string> = { rowUpdateMode: "full", sync: (given) => void (into = given).markReady() };
  const collection = createCollection<Task, string>({ id: "tasks", getKey: (row) => row.uid, startSync: true, sync });
  const pull = async () => {
    const { changes, revision } = await tasks.changes(since, () => held.values());
    into.begin({ immediate: true });
    for (const row of changes.filter((each) => each.deleted_at === null || held.has(each.uid))) {
      into.write({ type: row.deleted_at !== null ? "delete" : held.has(row.uid) ? "update" : "insert", value: row });
      row.deleted_at === null ? held.set(row.uid, row) : held.delete(row.uid);
    }
    into.commit();
    since = revision;
  };
  const push: OfflineConfig["mutationFns"][string] = async ({ transaction: { mutations } }) => {
    await tasks.push(mutations.map(({ type, key, changes }) => ({ op: OPERATIONS[type], uid: key, data: changes })));
    await pull();
  };
  const collections = { tasks: collection as never };
  return { collection, pull, outbox: startOfflineExecutor({ ...options, collections, mutationFns: { push } }) };
}
