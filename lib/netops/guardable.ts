import { CniError } from "../base/errors.ts";
import type { Link } from "./links.ts";

/** The first iproute2 that can lock a port; Linux can since 5.18. */
const LOCKS = [5, 18] as const;

/** Whether the `ip` that printed `version` for `-V` is too old; an `ip` before 5.1 prints the date of a snapshot. */
export function isTooOldToLock(version: string): boolean {
  if (/iproute2-ss\d{6}/.test(version)) return true;
  const [, major, minor] = /iproute2-(\d+)\.(\d+)/.exec(version) ?? [];
  return major !== undefined && Number(major) * 1000 + Number(minor) < LOCKS[0] * 1000 + LOCKS[1];
}

/** Throws UnsupportedField if that `ip` can't lock a port; for use before the port exists. */
export function checkIpCanLock(version: string): void {
  if (isTooOldToLock(version)) throw cannotGuard(`${version} can't lock a port`);
}

/** Throws UnsupportedField if the port can't be locked: the kernel or `ip` is too old and shows no lock. */
export function checkLockable({ ifname, port }: Link): void {
  if (port.locked === undefined) throw cannotGuard(`the port "${ifname}" can't be locked`);
}

function cannotGuard(why: string): CniError {
  return new CniError(
    "UnsupportedField",
    `Cannot do "macspoofchk": true: ${why}`,
    { details: "it needs Linux 5.18 and iproute2 5.18, or newer: update them, or set it to false" },
  );
}
