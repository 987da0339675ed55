/** Random choices that a seed repeats (mulberry32). */
export class Random {
  #state: number;

  /** `index` tells the cases of one run apart: each has choices of its own, whatever ran before it. */
  constructor(seed: number, index = 0) {
    this.#state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0;
  }

  /** From 0 up to 1, exclusive. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
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

  /** `{[key]: value}` with that probability, else nothing: to be spread into an object. */
  maybe<T>(probability: number, key: string, value: () => T): Record<string, T> {
    return this.chance(probability) ? { [key]: value() } : {};
  }
}
