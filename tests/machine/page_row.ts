import { recordOutcome } from "../outcomes.ts";

/** The tables of build/evidence/machine.md. */
export type Table = "points" | "programs" | "reboot" | "rows" | "kernels";

export interface TableRow {
  readonly table: Table;
  readonly cells: readonly (string | number)[];
}

/** Records a row of the page. Call it only after the assertions. */
export function recordRow(table: Table, ...cells: (string | number)[]): void {
  recordOutcome(`${table}: ${cells.join(": ")}`, { table, cells } satisfies TableRow);
}
