// The Better Auth server: e-mail and password, and the tokens that the service verifies. Its tables are in DATABASE_URL.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { jwt } from "better-auth/plugins";
import pg from "pg";

const database = new pg.Pool({ connectionString: process.env.DATABASE_URL });
database.on("error", ({ message }) => console.error(message)); // a connection that ends while it is idle

const auth = betterAuth({
  baseURL: process.env.BETTER_AUTH_URL, // the origin that the browser sees
  secret: process.env.BETTER_AUTH_SECRET,
  database,
  emailAndPassword: { enabled: true },
  plugins: [jwt()],
});

await (await getMigrations(auth.options)).runMigrations();
createServer(toNodeHandler(auth)).listen(Number(process.env.AUTH_PORT ?? 3000), "127.0.0.1");
