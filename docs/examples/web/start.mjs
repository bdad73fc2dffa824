// Starts the service, Better Auth and the app; Ctrl-C ends all three. `node start.mjs preview` serves the app as built.
// Where DATABASE_URL and BETTER_AUTH_SECRET are set, both servers use them; otherwise those of the service's development.
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const { APP_PORT = "5173", AUTH_PORT = "3000", API_PORT = "8000" } = process.env;
const address = `http://localhost:${APP_PORT}`; // of all three, for the browser: vite.config.ts passes requests on
const api = `http://127.0.0.1:${API_PORT}`;
const project = new URL("../../../", import.meta.url);
const env = { BETTER_AUTH_URL: address, MIGRATE_ON_START: "true", ...process.env };
const running = new Set();
let ended = false;

function end() {
  if (ended) return;
  ended = true;
  for (const child of running) child.kill("SIGTERM");
}

function start(command, args, options) {
  // detached from the terminal, whose Ctrl-C would reach the service beside our own signal, and cut its ending short
  const child = spawn(command, args, { stdio: "inherit", env, detached: true, ...options });
  running.add(child);
  child.on("error", ({ message }) => console.error(message));
  child.on("close", end); // two of the three are of no use
}

async function answers(url) {
  while (!ended && !(await fetch(url).then((answer) => answer.ok, () => false))) await sleep(100);
  if (ended) process.exit(1);
}

process.on("SIGINT", end).on("SIGTERM", end);
start("uv", ["run", "litestar", "run", "--port", API_PORT], { cwd: project });
await answers(`${api}/health`);

if (!env.DATABASE_URL) {
  const socket = readFileSync(new URL(".dev/postgres/postmaster.pid", project), "utf8").split("\n")[4];
  env.DATABASE_URL = `postgresql://postgres@${encodeURIComponent(socket)}/postgres`;
  env.BETTER_AUTH_SECRET ??= readFileSync(new URL(".dev/secret", project), "utf8");
}
start(process.execPath, ["auth.mjs"]);
await answers(`http://127.0.0.1:${AUTH_PORT}/api/auth/ok`);
const types = ["node_modules/openapi-typescript/bin/cli.js", `${api}/openapi.json`, "--output", "src/schema.d.ts"];
spawnSync(process.execPath, types, { stdio: ["ignore", "ignore", "inherit"] });
start(process.execPath, ["node_modules/vite/bin/vite.js", ...process.argv.slice(2)]);
await answers(address);
console.log(`\n  The app is at ${address}\n`);
