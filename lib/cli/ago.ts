const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60], ["second", 1]] as const;

/** The time from `since` to `now` in its largest whole unit. `since` is in the future if the clock was set back. */
export function ago(since: string, now: number): string {
  const seconds = Math.round((now - Date.parse(since)) / 1000);
  if (Number.isNaN(seconds)) return "at a time that can't be read";
  if (seconds < -1) return "which lies ahead: the clock was set back since";
  const [unit, size] = UNITS.find(([, size]) => seconds >= size) ?? ["second", 1];
  const count = Math.max(0, Math.floor(seconds / size));
  return `${count} ${unit}${count === 1 ? "" : "s"} ago`;
}
