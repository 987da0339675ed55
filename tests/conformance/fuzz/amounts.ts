import { seedOf } from "../../seed.ts";

/** The number of mutated inputs. */
export const AMOUNTS = { full: 500, short: 60 } as const;

/** SEED=N repeats a run, or the one input that a failure names. */
export const SEED = seedOf("SEED");
