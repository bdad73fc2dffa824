import react from "@vitejs/plugin-react";
import { defineConfig, type ProxyOptions } from "vite";

const { APP_PORT = "5173", AUTH_PORT = "3000", API_PORT = "8000" } = process.env;

/** What a server that is away is answered with, as a proxy in production would. */
const away: ProxyOptions["configure"] = (proxy) =>
  void proxy.on("error", (_error, _request, answer) => "writeHead" in answer && answer.writeHead(503).end());

// one origin for all three: no CORS, no preflights, and the session's cookie is first-party
const proxy = {
  "/api/auth": { target: `http://127.0.0.1:${AUTH_PORT}`, configure: away },
  "/api": { target: `http://127.0.0.1:${API_PORT}`, configure: away },
};
const server = { port: Number(APP_PORT), strictPort: true, proxy };

export default defineConfig({ plugins: [react()], server, preview: server });
