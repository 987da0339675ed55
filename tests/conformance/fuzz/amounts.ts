import { seedOf } from "../../seed.ts";
import { SIZE } from "../../size.ts";

/** The number of mutated inputs for the program, and for `run()` in one process. */
export const AMOUNTS = {
  full: { inTheProgram: 300, inProcess: 4700 },
  short: { inTheProgram: 50, inProcess: 1000 },
} as const;
export const { inTheProgram: IN_THE_PROGRAM, inProcess: IN_PROCESS } = AMOUNTS[SIZE];

/** SEED=N repeats a run, or the one input that a failure names. */
export const SEED = seedOf("SEED");
