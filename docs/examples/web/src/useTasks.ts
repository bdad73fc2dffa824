import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import * as api from "./api";
import type { Fields, Held, Task } from "./api";
import { live } from "./live";
import { Problem } from "./problem";

/** What a person changes, and the task as they saw it when they began. */
export type Edit = { seen: Task; changes: Partial<Fields> };
export type Conflict = Edit & { now: Task };
export type Notice = { text: string; undo?: () => void };

class Clash extends Error {
  constructor(readonly conflict: Conflict) {
    super("Changed on another device");
  }
}

const KEY = ["tasks"];
const followers = new Map<string, number>(); // "uid:revision" → the revision that our own write made of it

async function save({ seen, changes }: Edit): Promise<Task> {
  let { uid, revision } = seen;
  for (let next; (next = followers.get(`${uid}:${revision}`)); ) revision = next;
  try {
    const task = await api.update(uid, revision, changes);
    if (task.revision > revision) followers.set(`${uid}:${revision}`, task.revision);
    return task;
  } catch (error) {
    if (!(error instanceof Problem && error.status === 412)) throw error;
  }
  const now = await api.read(uid);
  const fields = Object.keys(changes) as (keyof Fields)[];
  const disputed = (field: keyof Fields) => now[field] !== seen[field] && now[field] !== changes[field];
  if (fields.some(disputed)) throw new Clash({ seen, changes, now });
  return save({ seen: now, changes }); // the other device changed something else: both changes stay
}

/** The tasks, and everything that can be done to them. Each change shows at once, and is sent when that is possible. */
export function useTasks() {
  const client = useQueryClient();
  const [connected, setConnected] = useState(false);
  const [conflicts, setConflicts] = useState<Conflict[]>([]);
  const [notice, setNotice] = useState<Notice>();
  const held = () => client.getQueryData<Held>(KEY);
  const list = useQuery({ queryKey: KEY, queryFn: ({ signal }) => api.list(held(), signal) });

  /** Show something that the server has not confirmed; without its ETag, the next answer replaces it. */
  const show = (change: (tasks: Task[]) => Task[]) =>
    client.setQueryData<Held>(KEY, (old) => ({ tasks: change(old?.tasks ?? []) }));
  const patch = (uid: string, fields: Partial<Task>) =>
    show((tasks) => tasks.map((task) => (task.uid === uid ? { ...task, ...fields } : task)));

  useEffect(() => {
    const pull = (revision?: number) => {
      if (revision && held()?.etag?.includes(`"${revision}"`)) return; // our own write
      if (client.isMutating() === 0) void client.invalidateQueries({ queryKey: KEY }); // otherwise the last one does
    };
    return live(pull, setConnected);
  }, [client]);

  const shared = {
    scope: { id: "tasks" }, // one after the other: a task is created before it is changed
    onSettled: () => {
      if (client.isMutating() === 1) void client.invalidateQueries({ queryKey: KEY });
    },
  };
  const first = (change: () => void, notice?: Notice) => {
    void client.cancelQueries({ queryKey: KEY }); // an answer on its way would take the change off the screen again
    change();
    setNotice(notice);
  };
  const failed = (what: string) => (error: Error) => setNotice({ text: `${what}: ${error.message}` });

  const create = useMutation({
    ...shared,
    mutationFn: ({ uid, fields }: { uid: string; fields: Fields }) => api.create(uid, fields),
    onMutate: ({ uid, fields }) => first(() => show((tasks) => [draft(uid, fields), ...tasks])),
    onSuccess: (task) => {
      followers.set(`${task.uid}:0`, task.revision);
      patch(task.uid, { id: task.id, revision: task.revision });
    },
    onError: (error, { fields }) => failed(`“${fields.title}” was not created`)(error),
  });
  const update = useMutation({
    ...shared,
    mutationFn: save,
    onMutate: ({ seen, changes }) => first(() => patch(seen.uid, changes)),
    onSuccess: (task) => patch(task.uid, client.isMutating() === 1 ? task : { revision: task.revision }),
    onError: (error, { seen }) => {
      if (error instanceof Clash) setConflicts((others) => [...others, error.conflict]);
      else if ((error as Problem).status === 404) setNotice(gone(seen, `“${seen.title}” was deleted on another device`));
      else failed(`“${seen.title}” was not changed`)(error);
    },
  });
  const remove = useMutation({
    ...shared,
    mutationFn: (task: Task) => api.remove(task.uid),
    onMutate: (task) => {
      const without = () => show((tasks) => tasks.filter(({ uid }) => uid !== task.uid));
      return first(without, gone(task, `Deleted “${task.title}”`));
    },
    onError: (error, task) => failed(`“${task.title}” was not deleted`)(error),
  });
  const restore = useMutation({
    ...shared,
    mutationFn: (task: Task) => api.restore(task.uid),
    onMutate: (task) => {
      const added = () => show((tasks) => [...tasks, task].sort((a, b) => b.created_at.localeCompare(a.created_at)));
      return first(added, { text: `“${task.title}” is back` });
    },
    onError: (error, task) => failed(`“${task.title}” was not restored`)(error),
  });
  const gone = (task: Task, text: string): Notice => ({ text, undo: () => restore.mutate(task) });

  return {
    list,
    connected,
    notice,
    dismiss: () => setNotice(undefined),
    conflict: conflicts[0],
    create: (fields: Fields) => create.mutate({ uid: crypto.randomUUID(), fields }),
    update: (seen: Task, changes: Partial<Fields>) => update.mutate({ seen, changes }),
    remove: remove.mutate,
    resolve: ({ now, changes }: Conflict, mine: boolean) => {
      setConflicts(([, ...others]) => others);
      if (mine) update.mutate({ seen: now, changes });
    },
  };
}

function draft(uid: string, fields: Fields): Task {
  const now = new Date().toISOString();
  const empty = { id: 0, user_id: "me", description: null, tags: [], created_at: now, updated_at: now, revision: 0 };
  return { ...empty, uid, ...fields };
}
