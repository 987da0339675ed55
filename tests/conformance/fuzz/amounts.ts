import { seedOf } from "../../seed.ts";

/** How many mutated inputs a run of `make conformance` gives to the program, and to `run()` in one process. */
export const IN_THE_PROGRAM = 300;
export const IN_PROCESS = 4700;

/** SEED=N repeats a run, or the one input that a failure names. */
export const SEED = seedOf("SEED");
