import {
  addressBytes,
  type Bytes,
  datagram,
  type Frame,
  frame,
  icmp6,
  ipv4,
  ipv6,
  macBytes,
  markOf,
  zeros,
} from "../../guard/frames.ts";
import { FOREIGN, OUTSIDE } from "./network.ts";
import { echo4, igmp, redirect4, routerAdvertisement, tcp } from "./packets.ts";
import type { Claim, Spec, Target } from "./spec.ts";

/** One party's MAC and addresses. */
export interface Party {
  readonly mac: string;
  readonly 4: string;
  readonly 6: string;
  readonly linkLocal: string;
}

/** Addresses from which frames are composed. `gateway` has the bridge's MAC and link-local address. */
export interface Facts {
  readonly own: Party;
  readonly neighbour: Party;
  readonly gateway: Party;
  /** The address of each target, in each family. */
  readonly reach: Readonly<Record<Target, Readonly<Record<4 | 6, string>>>>;
}

const ARP = 0x0806;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const ALL_NODES = "ff02::1";
const RANDOM_MAC = "02:aa:bb:cc:dd:ee";
const TAG = { "802.1Q": "81000000", "802.1ad": "88a80000" } as const;

function destination(to: Spec["to"], facts: Facts): string {
  if (typeof to === "number") return `01:80:c2:00:00:0${to.toString(16)}`;
  return {
    host: facts.gateway.mac,
    neighbour: facts.neighbour.mac,
    own: facts.own.mac,
    broadcast: "ff:ff:ff:ff:ff:ff",
    multicast4: "01:00:5e:00:00:01",
    multicast6: "33:33:00:00:00:01",
  }[to];
}

function source(from: Spec["from"], facts: Facts): string {
  return {
    own: facts.own.mac,
    neighbour: facts.neighbour.mac,
    bridge: facts.gateway.mac,
    zero: "00:00:00:00:00:00",
    multicast: "01:00:5e:00:00:07",
    random: RANDOM_MAC,
  }[from];
}

/** The claimed address in a family; IPv4 has link-local addresses too, but no party has any. */
export function claimed(claim: Claim, family: 4 | 6, facts: Facts): string {
  const linkLocal = (party: Party, last: number) =>
    family === 6 ? party.linkLocal : `169.254.0.${last}`;
  return {
    own: facts.own[family],
    neighbour: facts.neighbour[family],
    gateway: facts.gateway[family],
    foreign: FOREIGN[family],
    zero: family === 4 ? "0.0.0.0" : "::",
    "own link-local": linkLocal(facts.own, 1),
    "neighbour link-local": linkLocal(facts.neighbour, 2),
    "gateway link-local": linkLocal(facts.gateway, 3),
    "foreign link-local": family === 6 ? "fe80::bad" : "169.254.0.4",
  }[claim];
}

/** The frame of a spec, with the tags before its type. */
export function compose(spec: Spec, facts: Facts, mark: string): Frame {
  const link = { from: source(spec.from, facts), to: destination(spec.to, facts) };
  const plain = payload(spec, facts, mark, link);
  const tags = {
    none: "",
    "802.1Q": TAG["802.1Q"],
    "802.1ad": TAG["802.1ad"],
    both: TAG["802.1ad"] + TAG["802.1Q"],
  }[spec.tags];
  return plain.slice(0, 24) + tags + plain.slice(24);
}

interface Link {
  readonly from: string;
  readonly to: string;
}

function payload(spec: Spec, facts: Facts, mark: string, link: Link): Frame {
  const { kind, claim, target } = spec;
  const [source4, source6] = [claimed(claim, 4, facts), claimed(claim, 6, facts)];
  const { 4: to4, 6: to6 } = facts.reach[target];
  const at = spec.from === "own" ? facts.own.mac : link.from;
  const data = markOf(mark);
  const option = [253, 8, ...data, ...zeros(62 - data.length)];
  const nd = (type: number, body: Bytes, from = source6, to = to6) =>
    frame(link, IPV6, icmp6(from, to, type, [...body, ...option]));
  const mld = (type: number, group: string, to: string) => {
    const message = icmp6(source6, to, type, [
      ...zeros(4),
      ...addressBytes(group),
      ...zeros(4),
      ...data,
    ]);
    const routerAlert = [58, 0, 5, 2, 0, 0, 1, 0];
    return frame(link, IPV6, ipv6(source6, to, 0, [...routerAlert, ...message.slice(40)]));
  };
  const ports = (from: number, to: number) => [from, to] as const;
  switch (kind) {
    case "ARP request":
    case "ARP reply":
      return frame(link, ARP, [
        ...[0, 1, 8, 0, 6, 4, 0, kind === "ARP request" ? 1 : 2],
        ...macBytes(at),
        ...addressBytes(source4),
        ...macBytes(kind === "ARP request" ? "00:00:00:00:00:00" : link.to),
        ...addressBytes(to4),
        ...data,
      ]);
    case "NS":
      return nd(135, [...zeros(4), ...addressBytes(to6), 1, 1, ...macBytes(at)]);
    case "NA":
    case "NA from own":
      return nd(
        136,
        [0xa0, 0, 0, 0, ...addressBytes(source6), 2, 1, ...macBytes(at)],
        kind === "NA" ? source6 : facts.own.linkLocal,
      );
    case "RS":
      return nd(133, [...zeros(4), 1, 1, ...macBytes(at)]);
    case "RA":
      return nd(134, routerAdvertisement(at, facts.neighbour[6]));
    case "redirect6":
      return nd(137, [
        ...zeros(4),
        ...addressBytes(facts.own.linkLocal),
        ...addressBytes(OUTSIDE[6]),
      ]);
    case "redirect4":
      return frame(link, IPV4, redirect4(source4, to4, facts.own[4], data));
    case "MLD query":
      return mld(130, "::", ALL_NODES);
    case "MLD report":
      return mld(131, "ff02::1:ff00:2", "ff02::1:ff00:2");
    case "IGMP query":
      return frame(link, IPV4, ipv4(source4, "224.0.0.1", 2, igmp(0x11, "0.0.0.0", data)));
    case "IGMP report":
      return frame(link, IPV4, ipv4(source4, "224.1.2.3", 2, igmp(0x16, "224.1.2.3", data)));
    case "DHCPv4":
      return datagram({ ...link, source: source4, destination: to4, ports: ports(67, 68), mark });
    case "DHCPv6":
      return datagram({ ...link, source: source6, destination: to6, ports: ports(547, 546), mark });
    case "UDPv4":
      return datagram({ ...link, source: source4, destination: to4, mark });
    case "UDPv6":
      return datagram({ ...link, source: source6, destination: to6, mark });
    case "TCPv4":
      return frame(link, IPV4, ipv4(source4, to4, 6, tcp(source4, to4, data)));
    case "TCPv6":
      return frame(link, IPV6, ipv6(source6, to6, 6, tcp(source6, to6, data)));
    case "ICMPv4":
      return frame(link, IPV4, ipv4(source4, to4, 1, echo4(data)));
    case "ICMPv6":
      return frame(link, IPV6, icmp6(source6, to6, 128, [0, 7, 0, 7, ...data]));
    case "LLC":
      return frame(link, 3 + data.length, [0x42, 0x42, 3, ...data]);
    case "unknown":
      return frame(link, 0x88b5, data);
  }
}
