import { compareIps, formatCidr, type Ip, parseCidr, parseIp, tryIp } from "../base/address.ts";
import { type Owner, ownerKey, tryOwner } from "../base/attachment.ts";
import { Malformed, quote } from "../base/errors.ts";
import { isObject, type JsonObject } from "../base/fields.ts";
import type { RangeSet } from "../base/range.ts";
import { damaged, NewerSchema, SCHEMA } from "./damage.ts";
import { addEntry, formatKeys, type Lines, linesIn } from "./lines.ts";
import { readOlder } from "./older_state.ts";

/** What is known of a lease beside its owner and its addresses. */
export interface LeaseRecord {
  /** UTC, to the second. */
  readonly since: string;
  /** MAC of the host veth the lease was given for: tells this attachment's runs apart. */
  readonly hostMac: string;
  readonly pod?: string;
  /** The container's MAC where it is not the one that follows from its address. */
  readonly mac?: string;
  /** The bridge, where something on it has to be taken back with the lease. */
  readonly bridge?: string;
  readonly guarded?: boolean;
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
  /** What the network had to give when it last gave an address; every lease is of one of these subnets. */
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

/** All leases, in the order of their addresses. */
export function listLeases(state: State): Lease[] {
  const leases = Object.keys(state.containerToIP).flatMap((key) => {
    const owner = tryOwner(key);
    return (owner && findLease(state, owner)) ?? [];
  });
  return leases.sort((a, b) => compareFirst(a.ips, b.ips));
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

/** The bytes of the file. */
export function formatState(state: State): Uint8Array<ArrayBuffer> {
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

/** The state in `bytes`, its maps checked against each other. Throws StateDamaged for anything else (docs/architecture.md, "The state"). */
export function parseState(bytes: Uint8Array<ArrayBuffer>, path: string): State {
  if (bytes.length === 0) throw damaged(path, "it is empty");
  let text: string;
  let value: unknown;
  try {
    text = decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    throw damaged(path, error instanceof Error ? error.message : "it is no JSON", error);
  }
  if (!isObject(value)) throw damaged(path, "it holds no object");
  const { schema } = value;
  if (typeof schema === "number" && schema > SCHEMA) throw new NewerSchema(path, schema);
  const found = schema === SCHEMA ? value : readOlder(value, path);
  return {
    ...crossCheck(found, path),
    lastReserved: readLast(found["lastReserved"] ?? "", path),
    ...checkRecords(found, path),
    ranges: readRanges(found["ranges"], path),
    lines: found === value ? linesIn(text, bytes) : undefined,
  };
}

/** Throws where the bytes are no UTF-8. A decoder that throws by itself makes strings of twice the size, thrice as slowly. */
function decode(bytes: Uint8Array<ArrayBuffer>): string {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  if (!text.includes("\ufffd")) return text;
  return new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(bytes);
}

/**
 * The two maps: each address is one of its holder's, and there are no more owners and no more of their addresses than
 * that. By addresses, for a lookup by a key of a map is quicker than one by a value.
 */
function crossCheck(
  { containerToIP, ipToContainer }: JsonObject,
  path: string,
): Pick<State, "containerToIP" | "ipToContainer"> {
  if (!isObject(containerToIP)) {
    throw damaged(path, `containerToIP is ${quote(containerToIP)}, no object`);
  }
  if (!isObject(ipToContainer)) {
    throw damaged(path, `ipToContainer is ${quote(ipToContainer)}, no object`);
  }
  const addresses = Object.keys(ipToContainer);
  let owners = 0;
  let owned = 0;
  for (const address of addresses) {
    if (tryIp(address) !== address) {
      throw damaged(path, `ipToContainer has ${quote(address)}, no IP address`);
    }
    const owner = ipToContainer[address];
    const own = typeof owner === "string" ? containerToIP[owner] : undefined;
    if (own === address) {
      owners++;
      owned++;
    } else if (!Array.isArray(own)) {
      const has = own === undefined ? "nothing" : quote(own);
      throw damaged(path, `${address} is held by ${quote(owner)}, who has ${has}`);
    } else if (own[0] === address) {
      owners++;
      owned += own.length;
      if (!own.every((it) => typeof it === "string" && ipToContainer[it] === owner)) {
        throw damaged(path, ownerIn(containerToIP, ipToContainer));
      }
    }
  }
  if (owners !== Object.keys(containerToIP).length || owned !== addresses.length) {
    throw damaged(path, ownerIn(containerToIP, ipToContainer));
  }
  return {
    containerToIP: containerToIP as State["containerToIP"],
    ipToContainer: ipToContainer as State["ipToContainer"],
  };
}

/** Which owner has something that ipToContainer does not say. */
function ownerIn(containerToIP: JsonObject, ipToContainer: JsonObject): string {
  for (const [owner, value] of Object.entries(containerToIP)) {
    const list: unknown[] = Array.isArray(value) ? value : [value];
    const isHeld = list.length > 0 && new Set(list).size === list.length &&
      list.every((ip) => typeof ip === "string" && ipToContainer[ip] === owner);
    if (!isHeld) return `${quote(owner)} has ${quote(value)}, and ipToContainer says otherwise`;
  }
  return "containerToIP and ipToContainer differ";
}

/** What is known of leases, each with an owner. */
function checkRecords(
  { leases = {}, containerToIP }: JsonObject,
  path: string,
): Pick<State, "leases" | "isMacAsked"> {
  if (!isObject(leases)) throw damaged(path, `leases is ${quote(leases)}, no object`);
  const owners = containerToIP as JsonObject;
  let isMacAsked = false;
  for (const owner of Object.keys(leases)) {
    const record = leases[owner];
    if (!Object.hasOwn(owners, owner)) {
      throw damaged(path, `leases has ${quote(owner)}, who holds nothing`);
    }
    if (
      !isObject(record) || typeof record["since"] !== "string" ||
      typeof record["hostMac"] !== "string"
    ) {
      throw damaged(path, `leases[${quote(owner)}] is ${quote(record)}`);
    }
    isMacAsked ||= record["mac"] !== undefined;
    for (const key in record) {
      const value = record[key];
      if (key === "guarded" ? typeof value !== "boolean" : typeof value !== "string") {
        throw damaged(path, `leases[${quote(owner)}].${key} is ${quote(record[key])}`);
      }
    }
  }
  return { leases: leases as State["leases"], isMacAsked };
}

function readLast(value: unknown, path: string): Ip[] {
  return (Array.isArray(value) ? value : value === "" ? [] : [value]).map((address) => {
    if (typeof address === "string" && tryIp(address) === address) return address as Ip;
    throw damaged(path, `lastReserved is ${quote(value)}, no IP address`);
  });
}

function readRanges(value: unknown, path: string): readonly RangeSet[] | undefined {
  if (value === undefined) return undefined;
  try {
    if (!Array.isArray(value)) throw new Malformed("a list of range sets", "it is none");
    return value.map((set: JsonObject[]) =>
      set.map(({ subnet, rangeStart, rangeEnd, gateway }) => ({
        subnet: parseCidr(subnet),
        start: parseIp(rangeStart),
        end: parseIp(rangeEnd),
        gateway: parseIp(gateway),
      }))
    );
  } catch (error) {
    throw damaged(path, `ranges is ${quote(value)}`, error);
  }
}
