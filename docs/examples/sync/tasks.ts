/** A task as a device keeps it: its name is made on the device that creates it. */
export type Task = {
  uid: string;
  title: string;
  description: string | null;
  priority: string;
  tags: string[];
  due_date: string | null;
  completed: boolean;
  created_at: string;
  /** 0 until the server has answered. */
  revision: number;
  deleted_at: string | null;
};

export type Operation = { op: "put" | "patch" | "delete"; uid: string; data?: Partial<Task> };
export type Result = { status: "ok" | "conflict" | "missing" | "invalid"; task?: Task };
type Page = { changes: Task[]; revision: number; next: string | null };
type Changes = { changes: Task[]; revision: number };

/** The two calls that every adapter is made of. `url` ends in /api/me/tasks. */
export class Tasks {
  constructor(
    readonly url: string,
    readonly token: () => Promise<string>,
  ) {}

  /** The address of the stream that says when there is something to pull. */
  get events(): string {
    return new URL("events", this.url).href;
  }

  /**
   * Every change since a revision, and the revision to go on from. Where the server can no longer tell, the whole list,
   * and the deletion of each row of `held` that the server has no more; rows that it never had are left alone.
   */
  async changes(since: number, held: () => Iterable<Task> | Promise<Iterable<Task>>): Promise<Changes> {
    const told = await this.told(since);
    if (told) return told;
    let whole = await this.told(0);
    while (whole === null) whole = await this.told(0); // erased between two of its pages
    const { changes, revision } = whole;
    const there = new Set(changes.map((row) => row.uid));
    const gone = [...(await held())].filter((row) => row.revision > 0 && !there.has(row.uid));
    return { changes: [...changes, ...gone.map((row) => ({ ...row, deleted_at: row.created_at }))], revision };
  }

  /** Send what was written on the device, in order. Sending it again does no harm. */
  async push(operations: Operation[]): Promise<Result[]> {
    const results: Result[] = [];
    for (let sent = 0; sent < operations.length; sent += 100) {
      const body = JSON.stringify({ atomic: false, operations: operations.slice(sent, sent + 100) });
      const response = await this.call(`${this.url}/batch`, { method: "POST", body });
      results.push(...((await response.json()) as { results: Result[] }).results);
    }
    return results;
  }

  private async told(since: number): Promise<Changes | null> {
    const changes: Task[] = [];
    for (let url = `${this.url}/changes?since=${since}&limit=5000`; ; ) {
      const response = await this.call(url);
      if (response.status === 410) return null;
      const page = (await response.json()) as Page;
      changes.push(...page.changes.map(task));
      if (page.next === null) return { changes, revision: page.revision };
      url = new URL(page.next, this.url).href;
    }
  }

  private async call(url: string, options: RequestInit = {}): Promise<Response> {
    const headers = { authorization: `Bearer ${await this.token()}`, "content-type": "application/json" };
    const response = await fetch(url, { ...options, headers });
    if (!response.ok && response.status !== 410) throw new Error(`${response.status} ${await response.text()}`);
    return response;
  }
}

/** Calls `pull` when connected and whenever the server has something new. Returns what ends it. */
export type Live = (tasks: Tasks, pull: () => unknown) => () => void;

/** A function that has `pull` run once more: never twice at the same time, and again in some seconds if it fails. */
export function oneAtATime(pull: () => unknown, ended: () => boolean): () => void {
  let wanted = false;
  let running = false;
  return async function run(): Promise<void> {
    wanted = true;
    if (running) return;
    for (running = true; wanted && !ended(); ) {
      wanted = false;
      await Promise.resolve().then(pull).catch(() => setTimeout(run, 5000));
    }
    running = false;
  };
}

/** The members of an answer that stand on the device. */
export function task(row: Task): Task {
  const { uid, title, description, priority, tags, due_date, completed, created_at, revision, deleted_at } = row;
  return { uid, title, description, priority, tags, due_date, completed, created_at, revision, deleted_at };
}

/** The members that a person has changed. */
export function edits(before: Task, now: Task): Partial<Task> {
  const { revision, deleted_at, ...fields } = now;
  const known = new Map(Object.entries(before).map(([name, value]) => [name, JSON.stringify(value)]));
  const changed = ([name, value]: [string, unknown]) => known.get(name) !== JSON.stringify(value);
  return Object.fromEntries(Object.entries(fields).filter(changed));
}
