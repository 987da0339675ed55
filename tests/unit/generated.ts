import { seedOf } from "../seed.ts";

/** Pseudo-random numbers, determined by a seed that a failing test prints. */
export function drawFrom(seed: number): (below: number) => number {
  let value = seed % 2147483646 + 1;
  return (below) => (value = (value * 48271) % 2147483647) % below;
}

/** The seed of this run: `TEST_SEED` repeats a run. */
export function seed(): number {
  return seedOf("TEST_SEED");
}
