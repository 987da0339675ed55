/** The size of the suite: `make faults` sets `FAULTS=full`; anything else is the form for CI. */
export const SIZE: "short" | "full" = Deno.env.get("FAULTS") === "full" ? "full" : "short";

/** One line of docs/evidence/faults.md. */
export interface Outcome {
  readonly fault: string;
  readonly tries: string | number;
  readonly outcome: string;
}

/** Prints an outcome, and appends it to the file FAULTS_LOG for the table. Call it only after the assertions. */
export function record(outcome: Outcome): void {
  say(`${outcome.fault}: ${outcome.tries}: ${outcome.outcome}`);
  const log = Deno.env.get("FAULTS_LOG");
  if (log === undefined) return;
  Deno.writeTextFileSync(log, `${JSON.stringify(outcome)}\n`, { append: true });
}

export function say(text: string): void {
  Deno.stderr.writeSync(new TextEncoder().encode(`${text}\n`));
}

/** The seed of a run's random numbers: FAULTS_SEED, or a new seed, which is printed. */
export function newRandom(what: string): () => number {
  const seed = Number(Deno.env.get("FAULTS_SEED") ?? crypto.getRandomValues(new Uint32Array(1))[0]);
  say(`${what}: FAULTS_SEED=${seed}`);
  let state = seed >>> 0;
  // mulberry32
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
