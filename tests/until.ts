import { pause } from "../lib/base/deadline.ts";

/** What an attempt returns once it succeeds. */
export type Found<T> = Exclude<T, undefined | false>;

/** Between two attempts. */
const EVERY_MS = 20;

/**
 * Repeats `attempt` until it returns something other than `undefined` or `false`, and returns that. Fails after
 * `seconds`, with the last failure of `attempt` as its cause.
 */
export async function until<T>(
  what: string,
  attempt: () => Promise<T> | T,
  seconds = 20,
): Promise<Found<T>> {
  const end = performance.now() + seconds * 1000;
  let failure: unknown;
  do {
    try {
      const value = await attempt();
      if (value !== undefined && value !== false) return value as Found<T>;
    } catch (error) {
      failure = error;
    }
    await pause(EVERY_MS);
  } while (performance.now() < end);
  throw new Error(`${what}: not within ${seconds} s`, { cause: failure });
}

/** A line of shell that waits until a command succeeds, and ends the shell with status 1 if that takes longer. */
export function untilSh(condition: string, seconds = 20): string {
  return `tries=0; until ${condition}; do tries=$((tries + 1)); [ $tries -le ${
    seconds * 50
  } ] || exit 1; sleep 0.02; done`;
}
