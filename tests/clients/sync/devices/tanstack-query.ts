import { MutationObserver, QueryClient, QueryObserver, onlineManager } from "@tanstack/query-core";
import { type Held, KEY, configure } from "../adapters/tanstack-query";
import type { Operation } from "../adapters/tasks";
import { type Make, until } from "../device";

export const make: Make = async (_name, tasks, online, live) => {
  const client = new QueryClient({ defaultOptions: { mutations: { retryDelay: 50 } } });
  client.mount();
  configure(client, tasks, live);
  if (live) new QueryObserver(client, { queryKey: KEY }).subscribe(() => {}); // a screen that shows the tasks
  const send = (operation: Operation) => {
    new MutationObserver(client, { mutationKey: KEY }).mutate(operation as never).catch(() => {});
  };
  return {
    create: async (task) => send({ op: "put", uid: task.uid, data: task }),
    edit: async (uid, data) => send({ op: "patch", uid, data }),
    remove: async (uid) => send({ op: "delete", uid }),
    sync: async () => {
      if (!online()) return;
      await client.resumePausedMutations();
      await until(() => client.isMutating({ mutationKey: KEY }) === 0);
      await client.fetchQuery({ queryKey: KEY });
    },
    tasks: async () => Object.values(client.getQueryData<Held>(KEY)?.rows ?? {}),
    close: async () => client.unmount(),
  };
};
