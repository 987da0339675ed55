import { contains, familyOf, formatCidr, type Ip, ipOf, valueOf } from "../base/address.ts";
import { CniError } from "../base/errors.ts";
import {
  type AddressRange,
  allocatingRange,
  familyOfSet,
  formatSet,
  inRange,
  isAllocatable,
  type RangeSet,
  reservedAs,
  sizeOf,
  subnetsOf,
} from "../base/range.ts";

/** The input of a choice. */
interface Wanted {
  readonly sets: readonly RangeSet[];
  /** The last allocated address of each set. */
  readonly last: readonly (Ip | undefined)[];
  /** The requested addresses, at most one of each set (rule H10). */
  readonly requested: readonly Ip[];
  /** The previous addresses of the attachment, kept if they can still be allocated. */
  readonly kept: readonly Ip[];
}

/**
 * Chooses one address of each set and returns them in the order of the sets. Returns the index of a set if all its addresses
 * are held. IPv4 is chosen first, so that an IPv6 address can take the same place in its range as the first IPv4 address. The
 * MAC of such a pair is derived from both addresses, so a pair that is allocated again keeps its MAC.
 */
export function choose(
  { sets, last, requested, kept }: Wanted,
  isHeld: (ip: Ip) => boolean,
): Ip[] | number {
  const chosen = new Map<RangeSet, Ip>();
  const isFree = (ip: Ip) => !isHeld(ip);
  const order = [...sets.entries()].sort(([, a], [, b]) =>
    (familyOfSet(a) ?? 4) - (familyOfSet(b) ?? 4)
  );
  for (const [index, set] of order) {
    const own = [...requested, ...kept].find((ip) => allocatingRange(set, ip) !== undefined);
    const [[from, v4] = []] = [...chosen].filter(([, ip]) => familyOf(ip) === 4);
    const pair = from && v4 && familyOfSet(set) === 6 ? atPlaceOf(from, v4, set) : undefined;
    const ip = own ??
      (pair !== undefined && isFree(pair) ? pair : candidates(set, last[index]).find(isFree));
    if (ip === undefined) return index;
    chosen.set(set, ip);
  }
  return sets.flatMap((set) => chosen.get(set) ?? []);
}

/** The address of `set` at the place that `ip` has in `from`. */
function atPlaceOf(from: RangeSet, ip: Ip, set: RangeSet): Ip | undefined {
  const place = from.findIndex((range) => inRange(range, ip));
  const range = from[place];
  const to = set[place] ?? set[0];
  if (range === undefined || to === undefined) return undefined;
  const pair = addressAt(to, placeOf(range, ip));
  return isAllocatable(to, pair) ? pair : undefined;
}

/** Whether the two are allocated together whenever both are free. */
export function isPair(sets: readonly RangeSet[], v4: Ip, v6: Ip): boolean {
  const from = sets.find((set) => isIn(set, v4));
  const to = sets.find((set) => isIn(set, v6));
  return from !== undefined && to !== undefined && atPlaceOf(from, v4, to) === v6;
}

export function isIn(set: RangeSet, ip: Ip): boolean {
  return set.some((range) => inRange(range, ip));
}

/** How many addresses of the range can be allocated before `ip`. */
function placeOf({ start, gateway }: AddressRange, ip: Ip): bigint {
  const place = valueOf(ip) - valueOf(start);
  return inRange({ start, end: ip }, gateway) ? place - 1n : place;
}

/** The address that has `place` allocatable addresses of the range before it. */
function addressAt({ start, gateway }: AddressRange, place: bigint): Ip {
  const ip = ipOf(valueOf(start) + place, familyOf(start));
  return inRange({ start, end: ip }, gateway) ? ipOf(valueOf(ip) + 1n, familyOf(ip)) : ip;
}

/**
 * Yields every allocatable address of the set once: next-fit after `last`, from range to range, and `last` itself at the end
 * (rule H12). If `last` is outside of the set, the order starts at the first range.
 */
function* candidates(set: RangeSet, last: Ip | undefined): Generator<Ip> {
  const at = set.findIndex((range) => last !== undefined && inRange(range, last));
  const first = set[at];
  const value = last === undefined ? 0n : valueOf(last);
  if (first !== undefined) yield* between(first, value + 1n, valueOf(first.end));
  for (const range of [...set.slice(at + 1), ...set.slice(0, Math.max(at, 0))]) {
    yield* between(range, valueOf(range.start), valueOf(range.end));
  }
  if (first !== undefined) yield* between(first, valueOf(first.start), value);
}

function* between(range: AddressRange, start: bigint, end: bigint): Generator<Ip> {
  const family = familyOf(range.start);
  for (let value = start; value <= end; value++) {
    const ip = ipOf(value, family);
    if (ip !== range.gateway && reservedAs(range.subnet, ip) === undefined) yield ip;
  }
}

/** Throws AddressUnavailable for a requested address that can never be allocated, and for two addresses of one set (rule H10). */
export function checkRequested(sets: readonly RangeSet[], requested: readonly Ip[]): void {
  const asked = new Map<RangeSet, Ip>();
  for (const ip of requested) {
    const set = sets.find((it) => allocatingRange(it, ip) !== undefined);
    if (set === undefined) throw unavailable(ip, whyUnavailable(sets, ip), rangesFor(sets, ip));
    const other = asked.get(set);
    if (other !== undefined) {
      throw unavailable(
        ip,
        `${other} is requested too, and an attachment gets one address of ${formatSet(set)}`,
        "request one of them",
      );
    }
    asked.set(set, ip);
  }
}

function whyUnavailable(sets: readonly RangeSet[], ip: Ip): string {
  const near = sets.flat().filter(({ subnet }) => contains(subnet, ip));
  const [range] = near;
  if (range === undefined) {
    const subnets = subnetsOf(sets).map(formatCidr).join(", ");
    return subnets === "" ? "the network allocates no addresses" : `it is outside ${subnets}`;
  }
  if (near.some(({ gateway }) => gateway === ip)) return "it is the gateway";
  if (reservedAs(range.subnet, ip) !== undefined) return "it is reserved in the subnet";
  return "it is outside the range";
}

function rangesFor(sets: readonly RangeSet[], ip: Ip): string {
  const same = sets.filter((set) => familyOfSet(set) === familyOf(ip));
  return same.length === 0
    ? "request none of that family"
    : `request one from ${same.map(formatSet).join(" or ").replaceAll(" - ", " to ")}`;
}

export function unavailable(asked: string, found: string, details: string): CniError {
  return new CniError(
    "AddressUnavailable",
    `Cannot allocate "${asked}" as requested: ${found}`,
    details,
  );
}

/** How many addresses of the set are free. The time depends on the number of held addresses, not on the size of the set. */
export function countFree(set: RangeSet, held: Iterable<Ip>): bigint {
  const size = set.reduce((all, range) => all + sizeOf(range), 0n);
  let taken = 0n;
  for (const ip of held) if (allocatingRange(set, ip) !== undefined) taken++;
  return size - taken;
}
