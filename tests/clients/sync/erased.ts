/** A person whose account is erased while a device copies their tasks, between the first page and the second. */
import { type Operation, Tasks } from "./adapters/tasks";

const { API_URL: url = "", TOKEN: token = "" } = process.env;
const tasks = new Tasks(`${url}/api/me/tasks`, async () => token);
const operations = Array.from({ length: 600 }, (_, number): Operation => {
  return { op: "put", uid: crypto.randomUUID(), data: { title: `task ${number}` } };
});
const real = fetch;
let toBeErased = false;
let erased = 0;
globalThis.fetch = async (address, options) => {
  const answer = await real(String(address).replace("limit=5000", "limit=500"), options); // two pages of few tasks
  if (toBeErased && erased === 0 && String(address).includes("since=0")) {
    erased = (await real(`${url}/api/me`, { method: "DELETE", headers: { authorization: `Bearer ${token}` } })).status;
  }
  return answer;
};
await tasks.push(operations);
const { changes: held } = await tasks.changes(0, () => []);
toBeErased = true;
const { changes, revision } = await tasks.changes(1, () => held); // told 410, so it copies everything
const deleted = changes.filter((row) => row.deleted_at !== null);
console.log(JSON.stringify({ held: held.length, erased, changes: changes.length, deleted: deleted.length, revision }));
