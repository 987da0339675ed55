/** `MACHINE=full`, which `make machine` sets, runs everything; any other value runs CI's short form. */
export const SIZE: "short" | "full" = Deno.env.get("MACHINE") === "full" ? "full" : "short";

/** Which table of docs/evidence/machine.md a line belongs to. */
export type Table = "cuts" | "points" | "programs" | "reboot" | "rows" | "kernels";

/** Prints an outcome that was seen to hold, and appends it to the file that MACHINE_LOG names. */
export function record(table: Table, ...cells: (string | number)[]): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${table}: ${cells.join(": ")}\n`));
  const log = Deno.env.get("MACHINE_LOG");
  if (log === undefined) return;
  Deno.writeTextFileSync(log, `${JSON.stringify({ table, cells })}\n`, { append: true });
}
