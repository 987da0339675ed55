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
  formatRange,
  inRange,
  parseSubnet,
  type RangeSet,
  reservedAs,
  usable,
} from "../base/range.ts";

/** A range of host-local (rules H3 to H5): the gateway is the first usable address where none is named. */
export function readHostLocalRange(fields: Fields): AddressRange {
  const subnet = fields.required("subnet", parseSubnet);
  const family = familyOf(subnet.base);
  const gateway = fields.optional("gateway", (it) => parseIp(it, family)) ?? usable(subnet).start;
  return readRange(fields, { subnet, gateway, startKey: "rangeStart", endKey: "rangeEnd" });
}

/** Which part of a subnet is given. */
export interface RangeKeys extends Pick<AddressRange, "subnet" | "gateway"> {
  readonly startKey: string;
  readonly endKey: string;
}

/** The range between two keys of `fields`; without them all that hosts may have. Throws InvalidNetworkConfig. */
export function readRange(
  fields: Fields,
  { subnet, gateway, startKey, endKey }: RangeKeys,
): AddressRange {
  const family = familyOf(subnet.base);
  const all = usable(subnet);
  const end = (key: string, otherwise: Ip): Ip => {
    const ip = fields.optional(key, (it) => parseIp(it, family)) ?? otherwise;
    if (!contains(subnet, ip)) {
      fields.reject(key, `an address in ${formatCidr(subnet)}`, "it is outside the subnet");
    }
    return ip;
  };
  const first = end(startKey, all.start);
  const last = end(endKey, all.end);
  if (valueOf(first) > valueOf(last)) {
    const found = `it is before the start, ${first}`;
    fields.reject(endKey, "the end of the range", found, "swap the two");
  }
  const range: AddressRange = {
    subnet,
    gateway,
    start: inRange(all, first) ? first : all.start,
    end: inRange(all, last) ? last : all.end,
  };
  if (reservedAs(subnet, first) !== undefined && first === last) {
    const found = `it is ${reservedAs(subnet, first)} alone, which no host may have`;
    fields.reject(startKey, "the start of a range", found, `choose from ${formatRange(all)}`);
  }
  return range;
}

/** Code 7 for a gateway that no host of the subnet may have. */
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

/** The range sets under `key`, each with the fields it was read from (rules H1, H9). */
export function readSets(fields: Fields, key: string): { set: RangeSet; from: Fields[] }[] {
  const sets = fields.list(key, parseList) ?? [];
  return sets.map((ranges, index) => {
    const at = `${fields.at}${key}[${index}]`;
    const from = ranges.map((range, place) => {
      if (!isObject(range)) return fields.reject(key, "range sets", "a range is no object");
      return new Fields(range, `${at}[${place}].`);
    });
    const set = from.map(readHostLocalRange);
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
    return { set, from };
  });
}

/** Code 7 where an address could be given twice: by two ranges of one set, or of two (rule H1). */
export function checkOverlaps(sets: readonly RangeSet[]): void {
  const ranges = sets.flat();
  for (const [index, left] of ranges.entries()) {
    const right = ranges.slice(index + 1).find((it) =>
      inRange(left, it.start) || inRange(left, it.end) || inRange(it, left.start)
    );
    if (right === undefined) continue;
    throw new CniError(
      "InvalidNetworkConfig",
      `Cannot use ${formatRange(left)} and ${formatRange(right)} as two ranges: they overlap`,
      { details: "give each address to one range; runtimeConfig.ipRanges counts as well" },
    );
  }
}

/**
 * The configured sets, where the runtime narrows the one of the same subnet (`runtimeConfig.ipRanges`, rule C4). Throws
 * InvalidNetworkConfig for a subnet that is not the network's.
 */
export function narrowed(sets: readonly RangeSet[], root: Fields): readonly RangeSet[] {
  return readSets(root.object("runtimeConfig"), "ipRanges").reduce(
    (all, { set, from }) => {
      const [wanted] = set;
      const family: Family = familyOf(wanted?.start ?? ("0.0.0.0" as Ip));
      const known = all.find(([range]) => range !== undefined && familyOf(range.start) === family);
      const [own] = known ?? [];
      if (wanted === undefined || own === undefined || !sameNetwork(wanted.subnet, own.subnet)) {
        const found = own === undefined
          ? `the network has no IPv${family} subnet`
          : `the network's subnet is ${formatCidr(own.subnet)}`;
        return from[0]?.reject("subnet", "a part of the pool", found) ?? all;
      }
      const narrow = set.map((range) => ({ ...range, gateway: own.gateway }));
      return all.map((it) => it === known ? narrow : it);
    },
    sets,
  );
}
