import { useEffect, useRef, useState } from "react";
import type { Fields, Task } from "./api";
import { TaskForm } from "./TaskForm";
import { NAMES, dateOf, dayOf, isOverdue } from "./words";

type Props = { task: Task; onChange: (seen: Task, changes: Partial<Fields>) => void; onRemove: () => void };

export function TaskRow({ task, onChange, onRemove }: Props) {
  const [edited, setEdited] = useState<Task>(); // as it was when the person began, whatever arrives meanwhile
  const title = useRef<HTMLButtonElement>(null);
  const wasEdited = useRef(false);
  useEffect(() => {
    if (!edited && wasEdited.current) title.current?.focus();
    wasEdited.current = edited !== undefined;
  }, [edited]);

  function save(fields: Omit<Fields, "completed">) {
    setEdited(undefined);
    const changed = Object.entries(fields).filter(([name, value]) => edited?.[name as keyof Fields] !== value);
    if (changed.length) onChange(edited!, Object.fromEntries(changed));
  }

  if (edited) {
    return (
      <li className="row">
        <TaskForm task={edited} onSave={save} onCancel={() => setEdited(undefined)} />
      </li>
    );
  }
  return (
    <li className="row" data-priority={task.priority}>
      <input
        type="checkbox"
        aria-label={`Done: ${task.title}`}
        checked={task.completed}
        onChange={() => onChange(task, { completed: !task.completed })}
      />
      <button ref={title} className="title" aria-label={`Edit ${task.title}`} onClick={() => setEdited(task)}>
        {task.title}
      </button>
      {(task.priority !== "MEDIUM" || task.due_date) && (
        <span className="chips">
          {task.priority !== "MEDIUM" && <span className="chip priority">{NAMES[task.priority]}</span>}
          {task.due_date && (
            <time className={isOverdue(task) ? "chip overdue" : "chip"} dateTime={dateOf(task.due_date)}>
              {isOverdue(task) && "overdue, "}
              {dayOf(task.due_date)}
            </time>
          )}
        </span>
      )}
      <button className="icon" aria-label={`Delete ${task.title}`} onClick={onRemove}>
        <svg viewBox="0 0 16 16" aria-hidden="true">
          <path d="M4 4l8 8M12 4l-8 8" />
        </svg>
      </button>
    </li>
  );
}
