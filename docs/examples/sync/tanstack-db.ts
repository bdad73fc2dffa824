import { type SyncConfig, createCollection } from "@tanstack/db";
import { type OfflineConfig, startOfflineExecutor } from "@tanstack/offline-transactions";
import type { Live, Task, Tasks } from "./tasks";

const OPERATIONS = { insert: "put", update: "patch", delete: "delete" } as const;
type Sync = SyncConfig<Task, string>["sync"];

export function offlineTasks(tasks: Tasks, options: Partial<OfflineConfig> = {}, live?: Live) {
  const held = new Map<string, Task>(); // the server's rows, without what waits to be sent
  let since = 0;
  let into!: Parameters<Sync>[0];
  const sync: SyncConfig<Task, string> = { rowUpdateMode: "full", sync: (given) => void (into = given).markReady() };
  const collection = createCollection<Task, string>({ id: "tasks", getKey: (row) => row.uid, startSync: true, sync });
  const pull = async (): Promise<void> => {
    const asked = since;
    const { changes, revision } = await tasks.changes(asked, () => held.values());
    if (since !== asked) return pull(); // another one was faster, and this answer may be older
    into.begin({ immediate: true });
    for (const row of changes.filter((each) => each.deleted_at === null || held.has(each.uid))) {
      into.write({ type: row.deleted_at !== null ? "delete" : held.has(row.uid) ? "update" : "insert", value: row });
      row.deleted_at === null ? held.set(row.uid, row) : held.delete(row.uid);
    }
    into.commit();
    since = revision;
  };
  const push: OfflineConfig["mutationFns"][string] = ({ transaction: { mutations } }) =>
    tasks.push(mutations.map(({ type, key, changes: data }) => ({ op: OPERATIONS[type], uid: key, data }))).then(pull);
  const config = { ...options, collections: { tasks: collection as never }, mutationFns: { push } };
  return { collection, pull, outbox: startOfflineExecutor(config), stop: live?.(tasks, pull) };
}
