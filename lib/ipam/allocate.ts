import { familyOf, type Ip } from "../base/address.ts";
import { type Attachment, ownerKey } from "../base/attachment.ts";
import { CniError } from "../base/errors.ts";
import { type Mac, macOf, macOfAll } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import { formatSet, inRange, type RangeSet, usable } from "../base/range.ts";
import { checkRequested, choose, countFree, isIn, isPair, unavailable } from "./choose.ts";
import { containerMac, recordedMac, recordOf } from "./lease.ts";
import {
  addLease,
  dropLeases,
  findLease,
  holderOf,
  type Lease,
  type LeaseRecord,
  leasesOf,
  type State,
} from "./state.ts";

/** The addresses to choose from. */
export interface Pool {
  readonly sets: readonly RangeSet[];
  readonly requestedIps: readonly Ip[];
  /** The MAC of the bridge, which no container may have; `undefined` before there is a bridge. */
  readonly bridgeMac: string | undefined;
  /** MACs of other ports of the bridge, as far as they are known: no address with such a MAC is chosen. */
  readonly takenMacs?: ReadonlySet<string>;
}

/** The request of one attachment. */
export interface LeaseRequest extends Pool {
  /** The time of the request, as `now` returns it. */
  readonly since: string;
  readonly attachment: Attachment;
  /** The sets of the configuration. The runtime's `ipRanges` may make `sets` narrower, or add to them. */
  readonly configuredSets: readonly RangeSet[];
  /** MAC of the host veth that this run made. */
  readonly hostMac: Mac;
  readonly requestedMac: Mac | undefined;
  readonly pod: string | undefined;
  readonly bridge: InterfaceName;
  readonly guarded: boolean;
}

/**
 * Chooses the addresses of the request and puts them into `state`. An attachment keeps the addresses that it has. Throws
 * PoolExhausted or AddressUnavailable, and then leaves `state` as it is.
 */
export function allocate(state: State, request: LeaseRequest): Lease {
  const { attachment, sets, configuredSets, requestedIps, requestedMac } = request;
  checkRequested(sets, requestedIps);
  const own = findLease(state, attachment);
  const ips = chooseIps(state, request, own);
  if (requestedMac !== undefined) checkMac(state, request, requestedMac);
  if (own !== undefined) dropLeases(state, [own]);
  const { containerId, ifname } = attachment;
  const lease: Lease = {
    owner: { containerId, ifname },
    ips,
    record: requestedRecord(request, ips),
  };
  addLease(state, lease);
  state.lastReserved.splice(0, Infinity, ...lastReservedOf(state, request, ips));
  state.ranges = configuredSets;
  return lease;
}

function requestedRecord(request: LeaseRequest, ips: readonly Ip[]): LeaseRecord {
  const { sets, configuredSets, requestedMac } = request;
  const usual = macOfAll(ips);
  const mac = requestedMac === undefined && !isUsualPair(configuredSets, ips)
    ? usual
    : recordedMac(ips, requestedMac ?? usual);
  const isOutside = ips.some((ip) => !configuredSets.some((set) => isIn(set, ip)));
  const record = recordOf({ ...request, mac });
  return isOutside ? { ...record, ranges: sets.map(formatSet).join("; ") } : record;
}

/** Whether these addresses are always allocated together, so that each gets the same MAC again. `hasUsualMac` relies on it. */
function isUsualPair(sets: readonly RangeSet[], ips: readonly Ip[]): boolean {
  const [first, ...more] = ips.filter((ip) => familyOf(ip) === 4);
  const sixes = ips.filter((ip) => familyOf(ip) === 6);
  if (first === undefined) return sixes.length <= 1;
  return more.length === 0 && sixes.length <= 1 && sixes.every((ip) => isPair(sets, first, ip));
}

/** The last allocated address of each configured set, or of the request's own sets if the network has none. */
function lastReservedOf(
  { lastReserved }: State,
  { configuredSets }: LeaseRequest,
  ips: readonly Ip[],
): readonly Ip[] {
  if (configuredSets.length === 0) return ips;
  return configuredSets.flatMap((set) =>
    [...ips, ...lastReserved].find((ip) => isIn(set, ip)) ?? []
  );
}

/** Throws AddressUnavailable if the bridge or another lease has the MAC. */
function checkMac(state: State, request: LeaseRequest, mac: Mac): void {
  const { bridge, bridgeMac, attachment } = request;
  const holder = leasesOf(state).find((lease) =>
    containerMac(lease) === mac && ownerKey(lease.owner) !== ownerKey(attachment)
  );
  const found = mac === bridgeMac
    ? `the bridge "${bridge}" has it`
    : holder && `"${ownerKey(holder.owner)}" has it`;
  if (found !== undefined) throw unavailable(mac, found, "request another MAC, or none");
}

/**
 * Chooses one address of each set and changes nothing. Addresses of `own` come first; no other lease has a chosen address.
 * Throws PoolExhausted, and AddressUnavailable for a requested address that is held.
 */
export function chooseIps(
  state: State,
  { sets, requestedIps, bridgeMac, takenMacs }: Pool,
  own?: Lease,
): readonly Ip[] {
  const last = sets.map((set) => state.lastReserved.find((ip) => isIn(set, ip)));
  const wanted = { sets, last, requested: requestedIps, kept: own?.ips ?? [] };
  const gateways = new Set(sets.flat().map(({ gateway }) => gateway));
  // The bridge, or a lease with a requested MAC, may already have the MAC that is derived from the address.
  const isHeld = (ip: Ip) => {
    if (gateways.has(ip)) return true;
    if (holderOf(state, ip) !== undefined) return own === undefined || !own.ips.includes(ip);
    const mac = macOf(ip);
    return mac === bridgeMac || state.macs.has(mac) || takenMacs?.has(mac) === true;
  };
  const held = requestedIps.find(isHeld);
  if (held !== undefined) {
    const remedy = "remove that container first, or request another address";
    const holder = holderOf(state, held);
    const found = gateways.has(held)
      ? "it is the gateway"
      : holder === undefined
      ? "another container has its MAC"
      : `"${holder}" holds it`;
    throw unavailable(held, found, remedy);
  }
  const chosen = choose(wanted, isHeld);
  if (typeof chosen !== "number") return chosen;
  throw poolFull(sets[chosen] ?? []);
}

function poolFull(set: RangeSet): CniError {
  const [wider] = set.filter((range) =>
    Object.values(usable(range.subnet)).some((ip) => !inRange(range, ip))
  ).map(({ subnet }) => usable(subnet));
  const more = wider === undefined
    ? "put further containers into another network with its own subnet and bridge; the range is the whole subnet"
    : `widen the range: the subnet has ${wider.start} to ${wider.end}`;
  const [found, details] = countFree(set, []) === 0n ? ["the range is only the gateway", more] : [
    "all are held",
    `every address belongs to a live container (see atomicni list): remove some, or ${more}`,
  ];
  const message = `Cannot allocate an address of ${formatSet(set)}: ${found}`;
  return new CniError("PoolExhausted", message, details);
}
