// Runs Better Auth servers on 127.0.0.1 for as long as stdin is open: one command of JSON per line in, one answer per line out.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { json } from "node:stream/consumers";
import { oauthProvider } from "@better-auth/oauth-provider";
import { betterAuth } from "better-auth";
import { memoryAdapter } from "better-auth/adapters/memory";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { admin, bearer, jwt } from "better-auth/plugins";
import { SignJWT } from "jose";
import pg from "pg";

const CLIENTS = "client.example.org"; // where the tests' OAuth clients would be
const PLUGINS = { admin, bearer, jwt: jwtOf, oauth: oauthProvider };
const TABLES = ["user", "session", "account", "verification", "jwks"];
const TABLES_OF_OAUTH = ["Client", "Resource", "ClientResource", "RefreshToken", "AccessToken", "Consent", "ClientAssertion"];
TABLES.push(...TABLES_OF_OAUTH.map((name) => `oauth${name}`));
const servers = new Map();
const deliveries = []; // bodies of what Better Auth sent to those clients

const { fetch } = globalThis;
globalThis.fetch = async (url, options) => {
  if (new URL(url).hostname !== CLIENTS) return fetch(url, options);
  deliveries.push(Object.fromEntries(options.body));
  return new Response(null, { status: 204 });
};

// No address of a PostgreSQL: tables in memory. `null`: no database at all, which Better Auth calls stateless.
function databaseOf(address) {
  if (address === null) return {};
  return { database: address ? new pg.Pool(address) : memoryAdapter(Object.fromEntries(TABLES.map((name) => [name, []]))) };
}

// Functions cannot be sent as JSON: `payload` adds claims, or is "session" for everything; `subject` is a column of the user.
function jwtOf({ payload, subject, ...given }) {
  const definePayload = ({ user, session }) => (payload === "session" ? { user, session } : { ...payload, email: user.email });
  const getSubject = ({ user }) => user[subject];
  return jwt({ ...given, jwt: { ...given.jwt, ...(payload && { definePayload }), ...(subject && { getSubject }) } });
}

function optionsOf({ options, plugins, database }, origin, mail) {
  const send = async ({ url, token, newEmail, user }) => {
    mail.push({ url, token, email: newEmail ?? user.email });
  };
  const { user, ...rest } = options;
  return {
    baseURL: origin,
    telemetry: { enabled: false },
    rateLimit: { enabled: false },
    logger: { level: "error" },
    emailAndPassword: { enabled: true },
    emailVerification: { sendOnSignUp: true, sendVerificationEmail: send },
    user: { changeEmail: { enabled: true, sendChangeEmailConfirmation: send }, deleteUser: { enabled: true }, ...user },
    ...databaseOf(database),
    plugins: Object.entries(plugins).map(([name, given]) => PLUGINS[name](given)),
    ...rest,
  };
}

// What only a test asks for: the mail that was sent, and what clients were told, a token as a hand-written bridge makes it, keys past their time.
function controlsOf(auth, secret, mail) {
  return {
    "/test/mail": async () => mail,
    "/test/deliveries": async () => deliveries,
    "/test/sign": async ({ header, payload }) => ({
      token: await new SignJWT(payload)
        .setProtectedHeader({ alg: "HS256", ...header })
        .setIssuedAt()
        .setExpirationTime("15m")
        .sign(new TextEncoder().encode(secret)),
    }),
    "/test/expire-keys": async ({ seconds }) => {
      const { adapter } = await auth.$context;
      for (const { id } of await adapter.findMany({ model: "jwks" })) {
        const update = { expiresAt: new Date(Date.now() - seconds * 1000) };
        await adapter.update({ model: "jwks", where: [{ field: "id", value: id }], update });
      }
      return {};
    },
  };
}

async function start(config) {
  const server = createServer();
  await new Promise((resolve, reject) => {
    server.once("error", reject).listen(config.port ?? 0, "127.0.0.1", resolve);
  });
  const { port } = server.address();
  const mail = [];
  const options = optionsOf(config, `http://127.0.0.1:${port}`, mail);
  if (config.database) await (await getMigrations(options)).runMigrations();
  const auth = betterAuth(options);
  const handler = toNodeHandler(auth);
  const controls = controlsOf(auth, options.secret, mail);
  server.on("request", async (request, response) => {
    const control = controls[request.url];
    if (!control) return handler(request, response);
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify(await control(await json(request))));
  });
  servers.set(port, { server, pool: config.database && options.database });
  return { port };
}

async function stop({ port }) {
  const { server, pool } = servers.get(port) ?? {};
  if (!server) return {};
  servers.delete(port);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await pool?.end();
  return {};
}

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...given } = JSON.parse(line);
  try {
    console.log(JSON.stringify(await { start, stop }[command](given)));
  } catch (error) {
    console.log(JSON.stringify({ error: String(error?.stack ?? error) }));
  }
}
process.exit();
