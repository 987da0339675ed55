import { pause } from "../lib/base/deadline.ts";

/** What an attempt returns once it succeeds. */
export type Found<T> = Exclude<T, undefined | false>;

/** Between two attempts. */
const EVERY_MS = 20;

/**
 * Repeats `attempt` until it returns something other than `undefined` or `false`, and returns that. Fails at once if
 * `attempt` throws, and after `seconds`.
 */
export async function until<T>(
  what: string,
  attempt: () => Promise<T> | T,
  seconds = 20,
): Promise<Found<T>> {
  const end = performance.now() + seconds * 1000;
  do {
    const value = await attempt();
    if (value !== undefined && value !== false) return value as Found<T>;
    await pause(EVERY_MS);
  } while (performance.now() < end);
  throw new Error(`${what}: not within ${seconds} s`);
}

/** Repeats `attempt` until its value is enough or the time is over. Returns the last value, for a test to judge. */
export async function latest<T>(
  attempt: () => Promise<T> | T,
  isEnough: (value: T) => boolean,
  seconds: number,
): Promise<T> {
  const end = performance.now() + seconds * 1000;
  let value = await attempt();
  while (!isEnough(value) && performance.now() < end) {
    await pause(EVERY_MS);
    value = await attempt();
  }
  return value;
}

/** As `until`, but also repeats an attempt that throws. The last error is the cause of the failure. */
export async function untilWorks<T>(
  what: string,
  attempt: () => Promise<T>,
  seconds = 20,
): Promise<Found<T>> {
  let cause: unknown;
  const caught = async () => {
    try {
      return await attempt();
    } catch (error) {
      cause = error;
      return undefined;
    }
  };
  try {
    return await until(what, caught, seconds) as Found<T>;
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}`, { cause });
  }
}

/** A line of shell that waits until a command succeeds, and ends the shell with status 1 if that takes longer. */
export function untilSh(condition: string, seconds = 20): string {
  return `tries=0; until ${condition}; do tries=$((tries + 1)); [ $tries -le ${
    seconds * 50
  } ] || exit 1; sleep 0.02; done`;
}
