import type { Json } from "../integration/host.ts";
import type { Random } from "../random.ts";

/** Subnets of both families that do not overlap. */
const SUBNETS4 = [
  "10.86.0.0/24",
  "10.87.0.0/16",
  "10.90.0.64/26",
  "172.20.4.0/22",
  "192.168.77.0/29",
  "192.168.78.0/30",
  "100.64.0.0/10",
  "11.0.0.0/8",
] as const;
const SUBNETS6 = [
  "fd00:88::/64",
  "2001:db8:1::/48",
  "fd00:1:2:3::/112",
  "fd00:99::/126",
  "fd00:aa::/120",
  "fd00:bb:0:1::/96",
] as const;

/** One subnet, with the numbers of its addresses that a container can have. */
export class Subnet {
  readonly text: string;
  readonly isIpv6: boolean;
  readonly last: number;

  constructor(text: string) {
    this.text = text;
    this.isIpv6 = text.includes(":");
    const bits = (this.isIpv6 ? 128 : 32) - Number(text.split("/")[1]);
    // IPv4 without its broadcast address; the first part of a large subnet is enough.
    this.last = Math.min(2 ** bits - (this.isIpv6 ? 1 : 2), 50_000);
  }

  /** The address with that number: 0 is the network's address or the subnet-router anycast address. */
  at(number: number): string {
    const [base = ""] = this.text.split("/");
    if (this.isIpv6) return number === 0 ? base : `${base}${number.toString(16)}`;
    const value = base.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0) + number;
    return [24, 16, 8, 0].map((shift) => (value / 2 ** shift) & 255).join(".");
  }

  some(random: Random): string {
    return this.at(random.between(1, this.last));
  }
}

/** Different subnets of one family. */
export function subnets(random: Random, isIpv6: boolean, many: number): Subnet[] {
  const left: string[] = [...(isIpv6 ? SUBNETS6 : SUBNETS4)];
  return Array.from(
    { length: many },
    () => new Subnet(left.splice(random.between(0, left.length - 1), 1)[0] ?? ""),
  );
}

/** First and last address of a part of the subnet; rarely one that is empty or holds only the gateway. */
export function part(random: Random, { last }: Subnet): [number, number] {
  const start = random.between(random.chance(0.05) ? 0 : 1, last);
  return [start, random.between(random.chance(0.03) ? 1 : start, last)];
}

const TABLES = [0, 100, 253, 254, 255, 1000, 4294967295] as const;
const ELSEWHERE4 = ["10.200.0.0/16", "203.0.113.7/32", "0.0.0.0/0", "198.51.100.0/24"] as const;
const ELSEWHERE6 = ["2001:db8:ff::/48", "2001:db8:ee::7/128", "::/0", "fd12::/16"] as const;

/** A random route in host-local's format. */
export function route(random: Random, own: readonly Subnet[]): Json {
  const subnet = random.one(own);
  const gateway = () =>
    random.chance(0.08)
      ? subnet.isIpv6 ? "::" : "0.0.0.0"
      : random.chance(0.05)
      ? subnet.isIpv6 ? "2001:db8:77::1" : "203.0.113.1"
      : subnet.some(random);
  return {
    dst: random.one(subnet.isIpv6 ? ELSEWHERE6 : ELSEWHERE4),
    ...random.maybe(0.5, "gw", gateway),
    ...random.maybe(0.25, "table", () => random.one(TABLES)),
    ...random.maybe(0.2, "scope", () => random.one([0, 200, 253, 254])),
    ...random.maybe(0.25, "priority", () => random.one([0, 1, 512, 4294967295])),
    ...random.maybe(0.25, "mtu", () => random.one([0, 1280, 1400, 1500])),
    ...random.maybe(0.2, "advmss", () => random.one([0, 536, 1400])),
  };
}
