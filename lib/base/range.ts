import {
  type Cidr,
  contains,
  extentOf,
  type Family,
  familyOf,
  formatCidr,
  type Ip,
  ipOf,
  overlap,
  parseCidr,
  valueOf,
} from "./address.ts";
import { Malformed } from "./errors.ts";

/** The addresses of one subnet that a network may allocate, both ends included. */
export interface AddressRange {
  readonly subnet: Cidr;
  readonly start: Ip;
  readonly end: Ip;
  /** Never allocated, inside or outside the range. */
  readonly gateway: Ip;
}

/** Ranges of one family; an attachment gets one address of each set (rule H1). */
export type RangeSet = readonly AddressRange[];

export function familyOfSet([range]: RangeSet): Family | undefined {
  return range && familyOf(range.start);
}

/** Allowed prefix lengths of a network's subnet. */
const PREFIXES: Readonly<Record<Family, { least: number; most: number }>> = {
  4: { least: 8, most: 30 },
  6: { least: 8, most: 126 },
};

/** Networks whose addresses no container can have, and their purpose. */
const UNUSABLE: Readonly<Record<Family, readonly (Cidr & { readonly purpose: string })[]>> = {
  4: [
    unusableNetwork("0.0.0.0", 8, "0/8 is for hosts without an address"),
    unusableNetwork("127.0.0.0", 8, "127/8 is for loopback"),
    unusableNetwork("169.254.0.0", 16, "169.254/16 is link-local"),
    unusableNetwork("224.0.0.0", 4, "224/4 is for multicast"),
  ],
  6: [
    unusableNetwork("::", 96, "::/96 is for loopback and hosts without an address"),
    unusableNetwork("::ffff:0.0.0.0", 96, "::ffff/96 is for mapped IPv4 addresses"),
    unusableNetwork("fe80::", 10, "fe80::/10 is link-local"),
    unusableNetwork("ff00::", 8, "ff00::/8 is for multicast"),
  ],
};

/** Takes a canonical address without host bits. */
function unusableNetwork(base: string, prefix: number, purpose: string) {
  return { base: base as Ip, prefix, purpose };
}

/** Parses a network's subnet (docs/configure.md), of `family` if that is given. Throws `Malformed`. */
export function parseSubnet(value: unknown, family?: Family): Cidr {
  const subnet = parseCidr(value, family);
  const of = familyOf(subnet.base);
  const { least, most } = PREFIXES[of];
  const { prefix } = subnet;
  if (prefix < least || prefix > most) {
    throw new Malformed(
      `a subnet from /${least} to /${most}`,
      `/${prefix} is ${prefix < least ? "too large" : "too small"}`,
    );
  }
  const purpose = UNUSABLE[of].find((it) => overlap(it, subnet))?.purpose;
  if (purpose !== undefined) throw new Malformed("a subnet of unicast addresses", purpose);
  return subnet;
}

/** The last address of a network; the broadcast address of an IPv4 network. */
function lastAddress(subnet: Cidr): Ip {
  return ipOf(valueOf(subnet.base) + extentOf(subnet) - 1n, familyOf(subnet.base));
}

/** The first and last address of a host: without network, broadcast and subnet-router anycast address. */
export function usable(subnet: Cidr): { readonly start: Ip; readonly end: Ip } {
  const family = familyOf(subnet.base);
  const end = valueOf(lastAddress(subnet)) - (family === 4 ? 1n : 0n);
  return { start: ipOf(valueOf(subnet.base) + 1n, family), end: ipOf(end, family) };
}

/** The purpose of a reserved address in its subnet; `undefined` for a host's address. */
export function reservedAs({ base, prefix }: Cidr, ip: Ip): string | undefined {
  if (ip === base) {
    return familyOf(ip) === 4 ? "the network address" : "the subnet-router anycast address";
  }
  return familyOf(ip) === 4 && ip === lastAddress({ base, prefix })
    ? "the broadcast address"
    : undefined;
}

/** Whether `ip` is between the ends of the range, ends included. */
export function inRange({ start, end }: Pick<AddressRange, "start" | "end">, ip: Ip): boolean {
  if (familyOf(start) !== familyOf(ip)) return false;
  const value = valueOf(ip);
  return valueOf(start) <= value && value <= valueOf(end);
}

/** Whether the range may allocate `ip`: inside, neither the gateway nor reserved. */
export function isAllocatable(range: AddressRange, ip: Ip): boolean {
  return inRange(range, ip) && ip !== range.gateway && reservedAs(range.subnet, ip) === undefined;
}

/** The range of the set that may allocate `ip`. */
export function allocatingRange(set: RangeSet, ip: Ip): AddressRange | undefined {
  return set.find((range) => isAllocatable(range, ip));
}

/** Whether an address is in both ranges. */
export function overlapping(left: AddressRange, right: AddressRange): boolean {
  return inRange(left, right.start) || inRange(left, right.end) || inRange(right, left.start);
}

/** The number of addresses that the range may allocate. */
export function sizeOf(range: AddressRange): bigint {
  const { subnet, start, end, gateway } = range;
  const skipped = [...new Set([gateway, subnet.base, lastAddress(subnet)])].filter((ip) =>
    inRange(range, ip) && !isAllocatable(range, ip)
  );
  return valueOf(end) - valueOf(start) + 1n - BigInt(skipped.length);
}

/** `10.86.0.2 - 10.86.0.9`, as messages have it. */
export function formatRange({ start, end }: Pick<AddressRange, "start" | "end">): string {
  return `${start} - ${end}`;
}

/** All ranges of a set, as messages have them. */
export function formatSet(set: RangeSet): string {
  return set.map(formatRange).join(", ");
}

/** The subnets of a network, each once. */
export function subnetsOf(sets: readonly RangeSet[]): Cidr[] {
  return [...new Map(sets.flat().map(({ subnet }) => [formatCidr(subnet), subnet])).values()];
}

/** The sets as one line: equal sets have equal lines. */
export function formatRanges(sets: readonly RangeSet[]): string {
  const one = ({ subnet, start, end, gateway }: AddressRange) =>
    `${formatCidr(subnet)} ${start} ${end} ${gateway}`;
  return sets.map((set) => set.map(one).join(",")).join(";");
}

/** Whether a subnet of the sets contains `ip`. */
export function isInSubnets(sets: readonly RangeSet[], ip: Ip): boolean {
  return sets.flat().some(({ subnet }) => contains(subnet, ip));
}
