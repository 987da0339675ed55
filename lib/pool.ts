import { Malformed } from "./errors.ts";
import {
  type Cidr,
  formatCidr,
  formatIpv4,
  type Ipv4,
  parseCidr,
  parseIpv4,
  type Range,
} from "./ipv4.ts";
import type { PoolNote } from "./ledger.ts";

/** The addresses that a network may give. */
export interface Pool {
  readonly subnet: Cidr;
  readonly range: Range;
  readonly gateway: Ipv4;
}

/** The pool as the state file has it, for `status` to know its size without a configuration. */
export function noteOf({ subnet, gateway, range }: Pool): PoolNote {
  return {
    subnet: formatCidr(subnet),
    gateway: formatIpv4(gateway),
    rangeStart: formatIpv4(range.start),
    rangeEnd: formatIpv4(range.end),
  };
}

/** The pool of a note; `undefined` where it has none, or one that does not parse. */
export function poolOf(note: PoolNote | undefined): Pool | undefined {
  if (note === undefined) return undefined;
  try {
    return {
      subnet: parseCidr(note.subnet),
      gateway: parseIpv4(note.gateway),
      range: { start: parseIpv4(note.rangeStart), end: parseIpv4(note.rangeEnd) },
    };
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}
