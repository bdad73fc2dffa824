import { syncState } from "@legendapp/state";
import { observablePersistAsyncStorage } from "@legendapp/state/persist-plugins/async-storage";
import { observableTasks } from "../adapters/legend-state";
import type { Task } from "../adapters/tasks";
import { type Make, until } from "../device";

export const make: Make = async (name, tasks, online, live) => {
  const kept = new Map<string, string>();
  const storage = {
    getAllKeys: async () => [...kept.keys()],
    multiGet: async (keys: string[]) => keys.map((key) => [key, kept.get(key) ?? null]),
    getItem: async (key: string) => kept.get(key) ?? null,
    setItem: async (key: string, value: string) => void kept.set(key, value),
    removeItem: async (key: string) => void kept.delete(key),
  };
  const plugin = observablePersistAsyncStorage({ AsyncStorage: storage as never });
  const options = {
    persist: { name, plugin, retrySync: true },
    retry: { infinite: true, delay: 50, backoff: "constant" },
  } as const;
  const rows = observableTasks(tasks, options, live);
  const state = syncState(rows);
  const held = () => (rows.peek() ?? {}) as Record<string, Task>;
  rows.onChange(() => {}); // what nobody observes is not synchronised
  await until(() => state.isPersistLoaded.peek());
  return {
    create: async (task) => void rows[task.uid]!.set(task),
    edit: async (uid, fields) => void rows[uid]!.assign(fields),
    remove: async (uid) => void rows[uid]!.delete(),
    sync: async () => {
      if (!online()) return;
      await until(() => state.isLoaded.peek() && state.numPendingSets.peek() === 0);
      void state.sync();
      await until(() => !state.isGetting.peek());
    },
    tasks: async () => Object.values(held()),
    close: async () => {},
  };
};
