/** Replaces a process's environment: random numbers, time, and work on other threads. */

let digesting = 0;
const digests = new Map<string, ArrayBuffer>();
const digest = crypto.subtle.digest.bind(crypto.subtle);

/** Caches each digest, so that a repeated run does not wait for another thread. */
crypto.subtle.digest = async (algorithm, data) => {
  const key = `${algorithm} ${new TextDecoder().decode(data as BufferSource)}`;
  const known = digests.get(key);
  if (known !== undefined) return known;
  digesting++;
  try {
    const made = await digest(algorithm, data);
    digests.set(key, made);
    return made;
  } finally {
    digesting--;
  }
};

globalThis.Date = class extends Date {
  constructor() {
    super(0);
  }
} as DateConstructor;

/** More than the number of awaits between two requests of a run. */
const AWAITS = 120;

/** Waits until the run can't continue without a reply. */
export async function quiet(): Promise<void> {
  do {
    if (digesting > 0) await new Promise((resume) => setTimeout(resume));
    for (let n = 0; n < AWAITS; n++) await undefined;
  } while (digesting > 0);
}

/** A run that is repeated must draw the same random bytes, and different runs different ones. */
export function fixChance(name: string): void {
  crypto.getRandomValues = (bytes) => {
    if (bytes instanceof Uint8Array) bytes.fill(name.charCodeAt(0));
    return bytes;
  };
}

/** Time limits of concurrent work. In the model, an `ip` answers in time, or a late answer is a fault. */
const LIMIT_MS = 1_000;

/** Time passes only by `pass`. */
export function standInForTime(pass: (ms: number) => Promise<unknown>): void {
  AbortSignal.timeout = (ms) => {
    const timer = new AbortController();
    if (ms < LIMIT_MS) pass(ms).then(() => timer.abort());
    return timer.signal;
  };
}
