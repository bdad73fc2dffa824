import { observable } from "@legendapp/state";
import { syncedCrud } from "@legendapp/state/sync-plugins/crud";
import { type Live, type Operation, type Task, type Tasks, task } from "./tasks";

type Options = Pick<Parameters<typeof syncedCrud<Task>>[0], "persist" | "retry">;

export function observableTasks(tasks: Tasks, options: Options, live?: Live) {
  const push = async (operation: Operation) => {
    const [result] = await tasks.push([operation]);
    return result?.task && task(result.task);
  };
  return observable(
    syncedCrud<Task>({
      ...options,
      as: "object", fieldId: "uid",
      fieldCreatedAt: "revision", // 0 until the server has had it
      fieldUpdatedAt: "revision",
      fieldDeleted: "deleted_at",
      changesSince: "last-sync",
      ...(live && { subscribe: ({ refresh }) => live(tasks, refresh) }),
      mode: "assign", // what was made before the first answer stays
      updatePartial: true,
      list: ({ lastSync = 0, value }) =>
        tasks.changes(lastSync, () => Object.values(value ?? {})).then(({ changes }) => changes),
      create: (row) => push({ op: "put", uid: row.uid, data: row }),
      update: ({ uid, ...data }) => push({ op: "patch", uid: uid!, data }),
      delete: ({ uid }) => push({ op: "delete", uid }),
    }),
  );
}
