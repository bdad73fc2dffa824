import { useEffect, useRef } from "react";
import type { Fields } from "./api";
import type { Conflict } from "./useTasks";
import { NAMES, dayOf } from "./words";

type Props = { conflict: Conflict; onResolve: (mine: boolean) => void };

/** Both versions of a task that two devices changed, side by side. Whoever just closes it keeps what is there. */
export function ConflictDialog({ conflict: { seen, changes, now }, onResolve }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (!dialog.current?.open) dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby="conflict" onClose={() => onResolve(dialog.current?.returnValue === "mine")}>
      <h2 id="conflict">Changed on another device</h2>
      <p>“{seen.title}” was changed elsewhere while you changed it here. Which version shall stay?</p>
      <form method="dialog" className="versions">
        <Version name="Yours" version={{ ...now, ...changes }} other={now} />
        <Version name="The other device" version={now} other={{ ...now, ...changes }} />
        <button value="mine" className="primary">
          Keep mine
        </button>
        <button value="theirs">Keep theirs</button>
      </form>
    </dialog>
  );
}

function Version({ name, version, other }: { name: string; version: Fields; other: Fields }) {
  const words = (fields: Fields) => ({
    Title: fields.title,
    Priority: NAMES[fields.priority],
    Due: fields.due_date ? dayOf(fields.due_date) : "no date",
    Status: fields.completed ? "done" : "to do",
  });
  const others = Object.values(words(other));
  return (
    <section className="card" aria-label={name}>
      <h3>{name}</h3>
      <dl>
        {Object.entries(words(version)).map(([term, text], at) => (
          <div key={term}>
            <dt>{term}</dt>
            <dd>{text === others[at] ? text : <mark>{text}</mark>}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
