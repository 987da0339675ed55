import { recordOutcome } from "../outcomes.ts";

/** One cell of the matrix, or one line of the measurements under it. */
export interface Outcome {
  readonly attack: string;
  readonly state: string;
  /** How often the attacker succeeded, and in how many tries. */
  readonly got: number;
  readonly of: number;
  /** A further effect of the frames. */
  readonly effect?: string;
  /** The victim's own frames that arrived, of those sent. */
  readonly own?: string;
}

export interface Measure {
  readonly measure: string;
  readonly value: string;
}

export type Finding = Outcome | Measure;

/** Records a finding for the pages. Call it only after the assertions. */
export function recordFinding(seen: Finding): void {
  const line = "measure" in seen
    ? `${seen.measure}: ${seen.value}`
    : `${seen.attack} | ${seen.state}: ${seen.got} of ${seen.of}${
      seen.own === undefined ? "" : `, own ${seen.own}`
    }`;
  recordOutcome(line, seen);
}
