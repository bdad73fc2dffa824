import type { RxCollection, WithDeleted } from "rxdb";
import { replicateRxCollection } from "rxdb/plugins/replication";
import { Observable } from "rxjs";
import { type Live, type Operation, type Task, type Tasks, edits } from "./tasks";

type Row = WithDeleted<Task>;
const row = (task: Task): Row => ({ ...task, _deleted: task.deleted_at !== null });

function operation(now: Row, before?: Row): Operation {
  if (now._deleted) return { op: "delete", uid: now.uid };
  return before ? { op: "patch", uid: now.uid, data: edits(before, now) } : { op: "put", uid: now.uid, data: now };
}

export function replicate(collection: RxCollection<Task>, tasks: Tasks, live?: Live, retryTime = 5000) {
  const held = async () => (await collection.find().exec()).map((document) => document.toMutableJSON());
  const pull = async (checkpoint?: { since: number }) => {
    const { changes, revision } = await tasks.changes(checkpoint?.since ?? 0, held);
    return { documents: changes.map(row), checkpoint: { since: revision } };
  };
  const push = async (rows: { newDocumentState: Row; assumedMasterState?: Row }[]) => {
    const results = await tasks.push(rows.map((each) => operation(each.newDocumentState, each.assumedMasterState)));
    const refused = rows.filter((_, at) => results[at]?.status !== "ok").map((each) => each.newDocumentState);
    return refused.map((document) => ({ ...document, _deleted: true })); // somebody else has deleted it
  };
  const stream$ = new Observable<"RESYNC">((to) => live?.(tasks, () => to.next("RESYNC")));
  const handlers = { pull: { handler: pull, stream$ }, push: { handler: push } };
  return replicateRxCollection({ collection, replicationIdentifier: tasks.url, retryTime, ...handlers });
}
