import {
  contains,
  type Family,
  familyOf,
  formatCidr,
  type Ip,
  parseIp,
  sameNetwork,
  valueOf,
} from "../base/address.ts";
import { CniError } from "../base/errors.ts";
import { Fields, isObject, parseList } from "../base/fields.ts";
import {
  type AddressRange,
  familyOfSet,
  formatRange,
  inRange,
  overlapping,
  parseSubnet,
  type RangeSet,
  reservedAs,
  usable,
} from "../base/range.ts";

/** A range of host-local (rules H3 to H5): the default gateway is the first usable address. `isUsed`: a bridge carries it. */
export function readHostLocalRange(fields: Fields, isUsed: boolean): AddressRange {
  const subnet = fields.required("subnet", parseSubnet);
  const family = familyOf(subnet.base);
  const { start, end } = usable(subnet);
  const gateway = fields.unlessEmpty("gateway", (it) => parseIp(it, family)) ?? start;
  if (isUsed) checkGateway(fields, { subnet, gateway });
  return readRange(fields, { subnet, gateway, start, end });
}

/** The range between two keys of `fields`; `range` has its default ends. Throws InvalidNetworkConfig. */
export function readRange(
  fields: Fields,
  { subnet, gateway, ...ends }: AddressRange,
  startKey = "rangeStart",
  endKey = "rangeEnd",
): AddressRange {
  const family = familyOf(subnet.base);
  const all = usable(subnet);
  const end = (key: string, otherwise: Ip): Ip => {
    const ip = fields.unlessEmpty(key, (it) => parseIp(it, family)) ?? otherwise;
    if (!contains(subnet, ip)) {
      fields.reject(key, `an address in ${formatCidr(subnet)}`, "it is outside the subnet");
    }
    return ip;
  };
  const first = end(startKey, ends.start);
  const last = end(endKey, ends.end);
  if (valueOf(first) > valueOf(last)) {
    const found = `it is before the start, ${first}`;
    fields.reject(endKey, "the end of the range", found, "swap the two");
  }
  const reserved = reservedAs(subnet, first);
  if (reserved !== undefined && first === last) {
    const found = `it is ${reserved} alone, which no host may have`;
    fields.reject(startKey, "the start of a range", found, `choose from ${formatRange(all)}`);
  }
  return {
    subnet,
    gateway,
    start: inRange(all, first) ? first : all.start,
    end: inRange(all, last) ? last : all.end,
  };
}

/** Throws code 7 for a gateway that no host of the subnet may have. */
export function checkGateway(
  fields: Fields,
  { subnet, gateway }: Pick<AddressRange, "subnet" | "gateway">,
  key = "gateway",
): void {
  const found = contains(subnet, gateway) ? reservedAs(subnet, gateway) : "outside the subnet";
  if (found === undefined) return;
  const { start, end } = usable(subnet);
  const wanted = `a gateway in ${formatCidr(subnet)}`;
  fields.reject(key, wanted, `it is ${found}`, `choose one from ${start} to ${end}`);
}

/** The range sets under `key` (rules H1, H9). `readOne` gets each range with the index of its set. */
export function readSets(
  fields: Fields,
  key: string,
  readOne: (range: Fields, index: number) => AddressRange,
): RangeSet[] {
  const sets = fields.list(key, parseList) ?? [];
  return sets.map((ranges, index) => {
    const set = ranges.map((range, place) => {
      if (!isObject(range)) return fields.reject(key, "range sets", "a range is not an object");
      return readOne(new Fields(range, `${fields.at}${key}[${index}][${place}].`), index);
    });
    const [first] = set;
    if (first === undefined) {
      return fields.reject(key, "range sets", `set ${index} is empty`, "leave the set out");
    }
    const other = set.find(({ subnet }) => familyOf(subnet.base) !== familyOf(first.start));
    if (other !== undefined) {
      const found = `set ${index} mixes ${formatCidr(first.subnet)} and ${
        formatCidr(other.subnet)
      }`;
      return fields.reject(key, "range sets", found, "give each address family a set of its own");
    }
    return set;
  });
}

/** Throws code 7 if two ranges, of one set or of two, share an address (rule H1). */
export function checkOverlaps(sets: readonly RangeSet[]): void {
  const ranges = sets.flat();
  for (const [index, left] of ranges.entries()) {
    const right = ranges.slice(index + 1).find((it) => overlapping(left, it));
    if (right === undefined) continue;
    throw new CniError(
      "InvalidNetworkConfig",
      `Cannot use ${formatRange(left)} and ${formatRange(right)} as two ranges: they overlap`,
      "give each address to one range; runtimeConfig.ipRanges counts as well",
    );
  }
}

/**
 * The configured sets, each replaced by the part of it that the runtime names (`runtimeConfig.ipRanges`, rule C4). Throws
 * InvalidNetworkConfig for anything that is not a part of them.
 */
export function narrowed(sets: readonly RangeSet[], root: Fields): readonly RangeSet[] {
  const firsts = new Map<Family, number>();
  const asked = readSets(root.object("runtimeConfig"), "ipRanges", (fields, index) => {
    const part = readPart(fields, sets);
    const family = familyOf(part.start);
    if (!firsts.has(family)) firsts.set(family, index);
    if (firsts.get(family) === index) return part;
    const found = `an earlier set has IPv${family} too`;
    return fields.reject(
      "subnet",
      "the one set of its family",
      found,
      "put its ranges into one set",
    );
  });
  checkOverlaps(asked);
  return sets.map((own) => asked.find((set) => familyOfSet(set) === familyOfSet(own)) ?? own);
}

/** A range inside the network's of that family, whose ends are the defaults. */
function readPart(fields: Fields, sets: readonly RangeSet[]): AddressRange {
  const subnet = fields.required("subnet", parseSubnet);
  const family = familyOf(subnet.base);
  const own = sets.flat().find(({ start }) => familyOf(start) === family);
  if (own === undefined || !sameNetwork(subnet, own.subnet)) {
    const found = own === undefined
      ? `the network has no IPv${family} subnet`
      : `the network's subnet is ${formatCidr(own.subnet)}`;
    return fields.reject("subnet", "a part of the pool", found);
  }
  const { gateway } = own;
  if ((fields.unlessEmpty("gateway", (it) => parseIp(it, family)) ?? gateway) !== gateway) {
    const found = `the network's gateway is ${gateway}`;
    fields.reject("gateway", "the gateway of a part of the pool", found, "leave it out");
  }
  const part = readRange(fields, own);
  for (const [key, ip] of [["rangeStart", part.start], ["rangeEnd", part.end]] as const) {
    if (inRange(own, ip)) continue;
    fields.reject(key, "a part of the pool", `the network has ${formatRange(own)}`);
  }
  return part;
}
