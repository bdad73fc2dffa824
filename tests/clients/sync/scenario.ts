/** Two devices of one person, on which the same things happen whatever keeps their tasks. */
import { createInterface } from "node:readline";
import { onlineManager } from "@tanstack/query-core";
import * as native from "./adapters/live-native";
import * as web from "./adapters/live";
import { type Live, type Task, Tasks } from "./adapters/tasks";
import { type Device, type Make, until } from "./device";

const { API_URL: url = "", TOKEN: token = "", OTHER_TOKEN: otherToken = "" } = process.env;
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Have something done to the server, by whoever runs this, and return what they say. */
async function ask(what: string): Promise<string> {
  console.log(what);
  return (await lines.next()).value;
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

/** With live updates, as somebody else: no device is told to fetch what the other one wrote. */
async function updates(): Promise<string> {
  const { live } = process.argv[2] === "watermelondb" ? native : web;
  const expiring = await ask("expiring"); // a token that is good for some seconds
  let renewed = false;
  const others = new Tasks(`${url}/api/me/tasks`, async () => (renewed ? otherToken : expiring));
  const connected = new Set<string>();
  const join = (name: string) => {
    const watched: Live = (tasks, pull) => live(tasks, () => (connected.add(name), pull()));
    return make(name, others, () => true, watched);
  };
  const both = () => until(() => connected.size === 2); // from then on, only an event says that there is something
  const [one, two] = [await join("one"), await join("two")];
  const arrives = (each: Device, title: string) =>
    until(async () => (await each.tasks()).some((task) => task.title === title));
  await both();
  await one.create(task("created on one"));
  await one.sync();
  await arrives(two, "created on one");
  renewed = true;
  await new Promise((resolve) => setTimeout(resolve, 500)); // until nothing is on its way
  connected.clear();
  await both(); // again, for the token has expired
  await two.edit(await found(two, "created on one"), { title: "edited on two" });
  await two.sync();
  await arrives(one, "edited on two");
  await one.remove(await found(one, "edited on two"));
  await one.sync();
  await until(async () => (await two.tasks()).length === 0);
  return "arrived";
}

const held = { phone: await phone.tasks(), laptop: await laptop.tasks() };
const ended = JSON.stringify({ held, live: await updates().catch(String) });
await new Promise((resolve) => process.stdout.write(`${ended}\n`, resolve));
process.exit(0);
