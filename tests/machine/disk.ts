/** A write that the disk has accepted; the power may fail before the write is on the medium. */
export interface Write {
  readonly offset: number;
  readonly data: Uint8Array;
}

/** The writes and flushes sent to the disk, in order, each with the console's output so far. */
export type Entry =
  | ({ readonly what: "write"; readonly forced: boolean } & Write)
  | { readonly what: "flush" }
  | { readonly what: "mark"; readonly text: string };

/** The unit in which a write cache loses data, in bytes: a page is complete or missing. */
const BLOCK = 4096;

/**
 * A disk with a volatile write cache: reads return every write at once; the medium has a write only after a flush or a
 * forced write. At a cut the medium keeps a random part of the other writes.
 */
export class Disk {
  #now: Uint8Array;
  #medium: Uint8Array;
  #cache: Write[] = [];
  #left = Infinity;
  #isDead = false;
  #died?: () => void;
  readonly log: Entry[] = [];
  /** The errno with which writes and flushes fail. */
  writeError = 0;
  flushError = 0;

  constructor(image: Uint8Array) {
    this.#now = image;
    this.#medium = image.slice();
  }

  get size(): number {
    return this.#now.length;
  }

  /** Cuts the power at the n-th write or flush from now: neither that one nor any later one is answered. */
  dieAfter(writes: number): Promise<void> {
    this.#left = writes;
    return new Promise((resolve) => this.#died = resolve);
  }

  read(offset: number, length: number): Uint8Array {
    return this.#now.slice(offset, offset + length);
  }

  /** Whether the request is answered. */
  write(offset: number, bytes: Uint8Array, forced: boolean): boolean {
    const data = bytes.slice();
    const wasDead = this.#isDead;
    if (!this.#isAlive()) {
      // A part of the interrupted write may be on the medium.
      if (!wasDead) this.#cache.push({ offset, data });
      return false;
    }
    this.#now.set(data, offset);
    this.log.push({ what: "write", offset, data, forced });
    applyWrite(this.#medium, this.#cache, { offset, data }, forced);
    return true;
  }

  /** Whether the request is answered. */
  flush(): boolean {
    if (!this.#isAlive()) return false;
    this.log.push({ what: "flush" });
    applyFlush(this.#medium, this.#cache);
    return true;
  }

  mark(text: string): void {
    this.log.push({ what: "mark", text });
  }

  /** Switches the machine off: the disk keeps its medium and a part of its cache. */
  cut(keep: number, random: () => number): Losses {
    const losses = lose(this.#medium, this.#cache, keep, random);
    this.#now = this.#medium.slice();
    this.#cache = [];
    this.log.length = 0;
    this.#left = Infinity;
    this.#isDead = false;
    return losses;
  }

  #isAlive(): boolean {
    if (!this.#isDead && --this.#left < 0) {
      this.#isDead = true;
      this.#died?.();
    }
    return !this.#isDead;
  }
}

/** How many blocks were in the cache at the cut, and how many of them the medium has. */
export interface Losses {
  readonly unflushed: number;
  readonly kept: number;
}

export function applyWrite(medium: Uint8Array, cache: Write[], write: Write, forced: boolean) {
  if (!forced) return cache.push(write);
  const end = write.offset + write.data.length;
  // An older write to the same place must not replace this one later.
  for (const { offset, data } of cache) {
    const from = Math.max(offset, write.offset);
    const to = Math.min(offset + data.length, end);
    if (from >= to) continue;
    data.set(write.data.subarray(from - write.offset, to - write.offset), from - offset);
  }
  medium.set(write.data, write.offset);
}

export function applyFlush(medium: Uint8Array, cache: Write[]): void {
  for (const { offset, data } of cache) medium.set(data, offset);
  cache.length = 0;
}

/** Puts each block of the cache on the medium with the probability `keep`. */
export function lose(
  medium: Uint8Array,
  cache: readonly Write[],
  keep: number,
  random: () => number,
): Losses {
  let unflushed = 0;
  let kept = 0;
  for (const { offset, data } of cache) {
    for (let at = 0; at < data.length;) {
      const step = Math.min(BLOCK - (offset + at) % BLOCK, data.length - at);
      unflushed++;
      if (random() < keep) {
        medium.set(data.subarray(at, at + step), offset + at);
        kept++;
      }
      at += step;
    }
  }
  return { unflushed, kept };
}
