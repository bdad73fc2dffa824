import { useIsMutating } from "@tanstack/react-query";
import { useState } from "react";
import type { Task } from "./api";
import { authClient } from "./auth";
import { ConflictDialog } from "./ConflictDialog";
import { Status } from "./Status";
import { TaskForm } from "./TaskForm";
import { TaskRow } from "./TaskRow";
import { useTasks } from "./useTasks";

const FILTERS = {
  All: () => true,
  "To do": (task: Task) => !task.completed,
  Done: (task: Task) => task.completed,
};
type Filter = keyof typeof FILTERS;
const NOTHING = { All: "Nothing here yet. What is on your mind?", "To do": "All done. Enjoy the day!", Done: "Nothing done yet." };

export function Tasks({ name }: { name: string }) {
  const { list, connected, notice, dismiss, conflict, create, update, remove, resolve } = useTasks();
  const [filter, setFilter] = useState<Filter>("All");
  const waiting = useIsMutating();
  const tasks = list.data?.tasks ?? [];
  const shown = tasks.filter(FILTERS[filter]);

  function signOut() {
    if (waiting === 0 || confirm("Some changes have not been sent. Sign out and lose them?")) void authClient.signOut();
  }

  return (
    <main>
      <header>
        <h1>{name}’s tasks</h1>
        <Status connected={connected} />
        <button className="quiet" onClick={signOut}>
          Sign out
        </button>
      </header>
      <TaskForm onSave={(fields) => create({ ...fields, completed: false })} />
      <nav aria-label="Filter">
        {(Object.keys(FILTERS) as Filter[]).map((each) => (
          <button key={each} className="tab" aria-pressed={each === filter} onClick={() => setFilter(each)}>
            {each} <span>{tasks.filter(FILTERS[each]).length}</span>
          </button>
        ))}
      </nav>
      {list.failureReason && <p role="alert">{list.failureReason.message}. {list.isError || "Trying again…"}</p>}
      <ul aria-label={`Tasks: ${filter}`}>
        {shown.map((task) => (
          <TaskRow key={task.uid} task={task} onChange={update} onRemove={() => remove(task)} />
        ))}
      </ul>
      {list.data && shown.length === 0 && <p className="hint">{NOTHING[filter]}</p>}
      {list.isPending && !list.failureReason && <p className="hint">One moment…</p>}
      <div className="notice" role="status">
        {notice && (
          <p>
            <span>{notice.text}</span>
            {notice.undo && (
              <button autoFocus onClick={notice.undo}>
                Undo
              </button>
            )}
            <button onClick={dismiss}>Dismiss</button>
          </p>
        )}
      </div>
      {conflict && (
        <ConflictDialog key={conflict.now.revision} conflict={conflict} onResolve={(mine) => resolve(conflict, mine)} />
      )}
    </main>
  );
}
