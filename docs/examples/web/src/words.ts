import type { Fields } from "./api";

export const NAMES = { HIGH: "High", MEDIUM: "Medium", LOW: "Low" } as const;

/** The day of a due date, as 2026-12-01, or nothing. Days are kept as their beginning in UTC. */
export const dateOf = (due: string | null) => due?.slice(0, 10) ?? "";

/** That day from now, counted on the calendar of the device. */
function daysUntil(due: string): number {
  const now = new Date();
  return Math.round((Date.parse(dateOf(due)) - Date.UTC(now.getFullYear(), now.getMonth(), now.getDate())) / 86_400_000);
}

export const isOverdue = ({ due_date, completed }: Fields) => !completed && due_date !== null && daysUntil(due_date) < 0;

/** Today, tomorrow, Fri 4 Dec, or 4 Dec 2031 */
export function dayOf(due: string): string {
  const days = daysUntil(due);
  if (Math.abs(days) <= 1) return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(days, "day");
  const day = { day: "numeric", month: "short", timeZone: "UTC" } as const;
  const form = Math.abs(days) < 300 ? ({ ...day, weekday: "short" } as const) : ({ ...day, year: "numeric" } as const);
  return new Intl.DateTimeFormat("en-GB", form).format(Date.parse(dateOf(due)));
}
