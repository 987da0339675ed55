import { untilSh } from "../until.ts";
import { CONFIG, type Host, STATE_FOLDER } from "./host.ts";

/** The lock of the tests' network. */
export const LOCK = `${STATE_FOLDER}/${CONFIG.name}.lock`;

/**
 * The lines of /proc/locks of the runs that wait for the lock, as a pattern in double quotes of a shell. The device is part of it:
 * files of two hosts may have the same inode number.
 */
export const WAITING = `-> FLOCK.* $(printf "%02x:%02x:%d" $(stat -c "%Hd %Ld %i" ${LOCK})) `;

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
