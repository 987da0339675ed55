import type { Focus } from "../frames.ts";
import type { Claim, Kind } from "./spec.ts";
import type { Wrong } from "./wrong.ts";

/** The program with rules from which `sed` has removed some; if it removes none, loading the rules fails. */
function without(pattern: string): string {
  return `case "$*" in *host-rules*) ;; *) exec "$@" ;; esac
all=$("$@") || exit; left=$(printf '%s\\n' "$all" | sed -E '${pattern}d')
[ "$all" != "$left" ] || exit 9
printf '%s\\n' "$left"`;
}

const RULES = { rules: true, isolated: false } as const;
const DUAL = { ...RULES, families: [4, 6] } as const;
const ISOLATED = { rules: true, isolated: true, guard: true, families: [4, 6] } as const;
const PLAIN = { from: "own", tags: "none", to: "neighbour" } as const;

/** A frame of this kind from the container's own address to a neighbour, which claims to come from `claim`. */
const sends = (kind: Kind, claim?: Claim) => ({ ...PLAIN, kind, ...(claim && { claim }) });

type Row = readonly [
  name: string,
  /** The lines that `sed` removes. */
  pattern: string,
  kind: RegExp,
  network: NonNullable<Focus["network"]>,
  frames?: Focus["frames"],
];

/** Rules that overlap are removed together: the host sometimes has the same rule twice. */
const ROWS: readonly Row[] = [
  ["lets frames with VLAN tags pass", "/0x8100/", /VLAN tag/, RULES],
  [
    "lets frames to reserved group addresses pass",
    "/01:80:c2|iifgroup [0-9]+ counter/",
    /reserved group address|on a port/,
    RULES,
    { from: "own" },
  ],
  ["lets packets pass that a port hands to the host", "/iifgroup [0-9]+ counter/", /./, {
    ...RULES,
    guard: false,
  }],
  [
    "lets routers advertise themselves",
    "/icmpv6 type .*134/",
    /gets (a router advertisement|a redirect|an MLD query)/,
    RULES,
    sends("RA"),
  ],
  ["lets containers send IGMP queries", "/0x11/", /IGMP query/, DUAL, sends("IGMP query", "own")],
  ["lets containers answer DHCPv4", "/udp dport 68 /", /DHCP/, DUAL, sends("DHCPv4", "own")],
  [
    "lets containers answer DHCPv6",
    "/udp dport 546 /",
    /DHCP/,
    DUAL,
    sends("DHCPv6", "own link-local"),
  ],
  [
    "lets containers ask by ARP as the gateway",
    "/arp saddr ip 10/",
    /from the gateway's address/,
    DUAL,
    sends("ARP reply", "gateway"),
  ],
  [
    "lets containers send IPv4 as the gateway",
    "/ ip saddr 10.86.0.1 /",
    /from the gateway's address/,
    DUAL,
    sends("UDPv4", "gateway"),
  ],
  [
    "lets containers send IPv6 as the gateway",
    "/ip6 saddr fd88::1 /",
    /from the gateway's address/,
    DUAL,
    sends("UDPv6", "gateway"),
  ],
  [
    "lets containers send from the bridge's link-local address",
    "/ip6 saddr fe80::[0-9a-f:]+ counter/",
    /from the gateway's address/,
    DUAL,
    sends("UDPv6", "gateway link-local"),
  ],
  [
    "lets containers advertise the gateway's address",
    "/icmpv6 type 136 .*0xfd88/",
    /NA for the gateway's address/,
    DUAL,
    sends("NA from own", "gateway"),
  ],
  [
    "lets containers advertise the bridge's link-local address",
    "/icmpv6 type 136 .*0xfe80/",
    /NA for the gateway's address/,
    DUAL,
    sends("NA from own", "gateway link-local"),
  ],
  [
    "lets ARP from foreign addresses pass",
    "/arp saddr ip !=/",
    /foreign address/,
    DUAL,
    sends("ARP request", "foreign"),
  ],
  [
    "lets IPv4 from foreign addresses pass",
    "/ ip saddr !=/",
    /foreign address/,
    DUAL,
    sends("UDPv4", "foreign"),
  ],
  [
    "lets IPv6 from foreign addresses pass",
    "/ip6 saddr !=/",
    /foreign address/,
    DUAL,
    sends("UDPv6", "foreign"),
  ],
  ["lets IPv6 pass in a network that lacks it", "/ip6 saddr !=/", /which the network lacks/, {
    ...RULES,
    families: [4],
  }, { ...PLAIN, kind: "UDPv6" }],
  [
    "lets IPv4 pass in a network that lacks it",
    "/ether type [{] 0x0800/",
    /which the network lacks/,
    { ...RULES, families: [6] },
    { ...PLAIN, kind: "UDPv4" },
  ],
  ["lets UDP from :: pass", "/ip6 saddr :: meta/", / from ::/, DUAL, sends("UDPv6", "zero")],
  [
    "lets isolated containers meet at their gateway",
    '/oifname "atomic0" ip6? saddr/',
    /between isolated ports/,
    ISOLATED,
    { from: "own", to: "host", target: "neighbour" },
  ],
  [
    "does not check on which interface the source of a packet is",
    "/fib saddr/",
    /foreign address/,
    { ...DUAL, guard: true, ungrouped: true },
    { from: "own", claim: "foreign" },
  ],
];

export const RULE_SETS: readonly Wrong[] = ROWS.map(([name, pattern, kind, network, frames]) => ({
  name,
  script: without(pattern),
  kind,
  focus: { network, ...(frames && { frames }) },
}));
