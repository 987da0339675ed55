import { recordOutcome } from "../outcomes.ts";

/** One line of build/evidence/faults.md. */
export interface Fault {
  readonly fault: string;
  readonly tries: string | number;
  readonly outcome: string;
}

/** Records a fault for the page. Call it only after the assertions. */
export function recordFault(it: Fault): void {
  recordOutcome(`${it.fault}: ${it.tries}: ${it.outcome}`, it);
}
