import { createRxDatabase } from "rxdb";
import { getRxStorageMemory } from "rxdb/plugins/storage-memory";
import { replicate } from "../adapters/rxdb";
import type { Task } from "../adapters/tasks";
import type { Make } from "../device";

const text = { type: "string" } as const;
const textOrNull = { type: ["string", "null"] } as const;
const schema = {
  version: 0,
  primaryKey: "uid",
  type: "object",
  properties: {
    uid: { type: "string", maxLength: 64 },
    title: text,
    description: textOrNull,
    priority: text,
    tags: { type: "array", items: text },
    due_date: textOrNull,
    completed: { type: "boolean" },
    created_at: text,
    revision: { type: "number" },
    deleted_at: textOrNull,
  },
  required: ["uid", "title", "completed"],
  additionalProperties: false,
} as const;

export const make: Make = async (name, tasks, online, live) => {
  const database = await createRxDatabase({ name, storage: getRxStorageMemory(), multiInstance: false });
  const { rows } = await database.addCollections({ rows: { schema: { ...schema } as never } });
  const replication = replicate(rows as never, tasks, live, 50);
  const found = async (uid: string) => (await rows!.findOne(uid).exec())!;
  return {
    create: async (task) => void (await rows!.insert(task)),
    edit: async (uid, fields) => void (await (await found(uid)).incrementalPatch(fields)),
    remove: async (uid) => void (await (await found(uid)).incrementalRemove()),
    sync: async () => {
      if (!online()) return;
      replication.reSync();
      await replication.awaitInSync();
    },
    tasks: async () => (await rows!.find().exec()).map((document) => document.toMutableJSON() as Task),
    close: async () => void (await database.close()),
  };
};
