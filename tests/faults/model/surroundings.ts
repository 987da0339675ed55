/** What of a process is not its own: chance, time, and what is done outside of its one thread. */

let digesting = 0;
const digests = new Map<string, ArrayBuffer>();
const digest = crypto.subtle.digest.bind(crypto.subtle);

/** Each text once, so that a run that is repeated is at work in one stretch. */
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

/** More than a run has awaits between two questions. */
const AWAITS = 120;

/** Until the run can do no more without a reply. */
export async function quiet(): Promise<void> {
  do {
    if (digesting > 0) await new Promise((resume) => setTimeout(resume));
    for (let n = 0; n < AWAITS; n++) await undefined;
  } while (digesting > 0);
}

/** A run that is repeated must draw the same random bytes, and different runs different ones. */
export function fixChance(name: string): void {
  Math.random = () => name.charCodeAt(0) / 256;
}

/** Limits of what is at work beside them: here an `ip` answers in time, or it is a fault that it does not. */
const LIMIT_MS = 1_000;

/** Time passes where `pass` says so. */
export function standInForTime(pass: (ms: number) => Promise<unknown>): void {
  AbortSignal.timeout = (ms) => {
    const timer = new AbortController();
    if (ms < LIMIT_MS) pass(ms).then(() => timer.abort());
    return timer.signal;
  };
}
