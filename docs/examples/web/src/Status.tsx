import { onlineManager, useIsMutating } from "@tanstack/react-query";
import { useEffect, useSyncExternalStore } from "react";

/** Whether the screen is up to date, and what still waits to be sent. */
export function Status({ connected }: { connected: boolean }) {
  const waiting = useIsMutating();
  const online = useSyncExternalStore(
    (changed) => onlineManager.subscribe(changed),
    () => onlineManager.isOnline(),
  );
  useEffect(() => {
    if (waiting === 0) return;
    const warn = (event: BeforeUnloadEvent) => event.preventDefault(); // it waits in the page's memory
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [waiting]);

  const waits = waiting === 0 ? "" : waiting === 1 ? ", 1 change waits" : `, ${waiting} changes wait`;
  const state = !online ? "offline" : connected ? "live" : "connecting";
  return (
    <p className={`status ${state}`} role="status">
      {!online ? `Offline${waits}` : connected ? "Live" : `Connecting${waits || "…"}`}
    </p>
  );
}
