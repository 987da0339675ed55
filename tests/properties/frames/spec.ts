import type { Random } from "../../random.ts";

/** Low digits of the group addresses 01:80:c2:00:00:0X that a bridge may not forward. */
export const RESERVED = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15] as const;
const TO = ["host", "neighbour", "broadcast", "own", "multicast4", "multicast6"] as const;
const FROM = ["own", "neighbour", "bridge", "zero", "multicast", "random"] as const;
const TAGS = ["none", "802.1Q", "802.1ad", "both"] as const;
const ARP = ["ARP request", "ARP reply"] as const;
const IPV4 = [
  "IGMP query",
  "IGMP report",
  "redirect4",
  "DHCPv4",
  "UDPv4",
  "TCPv4",
  "ICMPv4",
] as const;
const ND = ["NS", "NA", "NA from own", "RS", "RA", "redirect6"] as const;
const IPV6 = ["MLD query", "MLD report", "DHCPv6", "UDPv6", "TCPv6", "ICMPv6"] as const;
const OTHER = ["LLC", "unknown"] as const;
const CLAIMS = [
  "own",
  "neighbour",
  "gateway",
  "foreign",
  "zero",
  "own link-local",
  "neighbour link-local",
  "gateway link-local",
  "foreign link-local",
] as const;
const TARGETS = ["host", "host link-local", "neighbour", "outside", "all"] as const;

export type Kind =
  | (typeof ARP)[number]
  | (typeof IPV4)[number]
  | (typeof ND)[number]
  | (typeof IPV6)[number]
  | (typeof OTHER)[number];
export type Claim = (typeof CLAIMS)[number];
export type Target = (typeof TARGETS)[number];

/** One frame of the attacker, by its fields. */
export interface Spec {
  /** A number is the last digit of a reserved group address. */
  readonly to: (typeof TO)[number] | (typeof RESERVED)[number];
  readonly from: (typeof FROM)[number];
  readonly tags: (typeof TAGS)[number];
  readonly kind: Kind;
  /** The sender's address in the frame. */
  readonly claim: Claim;
  /** The destination of its packet, whatever its destination MAC is. */
  readonly target: Target;
}

const is = (list: readonly string[], kind: Kind) => list.includes(kind);

export function familyOfKind(kind: Kind): 4 | 6 | undefined {
  if (is(ARP, kind) || is(IPV4, kind)) return 4;
  return is(ND, kind) || is(IPV6, kind) ? 6 : undefined;
}

export const isArp = (kind: Kind) => is(ARP, kind);
/** A claim to an address that a receiver may learn with a MAC. */
export const isNeighbourClaim = (kind: Kind) => is(ARP, kind) || is(ND, kind);

/** One property of all frames in a round, so that rare values are sent often in some rounds. */
export function someBias(random: Random): Partial<Spec> {
  if (random.chance(0.4)) return {};
  return random.one([
    { from: random.one(FROM) },
    { from: "neighbour" },
    { claim: random.one(CLAIMS) },
    { target: random.one(TARGETS) },
    { kind: someKind(random) },
    { to: random.one(RESERVED) },
  ]);
}

function someKind(random: Random): Kind {
  return random.one(random.one([ARP, IPV4, ND, ND, IPV6, ["UDPv4", "UDPv6"] as const, OTHER]));
}

/** Any dimension may have any value; values that fit together are more frequent. */
export function someSpec(random: Random, bias: Partial<Spec>): Spec {
  const kind = bias.kind ?? someKind(random);
  const target = bias.target ?? random.one(TARGETS);
  const to = random.chance(0.25)
    ? random.one(RESERVED)
    : random.chance(0.6)
    ? usual(target, kind)
    : random.one(TO);
  return {
    to,
    from: random.chance(0.5) ? "own" : random.one(FROM),
    tags: random.chance(0.75) ? "none" : random.one(TAGS),
    claim: random.one(CLAIMS),
    ...bias,
    kind,
    target,
  };
}

/** The MAC to which a host would send such a packet. */
function usual(target: Target, kind: Kind): Spec["to"] {
  if (target === "neighbour") return "neighbour";
  if (target !== "all") return "host";
  return familyOfKind(kind) === 6 ? "multicast6" : "broadcast";
}
