import type { FormEvent, KeyboardEvent } from "react";
import { type Fields, PRIORITIES, type Task } from "./api";
import { NAMES, dateOf } from "./words";

type Props = { task?: Task; onSave: (fields: Omit<Fields, "completed">) => void; onCancel?: () => void };

/** The fields of a new task, or of one that is being changed. */
export function TaskForm({ task, onSave, onCancel }: Props) {
  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    const given = new FormData(form);
    const [title, due] = [String(given.get("title")).trim(), String(given.get("due"))];
    if (!title) return;
    const kept = due === dateOf(task?.due_date ?? null); // its time of day, which is not shown here, stays
    const due_date = kept ? (task?.due_date ?? null) : due ? `${due}T00:00:00+00:00` : null;
    onSave({ title, due_date, priority: given.get("priority") as Fields["priority"] });
    if (!task) form.reset();
    if (!task) (form.elements.namedItem("title") as HTMLInputElement).focus();
  }
  const leave = (event: KeyboardEvent) => event.key === "Escape" && onCancel?.();

  return (
    <form className={task ? "fields" : "fields card"} onSubmit={submit} onKeyDown={leave}>
      <input
        className="wide"
        name="title"
        aria-label={task ? "Title" : "New task"}
        placeholder="What is to be done?"
        defaultValue={task?.title}
        maxLength={200}
        autoComplete="off"
        autoFocus
        required
      />
      <select name="priority" aria-label="Priority" defaultValue={task?.priority ?? "MEDIUM"}>
        {PRIORITIES.map((priority) => (
          <option key={priority} value={priority}>
            {NAMES[priority]}
          </option>
        ))}
      </select>
      <input name="due" type="date" aria-label="Due" defaultValue={dateOf(task?.due_date ?? null)} />
      <button className="primary">{task ? "Save" : "Add"}</button>
      {onCancel && (
        <button type="button" className="quiet" onClick={onCancel}>
          Cancel
        </button>
      )}
    </form>
  );
}
