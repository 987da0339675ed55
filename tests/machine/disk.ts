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

/** A disk in memory that records its writes and flushes: from the record, `lose` makes the disk that a power cut leaves. */
export class Disk {
  #now: Uint8Array;
  readonly log: Entry[] = [];
  /** The errno with which flushes fail. */
  flushError = 0;

  constructor(image: Uint8Array) {
    this.#now = image;
  }

  get size(): number {
    return this.#now.length;
  }

  read(offset: number, length: number): Uint8Array {
    return this.#now.slice(offset, offset + length);
  }

  write(offset: number, bytes: Uint8Array, forced: boolean): void {
    const data = bytes.slice();
    this.#now.set(data, offset);
    this.log.push({ what: "write", offset, data, forced });
  }

  flush(): void {
    this.log.push({ what: "flush" });
  }

  mark(text: string): void {
    this.log.push({ what: "mark", text });
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
