/** What the scenario does with a device, whatever keeps its tasks. */
import type { Live, Task, Tasks } from "./adapters/tasks";

export interface Device {
  create(task: Task): Promise<void>;
  edit(uid: string, fields: Partial<Task>): Promise<void>;
  remove(uid: string): Promise<void>;
  /** Send what waits and fetch what changed; fails, and loses nothing, while the device is offline. */
  sync(): Promise<void>;
  tasks(): Promise<Task[]>;
  close(): Promise<void>;
}

/** Makes a device that reaches the server by `tasks` while `online()`, and with `live` hears of what others wrote. */
export type Make = (name: string, tasks: Tasks, online: () => boolean, live?: Live) => Promise<Device>;

export async function until(reached: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 60_000;
  while (!(await reached())) {
    if (Date.now() > end) throw new Error("That state was not reached in a minute");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
