/** How much is done: `GUARD_SIZE=full` is what `make guard` runs, anything else the form for CI. */
export const SIZE: "short" | "full" = Deno.env.get("GUARD_SIZE") === "full" ? "full" : "short";

/** One cell of the matrix, or one line of the measurements under it. */
export interface Outcome {
  readonly attack: string;
  readonly state: string;
  /** What the attacker got, in words with its count. */
  readonly got: string;
  /** What of the victim's own traffic came to its place. */
  readonly own?: string;
}

export interface Measure {
  readonly measure: string;
  readonly value: string;
}

/** Frames of one sort that a generator made, or rounds of them: in how many cases the attacker got something. */
export interface Count {
  readonly line: string;
  readonly state: string;
  readonly sent: number;
  readonly came: number;
}

/** Prints what was seen, and keeps it for the page where GUARD_LOG names a file. */
export function record(seen: Outcome | Measure | Count): void {
  const line = "line" in seen
    ? `${seen.line} | ${seen.state}: ${seen.came} of ${seen.sent}`
    : "measure" in seen
    ? `${seen.measure}: ${seen.value}`
    : `${seen.attack} | ${seen.state}: ${seen.got}${
      seen.own === undefined ? "" : `, own ${seen.own}`
    }`;
  Deno.stderr.writeSync(new TextEncoder().encode(`${line}\n`));
  const log = Deno.env.get("GUARD_LOG");
  if (log === undefined) return;
  Deno.writeTextFileSync(log, `${JSON.stringify(seen)}\n`, { append: true });
}
