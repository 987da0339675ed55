import { compareIps, formatCidr, type Ip } from "../base/address.ts";
import { type Owner, ownerKey, tryOwner } from "../base/attachment.ts";
import type { RangeSet } from "../base/range.ts";
import { addEntry, formatKeys, type Lines } from "./lines.ts";

/** What is known of a lease beside its owner and its addresses. */
export interface LeaseRecord {
  /** UTC, to the second. */
  readonly since: string;
  /** MAC of the host veth the lease was given for: tells this attachment's runs apart. */
  readonly hostMac: string;
  readonly pod?: string;
  /** The container's MAC where it does not follow from its address, or may follow from another's too. */
  readonly mac?: string;
  /** The bridge, where something on it has to be taken back with the lease. */
  readonly bridge?: string;
  readonly guarded?: boolean;
  /** The attachment's own ranges, if the runtime gave it some outside of the network's (`ipRanges`). */
  readonly ranges?: string;
  /**
   * Names of the candidate host veths, blanks between, one of which is the lease's: only of a lease imported from another
   * plugin. `hostMac` is then the MAC of the one, or empty where there are several.
   */
  readonly hosts?: string;
}

/** A network's leases as the file has them (docs/architecture.md, "The state"). */
export interface State {
  /** `container ID/interface` → its address, or the list of its addresses where it has several. */
  readonly containerToIP: Record<string, string | readonly string[]>;
  readonly ipToContainer: Record<string, string>;
  /** The last address given, of each range set. */
  readonly lastReserved: Ip[];
  /** By owner, as `containerToIP`; none for those that the Go original gave. */
  readonly leases: Record<string, LeaseRecord>;
  /** Whether one of `leases` may have a MAC that was asked for. */
  isMacAsked: boolean;
  /** What the network allocates from; every lease without ranges of its own is of one of these subnets. */
  ranges: readonly RangeSet[] | undefined;
  /** The maps as the file has them, with what was added since; `undefined` where they are to be formatted anew. */
  lines: Lines | undefined;
}

/** Addresses and whose they are. */
export interface Lease {
  readonly owner: Owner;
  /** In the order of the range sets. */
  readonly ips: readonly Ip[];
  /** `undefined` where the Go original gave it. */
  readonly record: LeaseRecord | undefined;
}

export function emptyState(): State {
  return {
    containerToIP: {},
    ipToContainer: {},
    lastReserved: [],
    leases: {},
    isMacAsked: false,
    ranges: undefined,
    lines: undefined,
  };
}

export function findLease(state: State, owner: Owner): Lease | undefined {
  const key = ownerKey(owner);
  if (!Object.hasOwn(state.containerToIP, key)) return undefined;
  return {
    owner,
    ips: addressesOf(state.containerToIP[key] ?? []),
    record: Object.hasOwn(state.leases, key) ? state.leases[key] : undefined,
  };
}

/** Who holds the address, as a key of the state. */
export function holderOf({ ipToContainer }: State, ip: Ip): string | undefined {
  return ipToContainer[ip];
}

/** All leases, in any order. */
export function leasesOf(state: State): Lease[] {
  return Object.keys(state.containerToIP).flatMap((key) => {
    const owner = tryOwner(key);
    return (owner && findLease(state, owner)) ?? [];
  });
}

/** All leases, in the order of their addresses. */
export function listLeases(state: State): Lease[] {
  return leasesOf(state).sort((a, b) => compareFirst(a.ips, b.ips));
}

function compareFirst([left]: readonly Ip[], [right]: readonly Ip[]): number {
  return left === undefined || right === undefined ? 0 : compareIps(left, right);
}

export function addLease(state: State, { owner, ips, record }: Lease): void {
  const key = ownerKey(owner);
  const [first = "", ...more] = ips;
  const value = more.length === 0 ? first : ips;
  if (Object.hasOwn(state.containerToIP, key)) state.lines = undefined;
  const { lines } = state;
  if (lines !== undefined) {
    addEntry(lines.containerToIP, key, value);
    for (const ip of ips) addEntry(lines.ipToContainer, ip, key);
    if (record !== undefined) addEntry(lines.leases, key, record);
  }
  state.containerToIP[key] = value;
  for (const ip of ips) state.ipToContainer[ip] = key;
  if (record !== undefined) state.leases[key] = record;
  state.isMacAsked ||= record?.mac !== undefined;
}

export function dropLease(state: State, { owner, ips }: Lease): void {
  const key = ownerKey(owner);
  state.lines = undefined;
  delete state.containerToIP[key];
  for (const ip of ips) delete state.ipToContainer[ip];
  delete state.leases[key];
}

function addressesOf(value: string | readonly string[]): readonly Ip[] {
  return (typeof value === "string" ? [value] : value) as readonly Ip[];
}

/** Whether it is the same lease as it was, and not a later one of the same owner. */
export function isSameLease(left: Lease | undefined, right: Lease): boolean {
  return left !== undefined && left.ips.join() === right.ips.join() &&
    left.record?.hostMac === right.record?.hostMac && left.record?.since === right.record?.since;
}

/** The bytes of the file, in one piece or several. */
export function formatState(state: State): readonly Uint8Array<ArrayBuffer>[] {
  const { containerToIP, ipToContainer, lastReserved, leases, ranges } = state;
  return formatKeys({
    containerToIP,
    ipToContainer,
    lastReserved: lastReserved.length > 1 ? lastReserved : lastReserved[0] ?? "",
    leases,
    ranges: ranges?.map((set) => set.map(formatRange)),
  }, state.lines);
}

function formatRange({ subnet, start, end, gateway }: RangeSet[number]) {
  return { subnet: formatCidr(subnet), rangeStart: start, rangeEnd: end, gateway };
}
