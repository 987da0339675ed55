import { Malformed, quote } from "./errors.ts";

/** An IPv4 address as an unsigned 32-bit number; only `parseIpv4` and arithmetic inside this file make one. */
export type Ipv4 = number & { readonly __ipv4: true };

/** An IPv4 network: `base` has no bit set behind `prefix`. */
export interface Cidr {
  readonly base: Ipv4;
  readonly prefix: number;
}

/** An address with the prefix length of its network, as an interface carries it. */
export interface InterfaceAddress {
  readonly ip: Ipv4;
  readonly prefix: number;
}

/** Inclusive range of addresses. */
export interface Range {
  readonly start: Ipv4;
  readonly end: Ipv4;
}

const WANTED = "an IPv4 address (four decimal numbers from 0 to 255, no leading zeros)";

/** The address in `text`, strictly a decimal dotted quad. Throws `Malformed`. */
export function parseIpv4(text: unknown): Ipv4 {
  const ip = typeof text === "string" ? tryIpv4(text) : undefined;
  if (ip === undefined) throw new Malformed(WANTED, found(text));
  return ip;
}

/** As `parseIpv4`, `undefined` where it is none: the form for loops over many addresses, digit by digit for speed. */
export function tryIpv4(text: string): Ipv4 | undefined {
  let ip = 0;
  let octet = -1;
  let octets = 0;
  for (let i = 0; i <= text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit >= 0 && digit <= 9) {
      if (octet === 0) return undefined;
      octet = octet < 0 ? digit : octet * 10 + digit;
      if (octet > 255) return undefined;
    } else {
      const isEnd = i === text.length;
      if (octet < 0 || (isEnd ? octets !== 3 : text[i] !== "." || octets === 3)) return undefined;
      ip = ip * 256 + octet;
      octet = -1;
      octets++;
    }
  }
  return ip as Ipv4;
}

function found(text: unknown): string {
  if (typeof text !== "string") return `got ${quote(text)}`;
  if (text.includes(":")) return "this plugin is IPv4 only";
  if (/(^|\.)0\d/.test(text)) return "a number has a leading zero";
  return "it is not of that form";
}

export function formatIpv4(ip: Ipv4): string {
  return `${ip >>> 24}.${(ip >>> 16) & 255}.${(ip >>> 8) & 255}.${ip & 255}`;
}

/** `10.1.2.3/24` → address and prefix length. Throws `Malformed`. */
export function parseInterfaceAddress(text: unknown): InterfaceAddress {
  const wanted = "an IPv4 address with prefix length (10.1.2.3/24)";
  if (typeof text !== "string") throw new Malformed(wanted, `got ${quote(text)}`);
  const slash = text.indexOf("/");
  if (slash < 0) {
    throw new Malformed(wanted, text.includes(":") ? found(text) : "it has no prefix length");
  }
  const ip = tryIpv4(text.slice(0, slash));
  if (ip === undefined) throw new Malformed(wanted, found(text.slice(0, slash)));
  const length = text.slice(slash + 1);
  if (!/^(\d|[1-9]\d)$/.test(length) || Number(length) > 32) {
    throw new Malformed(wanted, `prefix length ${quote(length)} is not a number from 0 to 32`);
  }
  return { ip, prefix: Number(length) };
}

/** `10.1.2.0/24` → network. Host bits that are set are an error that shows the right value. */
export function parseCidr(text: unknown): Cidr {
  const { ip, prefix } = parseInterfaceAddress(text);
  const base = networkOf(ip, prefix);
  if (base !== ip) {
    const right = formatCidr({ base, prefix });
    throw new Malformed("an IPv4 network", `host bits are set; the network is ${right}`);
  }
  return { base, prefix };
}

export function formatCidr({ base, prefix }: Cidr): string {
  return `${formatIpv4(base)}/${prefix}`;
}

export function formatInterfaceAddress({ ip, prefix }: InterfaceAddress): string {
  return `${formatIpv4(ip)}/${prefix}`;
}

export function networkOf(ip: Ipv4, prefix: number): Ipv4 {
  const hosts = 2 ** (32 - prefix);
  return (Math.floor(ip / hosts) * hosts) as Ipv4;
}

export function broadcastOf({ base, prefix }: Cidr): Ipv4 {
  return (base + 2 ** (32 - prefix) - 1) as Ipv4;
}

/** First and last address that a host may have: neither network nor broadcast address. */
export function usable(subnet: Cidr): Range {
  return { start: (subnet.base + 1) as Ipv4, end: (broadcastOf(subnet) - 1) as Ipv4 };
}

export function contains({ base, prefix }: Cidr, ip: Ipv4): boolean {
  return networkOf(ip, prefix) === base;
}

export function inRange({ start, end }: Range, ip: Ipv4): boolean {
  return start <= ip && ip <= end;
}

export function sizeOf({ start, end }: Range): number {
  return end - start + 1;
}

/** The address behind `ip` in the range, wrapping at its end; an address outside leads to the start. */
export function after(ip: Ipv4, range: Range): Ipv4 {
  return inRange(range, ip) && ip !== range.end ? ((ip + 1) as Ipv4) : range.start;
}
