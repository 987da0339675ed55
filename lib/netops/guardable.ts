import { CniError } from "../base/errors.ts";
import type { Link } from "./links.ts";

/** Whether the kernel or `ip` is too old for a locked port, read from a port that stands. */
export function cannotLock({ port }: Link): boolean {
  return port.locked === undefined;
}

/** Throws UnsupportedField where the port can't be locked. */
export function mustBeGuardable(link: Link): void {
  if (cannotLock(link)) throw notGuardable(link.ifname);
}

export function notGuardable(port: string): CniError {
  return new CniError(
    "UnsupportedField",
    `Cannot do "macspoofchk": true: the port "${port}" can't be locked`,
    { details: "it needs Linux 5.18 and iproute2 5.18, or newer: update them, or set it to false" },
  );
}
