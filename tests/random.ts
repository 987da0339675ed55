import { say } from "./outcomes.ts";
import { seedOf } from "./seed.ts";

/** Numbers from 0 up to 1, exclusive, that the seed repeats (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Random numbers for a test. Prints the seed, which FAULTS_SEED repeats. */
export function newRandom(what: string): () => number {
  const seed = seedOf("FAULTS_SEED");
  say(`${what}: FAULTS_SEED=${seed}`);
  return randomFrom(seed);
}

/** Random choices, determined by a seed. */
export class Random {
  /** From 0 up to 1, exclusive. */
  readonly next: () => number;

  /** `index` is the case of a run: each case has its own choices, whatever ran before it. */
  constructor(seed: number, index = 0) {
    this.next = randomFrom(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b));
  }

  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number {
    return least + Math.floor(this.next() * (most - least + 1));
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  one<T>(list: readonly [T, ...T[]] | readonly T[]): T {
    const index = this.between(0, list.length - 1);
    if (index < 0) throw new Error("nothing to choose from");
    return list[index] as T;
  }

  /** The list in a random order. A `sort` with a random comparison differs from run to run. */
  shuffled<T>(list: readonly T[]): T[] {
    const all = [...list];
    return list.map(() => all.splice(this.between(0, all.length - 1), 1)[0] as T);
  }

  /** `{[key]: value}` with that probability, else an empty object; to be spread into another. */
  maybe<T>(probability: number, key: string, value: () => T): Record<string, T> {
    return this.chance(probability) ? { [key]: value() } : {};
  }
}
