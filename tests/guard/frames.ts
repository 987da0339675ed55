/** Forged Ethernet frames in hexadecimal; each contains a mark by which agents count it. */
export type Frame = string;

export type Bytes = readonly number[];

export const BROADCAST = "ff:ff:ff:ff:ff:ff";
const ARP = 0x0806;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const VLAN = 0x8100;
const ICMP6 = 58;
const UDP = 17;
const ALL_NODES = "ff02::1";

export const u16 = (value: number): Bytes => [(value >> 8) & 0xff, value & 0xff];
const text = (value: string): Bytes => [...new TextEncoder().encode(value)];
export const zeros = (count: number): Bytes => new Array(count).fill(0);
export const macBytes = (mac: string): Bytes => mac.split(":").map((part) => parseInt(part, 16));

export function markOf(mark: string): Bytes {
  return text(`guard:${mark};`);
}

export function addressBytes(address: string): Bytes {
  if (!address.includes(":")) return address.split(".").map(Number);
  const [head = "", tail] = address.split("::");
  const groups = (part: string) => part === "" ? [] : part.split(":").map((it) => parseInt(it, 16));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const filled = [...before, ...zeros(8 - before.length - after.length), ...after];
  return filled.flatMap((group) => u16(group));
}

export function checksum(bytes: Bytes): Bytes {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) {
    sum += ((bytes[at] ?? 0) << 8) + (bytes[at + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return u16(~sum & 0xffff);
}

/** The source MAC and the destination MAC of a frame. */
export interface Link {
  readonly from: string;
  readonly to: string;
}

export function frame({ from, to }: Link, type: number, payload: Bytes): Frame {
  const bytes = [...macBytes(to), ...macBytes(from), ...u16(type), ...payload];
  const padded = [...bytes, ...zeros(Math.max(0, 60 - bytes.length))];
  return padded.map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** An LLDP frame: a bridge passes it to its host on a path that many filters miss, and does not forward it. */
export function lldp(from: string): Frame {
  return frame({ from, to: "01:80:c2:00:00:0e" }, 0x88cc, zeros(46));
}

/** Inserts an IPv6 options header without effect before the payload of a packet. */
export function behindOptions(plain: Frame): Frame {
  const [link, length, next] = [
    plain.slice(0, 36),
    parseInt(plain.slice(36, 40), 16),
    plain.slice(40, 42),
  ];
  const longer = (length + 8).toString(16).padStart(4, "0");
  return `${link}${longer}3c${plain.slice(42, 108)}${next}00010400000000${plain.slice(108)}`;
}

/** Inserts VLAN tags with number 0, which a Linux receiver removes. */
export function tagged(plain: Frame, tags: number): Frame {
  const tag = `${VLAN.toString(16)}0000`;
  return plain.slice(0, 24) + tag.repeat(tags) + plain.slice(24);
}

export interface Claim extends Link {
  /** The claimed address, and its claimed MAC. */
  readonly address: string;
  readonly at: string;
  /** The address of the receiver. */
  readonly receiver: string;
  readonly mark: string;
}

/** ARP frames that claim 'ADDRESS is at MAC': a request, a reply and both gratuitous forms. */
export function arpClaims({ from, to, address, at, receiver, mark }: Claim): Frame[] {
  const arp = (operation: number, target: string) =>
    frame({ from, to }, ARP, [
      ...[0, 1, 8, 0, 6, 4],
      ...u16(operation),
      ...macBytes(at),
      ...addressBytes(address),
      ...macBytes(operation === 1 ? "00:00:00:00:00:00" : to),
      ...addressBytes(target),
      ...markOf(mark),
    ]);
  return [arp(1, receiver), arp(2, receiver), arp(1, address), arp(2, address)];
}

/**
 * The same claim by neighbour discovery: a solicited and an unsolicited advertisement and a solicitation from the
 * claimed address, and an advertisement from the address `source`.
 */
export function ndClaims(claim: Claim, source: string, router = false): Frame[] {
  const { from, to, address, at, receiver, mark } = claim;
  const flags = router ? 0x80 : 0;
  const option = (type: number): Bytes => [type, 1, ...macBytes(at)];
  // A receiver skips an unknown option.
  const rest = [253, 8, ...markOf(mark), ...zeros(62 - markOf(mark).length)];
  const body = (flag: number, target: string, type: number) => [
    ...[flag, 0, 0, 0],
    ...addressBytes(target),
    ...option(type),
    ...rest,
  ];
  const packet = (destination: string, type: number, bytes: Bytes, sender = address) =>
    frame({ from, to }, IPV6, icmp6(sender, destination, type, bytes));
  return [
    packet(receiver, 136, body(flags | 0x60, address, 2)),
    packet(ALL_NODES, 136, body(flags | 0x20, address, 2)),
    packet(receiver, 135, body(0, receiver, 1)),
    packet(receiver, 136, body(flags | 0x60, address, 2), source),
  ];
}

/** A router advertisement from the attacker's link-local address. */
export function routerAdvertisement(link: Link, source: string, mark: string): Frame {
  const rest = [253, 8, ...markOf(mark), ...zeros(62 - markOf(mark).length)];
  const body = [64, 0, ...u16(1800), ...zeros(8), 1, 1, ...macBytes(link.from), ...rest];
  return frame(link, IPV6, icmp6(source, ALL_NODES, 134, body));
}

export function icmp6(source: string, destination: string, type: number, body: Bytes): Bytes {
  const message = [type, 0, 0, 0, ...body];
  const sum = checksum([...pseudo(source, destination, message.length, ICMP6), ...message]);
  return ipv6(source, destination, ICMP6, [type, 0, ...sum, ...body]);
}

export function pseudo(
  source: string,
  destination: string,
  length: number,
  protocol: number,
): Bytes {
  return [...addressBytes(source), ...addressBytes(destination), 0, 0, ...u16(length), 0, 0, 0]
    .concat(protocol);
}

export function ipv6(source: string, destination: string, protocol: number, payload: Bytes): Bytes {
  return [
    ...[0x60, 0, 0, 0],
    ...u16(payload.length),
    ...[protocol, 255],
    ...addressBytes(source),
    ...addressBytes(destination),
    ...payload,
  ];
}

export function ipv4(source: string, destination: string, protocol: number, payload: Bytes): Bytes {
  const head = (sum: Bytes): Bytes => [
    ...[0x45, 0],
    ...u16(20 + payload.length),
    ...[0, 0, 0, 0, 64, protocol],
    ...sum,
    ...addressBytes(source),
    ...addressBytes(destination),
  ];
  return [...head(checksum(head([0, 0]))), ...payload];
}

export interface Datagram extends Link {
  readonly source: string;
  readonly destination: string;
  readonly ports?: readonly [source: number, destination: number];
  readonly mark: string;
}

/** A UDP datagram of either family. */
export function datagram(it: Datagram): Frame {
  const { source, destination, ports: [sport, dport] = [4809, 4809] } = it;
  const data = markOf(it.mark);
  const length = 8 + data.length;
  const head = (sum: Bytes): Bytes => [...u16(sport), ...u16(dport), ...u16(length), ...sum];
  if (!source.includes(":")) {
    return frame(it, IPV4, ipv4(source, destination, UDP, [...head([0, 0]), ...data]));
  }
  const sum = checksum([
    ...pseudo(source, destination, length, UDP),
    ...head([0, 0]),
    ...data,
  ]);
  return frame(it, IPV6, ipv6(source, destination, UDP, [...head(sum), ...data]));
}

/** An ICMP redirect with the source `router`: `victim` shall send packets for `destination` to `instead`. */
export function redirect(
  link: Link,
  way: { router: string; victim: string; destination: string; instead: string },
): Frame {
  // The redirect quotes an echo reply, because Linux then requires no matching socket.
  const answered = ipv4(way.victim, way.destination, 1, [0, 0, 0xff, 0xff, 0, 0, 0, 0]);
  const message = (sum: Bytes): Bytes => [5, 1, ...sum, ...addressBytes(way.instead), ...answered];
  const icmp = message(checksum(message([0, 0])));
  return frame(link, IPV4, ipv4(way.router, way.victim, 1, icmp));
}
