import { Database, Model, appSchema, tableSchema } from "@nozbe/watermelondb";
import * as lokijs from "@nozbe/watermelondb/adapters/lokijs";
import { sync } from "../adapters/watermelondb";
import type { Task } from "../adapters/tasks";
import type { Make } from "../device";

// CommonJS with a default export, which bundlers resolve and Node does not
const LokiJSAdapter = (lokijs.default as never as typeof lokijs).default ?? lokijs.default;

class Row extends Model {
  static override table = "tasks";
}

const optional = { isOptional: true };
const schema = appSchema({
  version: 1,
  tables: [
    tableSchema({
      name: "tasks",
      columns: [
        { name: "title", type: "string" },
        { name: "description", type: "string", ...optional },
        { name: "priority", type: "string" },
        { name: "tags", type: "string" },
        { name: "due_date", type: "string", ...optional },
        { name: "completed", type: "boolean" },
        { name: "created_at", type: "number" },
        { name: "revision", type: "number" },
      ],
    }),
  ],
});

const columns = ({ tags, created_at, uid: _uid, deleted_at: _deleted, ...fields }: Partial<Task>) => ({
  ...fields,
  ...(tags && { tags: JSON.stringify(tags) }),
  ...(created_at && { created_at: Date.parse(created_at) }),
});

export const make: Make = async (name, tasks, online, live) => {
  const adapter = new LokiJSAdapter({ schema, dbName: name, useWebWorker: false, useIncrementalIndexedDB: false });
  const database = new Database({ adapter, modelClasses: [Row] });
  const rows = database.get<Row>("tasks");
  live?.(tasks, () => sync(database, tasks));
  const set = (row: Row, fields: Partial<Task>) => {
    for (const [column, value] of Object.entries(columns(fields))) row._setRaw(column as never, value as never);
  };
  return {
    create: async (task) => {
      await database.write(() =>
        rows.create((row) => {
          row._raw.id = task.uid;
          set(row, task);
        }),
      );
    },
    edit: async (uid, fields) => {
      const row = await rows.find(uid);
      await database.write(() => row.update(() => set(row, fields)));
    },
    remove: async (uid) => {
      const row = await rows.find(uid);
      await database.write(() => row.markAsDeleted());
    },
    sync: async () => {
      if (!online()) return;
      await sync(database, tasks);
      await sync(database, tasks); // what was sent comes back with its revision
    },
    tasks: async () =>
      (await rows.query().fetch()).map(({ _raw: { id, _status, _changed, ...raw } }: Row & { _raw: any }) => ({
        ...raw,
        uid: id,
        tags: JSON.parse(raw.tags),
        created_at: new Date(raw.created_at).toISOString(),
        deleted_at: null,
      })),
    close: async () => {},
  };
};
