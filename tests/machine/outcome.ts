/** How much is tried: `MACHINE=full` is what `make machine` runs, anything else the form for CI. */
export const SIZE: "short" | "full" = Deno.env.get("MACHINE") === "full" ? "full" : "short";

/** Which table of docs/evidence/machine.md a line belongs to. */
export type Table = "cuts" | "points" | "programs" | "reboot" | "rows" | "kernels";

/** Prints what was seen to hold, and keeps it for the page where MACHINE_LOG names a file. */
export function record(table: Table, ...cells: (string | number)[]): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${table}: ${cells.join(": ")}\n`));
  const log = Deno.env.get("MACHINE_LOG");
  if (log === undefined) return;
  Deno.writeTextFileSync(log, `${JSON.stringify({ table, cells })}\n`, { append: true });
}
