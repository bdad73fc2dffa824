// Makes Better Auth's tables, as its own command does.
import { getMigrations } from "better-auth/db/migration";
import { jwt } from "better-auth/plugins";
import pg from "pg";

const database = new pg.Pool({ connectionString: process.env.DATABASE_URL });
await (await getMigrations({ database, emailAndPassword: { enabled: true }, plugins: [jwt()] })).runMigrations();
await database.end();
