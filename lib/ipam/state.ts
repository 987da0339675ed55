import { compareIps, formatCidr, type Ip } from "../base/address.ts";
import { type Owner, ownerKey, tryOwner } from "../base/attachment.ts";
import type { RangeSet } from "../base/range.ts";
import { addEntry, formatKeys, type MapTexts } from "./lines.ts";

/** The properties of a lease except its owner and its addresses. */
export interface LeaseRecord {
  /** The time of the ADD: UTC, to the second. */
  readonly since: string;
  /** MAC of the lease's host veth. It is random, so it distinguishes two ADDs of one attachment. */
  readonly hostMac: string;
  readonly pod?: string;
  /** The container's MAC if it is not derived from its address, or if another container's address may give the same MAC. */
  readonly mac?: string;
  /** The bridge, if neighbour or forwarding entries on it are removed with the lease. */
  readonly bridge?: string;
  readonly guarded?: boolean;
  /** The attachment's own ranges, if the runtime passed ranges outside of the network's ranges (`ipRanges`). */
  readonly ranges?: string;
  /**
   * Names of the candidate host veths, separated by blanks. Only a lease imported from another plugin has them. `hostMac` is
   * then the MAC of the only candidate, or empty if there are several.
   */
  readonly hosts?: string;
}

/** The leases of a network, in the form of the file (docs/architecture.md, "The state"). */
export interface State {
  /** `container ID/interface` → its address, or the list of its addresses if it has several. */
  readonly containerToIP: Record<string, string | readonly string[]>;
  readonly ipToContainer: Record<string, string>;
  /** The last allocated address of each range set. */
  readonly lastReserved: Ip[];
  /** By owner, as `containerToIP`. Leases of the Go original have no record. */
  readonly leases: Record<string, LeaseRecord>;
  /**
   * The MACs of the records: no address with such a MAC is chosen. They are collected while the records are checked: another
   * pass over 65,000 records takes a tenth of an ADD.
   */
  macs: Set<string>;
  /** The network's ranges. Every lease without ranges of its own is in one of these subnets. */
  ranges: readonly RangeSet[] | undefined;
  /** The text of the maps with the entries added since; `undefined` if the maps have to be formatted. */
  lines: MapTexts | undefined;
}

/** Addresses and their owner. */
export interface Lease {
  readonly owner: Owner;
  /** In the order of the range sets. */
  readonly ips: readonly Ip[];
  /** `undefined` for a lease of the Go original. */
  readonly record: LeaseRecord | undefined;
}

export function emptyState(): State {
  return {
    containerToIP: {},
    ipToContainer: {},
    lastReserved: [],
    leases: {},
    macs: new Set(),
    ranges: undefined,
    lines: undefined,
  };
}

export function findLease(state: State, owner: Owner): Lease | undefined {
  const key = ownerKey(owner);
  if (!Object.hasOwn(state.containerToIP, key)) return undefined;
  const own = state.containerToIP[key] ?? [];
  return {
    owner,
    ips: (typeof own === "string" ? [own] : own) as readonly Ip[],
    record: Object.hasOwn(state.leases, key) ? state.leases[key] : undefined,
  };
}

/** The key of the owner that holds the address. */
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
  return leasesOf(state).sort(({ ips: [left] }, { ips: [right] }) =>
    left === undefined || right === undefined ? 0 : compareIps(left, right)
  );
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
  if (record?.mac !== undefined) state.macs.add(record.mac);
}

export function dropLeases(state: State, leases: readonly Lease[]): void {
  if (leases.length === 0) return;
  state.lines = undefined;
  const dropped = leases.map(({ owner, ips }) => {
    const key = ownerKey(owner);
    delete state.containerToIP[key];
    for (const ip of ips) delete state.ipToContainer[ip];
    const mac = state.leases[key]?.mac;
    delete state.leases[key];
    return mac;
  });
  // Another record may have the same MAC. One pass for all: it takes as long as there are records.
  if (dropped.some((mac) => mac !== undefined)) {
    state.macs = new Set(Object.values(state.leases).flatMap((record) => record.mac ?? []));
  }
}

/** Whether both are the same lease, and not an earlier and a later lease of one owner. */
export function isSameLease(left: Lease | undefined, right: Lease): boolean {
  return left !== undefined && left.ips.join() === right.ips.join() &&
    left.record?.hostMac === right.record?.hostMac && left.record?.since === right.record?.since;
}

/** The bytes of the file, in pieces. */
export function formatState(state: State): readonly Uint8Array[] {
  const { containerToIP, ipToContainer, lastReserved, leases, ranges } = state;
  return formatKeys({
    containerToIP,
    ipToContainer,
    lastReserved: lastReserved.length > 1 ? lastReserved : lastReserved[0] ?? "",
    leases,
    ranges: ranges?.map((set) => set.map(rangeFields)),
  }, state.lines);
}

function rangeFields({ subnet, start, end, gateway }: RangeSet[number]) {
  return { subnet: formatCidr(subnet), rangeStart: start, rangeEnd: end, gateway };
}
