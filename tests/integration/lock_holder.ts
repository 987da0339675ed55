import { untilSh } from "../until.ts";
import { CONFIG, type Host, STATE_FOLDER } from "./host.ts";

/** The lock of the tests' network. */
export const LOCK = `${STATE_FOLDER}/${CONFIG.name}.lock`;

/** Lines of shell that start a process which holds the lock for so many seconds, and wait until it has the lock. */
export function holdingLock(seconds: number): string {
  return `flock -F ${LOCK} sleep ${seconds} >/run/holder.log 2>&1 & pid=$!\n${
    untilSh(`! flock -n ${LOCK} true`)
  }`;
}

/** Starts a process that holds the lock for so many seconds. Returns its ID once it has the lock. */
export async function holdLock(host: Host, seconds: number): Promise<string> {
  return (await host.sh(`${holdingLock(seconds)}\necho $pid`)).trim();
}
