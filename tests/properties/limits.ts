import { SIZE } from "../size.ts";
import { seedOf } from "../seed.ts";

/** The number of cases, and the time limit in seconds. */
export interface Limits {
  readonly cases: number;
  readonly seconds: number;
}

/** The form for CI, or the full one. PROPERTIES_CASES and PROPERTIES_SECONDS replace either number. */
export function limits(sizes: Readonly<Record<"short" | "full", Limits>>): Limits {
  const { cases, seconds } = sizes[SIZE];
  return {
    cases: number("PROPERTIES_CASES") ?? cases,
    seconds: number("PROPERTIES_SECONDS") ?? seconds,
  };
}

/** The seed of all properties of this run. */
export const SEED: number = seedOf("PROPERTIES_SEED");

/** The first case of the run, to repeat a single case. */
export const FIRST: number = number("PROPERTIES_FROM") ?? 0;

export const WORKERS: number = number("PROPERTIES_WORKERS") ??
  // One more than processors, because some wait more than they work.
  Math.min(4, navigator.hardwareConcurrency + 1);

/** Whether the run repeats a failure; then the tests of the properties themselves are left out. */
export const REPEATS: boolean = number("PROPERTIES_FROM") !== undefined;

function number(name: string): number | undefined {
  const text = Deno.env.get(name);
  if (text === undefined || text === "") return undefined;
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) {
    throw new Error(`${name} must be a whole number: "${text}"`);
  }
  return value;
}
