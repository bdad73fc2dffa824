import { offlineTasks } from "../adapters/tanstack-db";
import { type Make, until } from "../device";

export const make: Make = async (_name, tasks, online, live) => {
  const kept = new Map<string, string>();
  const storage = {
    get: async (key: string) => kept.get(key) ?? null,
    set: async (key: string, value: string) => void kept.set(key, value),
    delete: async (key: string) => void kept.delete(key),
    keys: async () => [...kept.keys()],
    clear: async () => kept.clear(),
  };
  const listeners = new Set<() => void>();
  const onlineDetector = {
    subscribe: (listener: () => void) => (listeners.add(listener), () => void listeners.delete(listener)),
    notifyOnline: () => listeners.forEach((listener) => listener()),
    isOnline: online,
    dispose: () => listeners.clear(),
  };
  const leaderElection = {
    requestLeadership: async () => true,
    releaseLeadership: () => {},
    isLeader: () => true,
    onLeadershipChange: () => () => {},
  };
  const { collection, pull, outbox } = offlineTasks(
    tasks,
    { storage, onlineDetector, leaderElection, jitter: false },
    live,
  );
  await outbox.waitForInit();
  const write = (change: () => void) => {
    const transaction = outbox.createOfflineTransaction({ mutationFnName: "push", autoCommit: false });
    transaction.mutate(change);
    transaction.commit().catch(() => {});
  };
  return {
    create: async (task) => write(() => void collection.insert(task)),
    edit: async (uid, fields) => write(() => void collection.update(uid, (row) => void Object.assign(row, fields))),
    remove: async (uid) => write(() => void collection.delete(uid)),
    sync: async () => {
      if (!online()) return;
      onlineDetector.notifyOnline();
      await until(async () => (await outbox.peekOutbox()).length === 0);
      await pull();
    },
    tasks: async () => [...collection.values()].map((row) => ({ ...row })),
    close: async () => outbox.dispose(),
  };
};
