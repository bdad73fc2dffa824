/** Two devices of one person, on which the same things happen whatever keeps their tasks. */
import { createInterface } from "node:readline";
import { onlineManager } from "@tanstack/query-core";
import { type Task, Tasks } from "./adapters/tasks";
import type { Device, Make } from "./device";

const { API_URL: url = "", TOKEN: token = "" } = process.env;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Have something done to the server, by whoever runs this. */
async function ask(what: string): Promise<void> {
  console.log(what);
  await lines.next();
}

let reachable = true;
function setReachable(value: boolean): void {
  reachable = value;
  onlineManager.setOnline(value);
}

const { make } = (await import(`./devices/${process.argv[2]}.ts`)) as { make: Make };
const device = (name: string) => {
  const tasks = new Tasks(`${url}/api/me/tasks`, async () => {
    if (!reachable) throw new TypeError("The device is offline");
    return token;
  });
  return make(name, tasks, () => reachable);
};

function task(title: string): Task {
  const uid = crypto.randomUUID();
  const fields = { description: null, priority: "MEDIUM", tags: ["home"], due_date: null, completed: false };
  return { uid, title, ...fields, created_at: new Date().toISOString(), revision: 0, deleted_at: null };
}

const [phone, laptop] = [await device("phone"), await device("laptop")];
const bothSync = async () => {
  for (const each of [phone, laptop, phone, laptop]) await each.sync();
};
const found = async (each: Device, title: string) => {
  const row = (await each.tasks()).find((task) => task.title === title);
  if (!row) throw new Error(`No task ${title}`);
  return row.uid;
};

// created offline, on both
setReachable(false);
for (let number = 0; number < 150; number++) await phone.create(task(`phone ${number}`));
for (let number = 0; number < 50; number++) await laptop.create(task(`laptop ${number}`));
await phone.sync();
setReachable(true);
await bothSync();

// edited on both, deleted on one, and the server is restarted in between
setReachable(false);
const [shared, fought, deleted, gone] = await Promise.all(
  ["phone 0", "phone 1", "phone 2", "laptop 0"].map((title) => found(phone, title)),
);
await phone.edit(shared!, { title: "renamed on the phone" });
await laptop.edit(shared!, { completed: true });
await phone.edit(fought!, { title: "the phone's" });
await laptop.edit(fought!, { title: "the laptop's" });
await phone.remove(deleted!);
await laptop.edit(deleted!, { title: "edited too late" });
await laptop.remove(gone!);
await laptop.edit(await found(laptop, "laptop 1"), { tags: ["work", "now"], priority: "HIGH" });
await ask("stop");
setReachable(true); // it is the server that is away now
const waiting = phone.sync().catch(() => {});
await ask("start");
await waiting;
await bothSync();

// away for longer than deletions are remembered
setReachable(false);
await laptop.create(task("made meanwhile"));
await laptop.edit(await found(laptop, "laptop 2"), { title: "edited meanwhile" });
setReachable(true);
for (const title of ["phone 3", "phone 4", "laptop 3"]) await phone.remove(await found(phone, title));
await phone.sync();
await ask("purge");
await bothSync();

const held = JSON.stringify({ phone: await phone.tasks(), laptop: await laptop.tasks() });
await new Promise((resolve) => process.stdout.write(`${held}\n`, resolve));
process.exit(0);
