// A client of axios in its default configuration, which writes an array as priority[]=HIGH&priority[]=LOW.
import assert from "node:assert/strict";
import axios from "axios";

const { API_URL, TOKEN } = process.env;
const api = axios.create({ baseURL: `${API_URL}/api/me`, headers: { Authorization: `Bearer ${TOKEN}` } });

await api.post("/tasks", { title: "Buy milk" });
await api.post("/tasks", { title: "Call Ada", priority: "HIGH" });
await api.post("/tasks", { title: "Sort photos", priority: "LOW" });
const listed = await api.get("/tasks", { params: { priority: ["HIGH", "LOW"], sort: "title" } });
assert.match(decodeURIComponent(listed.request.path), /priority\[\]=HIGH&priority\[\]=LOW/);
assert.deepEqual(listed.data.map((task) => task.title), ["Call Ada", "Sort photos"]);
console.log("list", listed.status);
