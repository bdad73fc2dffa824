import type { QueryClient } from "@tanstack/query-core";
import type { Live, Operation, Task, Tasks } from "./tasks";

export const KEY = ["tasks"];
export type Held = { revision: number; rows: Record<string, Task> };

/** The query KEY asks for what changed; the mutation KEY sends an operation, in its turn, and waits while offline. */
export function configure(client: QueryClient, tasks: Tasks, live?: Live) {
  const held = () => client.getQueryData<Held>(KEY) ?? { revision: 0, rows: {} };
  const merged = (changes: Task[]) => {
    const rows = { ...held().rows, ...Object.fromEntries(changes.map((row) => [row.uid, row])) };
    return Object.fromEntries(Object.entries(rows).filter(([, row]) => row.deleted_at === null));
  };
  const queryFn = async () => {
    const { changes, revision } = await tasks.changes(held().revision, () => Object.values(held().rows));
    return { revision, rows: merged(changes) };
  };
  client.setQueryDefaults(KEY, { queryFn });
  client.setMutationDefaults(KEY, {
    scope: { id: "tasks" }, retry: true,
    mutationFn: (operation: Operation) => tasks.push([operation]),
    onMutate: async ({ op, uid, data }: Operation) => {
      await client.cancelQueries({ queryKey: KEY }); // an answer from before would take the change off the screen
      const row = { ...held().rows[uid], ...data, deleted_at: op === "delete" ? "now" : null } as Task;
      client.setQueryData<Held>(KEY, { ...held(), rows: merged([row]) });
    },
    onSettled: () => client.invalidateQueries({ queryKey: KEY }),
  });
  return live?.(tasks, () => client.isMutating({ mutationKey: KEY }) || client.invalidateQueries({ queryKey: KEY }));
}
