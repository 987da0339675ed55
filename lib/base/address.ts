import { Malformed, quote } from "./errors.ts";

/**
 * An IPv4 or IPv6 address in its canonical spelling (a dotted quad, or RFC 5952): it compares with `===` and serves as a
 * key. Only this file creates one.
 */
export type Ip = string & { readonly __ip: true };

export type Family = 4 | 6;

/** A network: `base` has no host bit set. */
export interface Cidr {
  readonly base: Ip;
  readonly prefix: number;
}

/** An address with the prefix length of its network, as interfaces have it. */
export interface InterfaceAddress {
  readonly ip: Ip;
  readonly prefix: number;
}

const WANTED: Readonly<Record<Family, string>> = {
  4: "an IPv4 address (four decimal numbers from 0 to 255, no leading zeros)",
  6: "an IPv6 address (fd00::2)",
};
const BITS: Readonly<Record<Family, number>> = { 4: 32, 6: 128 };

/** The minimum MTU of IPv6, in bytes (RFC 8200 §5). The kernel disables IPv6 on a link with a smaller MTU. */
export const LEAST_MTU_IPV6 = 1280;

/** The family that `text` is meant for, whether it is an address or not. */
function familyIn(text: unknown): Family {
  return typeof text === "string" && text.includes(":") ? 6 : 4;
}

export const familyOf: (ip: Ip) => Family = familyIn;

/** Parses an address, of `family` if that is given. Throws `Malformed`. */
export function parseIp(text: unknown, family?: Family): Ip {
  const ip = typeof text === "string" ? tryIp(text) : undefined;
  if (ip !== undefined && (family === undefined || familyOf(ip) === family)) return ip;
  throw new Malformed(WANTED[family ?? familyIn(text)], foundIn(text, family));
}

/** Whether `text` is an address in its canonical spelling. */
export function isIp(text: string): text is Ip {
  return QUAD.test(text) || (text.includes(":") && tryIp(text) === text);
}

/** As `parseIp`; `undefined` if `text` is not an address. */
export function tryIp(text: string): Ip | undefined {
  if (!text.includes(":")) return QUAD.test(text) ? (text as Ip) : undefined;
  return /^[\da-fA-F:.]+$/.test(text) ? canonical(text) : undefined;
}

/**
 * A dotted quad without leading zeros, which is canonical. The group is written four times: V8 needs twice as long to
 * compile a repetition of three.
 */
const QUAD = /^(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}$/;

/**
 * An IPv6 address (RFC 4291 §2.2) as RFC 5952 spells it. URLs have the same spelling, but show a mapped IPv4 address (§5) in
 * hexadecimal digits.
 */
function canonical(text: string): Ip | undefined {
  const ip = URL.parse(`http://[${text}]`)?.hostname.slice(1, -1);
  const [, high, low = ""] = /^::ffff:([^:]+):([^:]+)$/.exec(ip ?? "") ?? [];
  if (high === undefined) return ip as Ip | undefined;
  return `::ffff:${ipOf(BigInt(`0x${high}${low.padStart(4, "0")}`), 4)}` as Ip;
}

export function valueOf(ip: Ip): bigint {
  if (familyOf(ip) === 4) {
    return BigInt(ip.split(".").reduce((value, octet) => value * 256 + Number(octet), 0));
  }
  if (ip.includes(".")) return 0xffff00000000n | valueOf(ip.slice("::ffff:".length) as Ip);
  const [head = [], tail = []] = ip.split("::").map((it) => it === "" ? [] : it.split(":"));
  const zeros = new Array<string>(8 - head.length - tail.length).fill("");
  return BigInt(`0x${[...head, ...zeros, ...tail].map((it) => it.padStart(4, "0")).join("")}`);
}

export function ipOf(value: bigint, family: Family): Ip {
  if (family === 4) {
    const quad = Number(value);
    return [quad >>> 24, (quad >>> 16) & 255, (quad >>> 8) & 255, quad & 255].join(".") as Ip;
  }
  const digits = value.toString(16).padStart(32, "0");
  return canonical(digits.replaceAll(/.{4}(?=.)/g, "$&:")) as Ip;
}

function foundIn(text: unknown, family: Family | undefined): string {
  if (typeof text !== "string") return `got ${quote(text)}`;
  if (family !== undefined && familyIn(text) !== family) return `it is of IPv${familyIn(text)}`;
  if (/(^|\.)0\d/.test(text)) return "a number has a leading zero";
  return "it is not of that form";
}

/** `10.1.2.3/24`, `fd00::2/64` → address and prefix length. Throws `Malformed`. */
export function parseInterfaceAddress(text: unknown, family?: Family): InterfaceAddress {
  const of = family ?? familyIn(text);
  const example = of === 6 ? "fd00::2/64" : "10.1.2.3/24";
  const wanted = `an IPv${of} address with prefix length (${example})`;
  if (typeof text !== "string") throw new Malformed(wanted, `got ${quote(text)}`);
  const [address = "", ...more] = text.split("/");
  const ip = tryIp(address);
  if (ip === undefined || familyOf(ip) !== of) {
    throw new Malformed(wanted, foundIn(address, family));
  }
  if (more.length === 0) throw new Malformed(wanted, "it has no prefix length");
  const length = more.join("/");
  if (!/^(\d|[1-9]\d{1,2})$/.test(length) || Number(length) > BITS[of]) {
    const found = `prefix length ${quote(length)} is not a number from 0 to ${BITS[of]}`;
    throw new Malformed(wanted, found);
  }
  return { ip, prefix: Number(length) };
}

/** `10.1.2.0/24`, `fd00::/64` → network. Throws `Malformed`; for set host bits, the error shows the right value. */
export function parseCidr(text: unknown, family?: Family): Cidr {
  const { ip, prefix } = parseInterfaceAddress(text, family);
  const network = networkOf(ip, prefix);
  if (network.base !== ip) {
    const wanted = `an IPv${familyOf(ip)} network`;
    throw new Malformed(wanted, `host bits are set; the network is ${formatCidr(network)}`);
  }
  return network;
}

export function formatCidr({ base, prefix }: Cidr): string {
  return `${base}/${prefix}`;
}

export function formatInterfaceAddress({ ip, prefix }: InterfaceAddress): string {
  return `${ip}/${prefix}`;
}

export function extentOf({ base, prefix }: Cidr): bigint {
  return 1n << BigInt(BITS[familyOf(base)] - prefix);
}

/** The network of an address with a prefix length. */
export function networkOf(ip: Ip, prefix: number): Cidr {
  const family = familyOf(ip);
  const hosts = BigInt(BITS[family] - prefix);
  return { base: ipOf((valueOf(ip) >> hosts) << hosts, family), prefix };
}

export function contains({ base, prefix }: Cidr, ip: Ip): boolean {
  return familyOf(base) === familyOf(ip) && networkOf(ip, prefix).base === base;
}

export function overlap(left: Cidr, right: Cidr): boolean {
  return left.prefix <= right.prefix ? contains(left, right.base) : contains(right, left.base);
}

export function sameNetwork(left: Cidr, right: Cidr): boolean {
  return left.base === right.base && left.prefix === right.prefix;
}

/** Whether the address is in fe80::/10. */
export function isLinkLocal(ip: string): boolean {
  return /^fe[89ab][0-9a-f]:/.test(ip);
}

/** IPv4 before IPv6, each from low to high. */
export function compareIps(left: Ip, right: Ip): number {
  return familyOf(left) - familyOf(right) || Number(valueOf(left) - valueOf(right));
}

/** The default route's destination. */
export const DEFAULT_ROUTE: Readonly<Record<Family, Cidr>> = {
  4: { base: "0.0.0.0" as Ip, prefix: 0 },
  6: { base: "::" as Ip, prefix: 0 },
};
