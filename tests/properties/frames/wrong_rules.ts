import type { Kind } from "./spec.ts";
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

const sends = (kind: Kind) => ({ ...PLAIN, kind });

/** Rules that overlap are removed together: the host sometimes has the same rule twice. */
export const RULE_SETS: readonly Wrong[] = [
  {
    name: "lets frames with VLAN tags pass",
    script: without("/0x8100/"),
    kind: /VLAN tag/,
    focus: { network: RULES },
  },
  {
    name: "lets frames to reserved group addresses pass",
    script: without("/01:80:c2|iifgroup [0-9]+ counter/"),
    kind: /reserved group address|on a port/,
    focus: { network: RULES, frames: { from: "own" } },
  },
  {
    name: "lets packets pass that a port hands to the host",
    script: without("/iifgroup [0-9]+ counter/"),
    kind: /./,
    focus: { network: { ...RULES, guard: false } },
  },
  {
    name: "lets routers advertise themselves",
    script: without("/icmpv6 type .*134/"),
    kind: /gets a (RA|redirect6|MLD query)/,
    focus: { network: RULES, frames: sends("RA") },
  },
  {
    name: "lets containers send IGMP queries",
    script: without("/0x11/"),
    kind: /IGMP query/,
    focus: { network: DUAL, frames: { ...sends("IGMP query"), claim: "own" } },
  },
  {
    name: "lets containers answer DHCPv4",
    script: without("/udp dport 68 /"),
    kind: /DHCP/,
    focus: { network: DUAL, frames: { ...sends("DHCPv4"), claim: "own" } },
  },
  {
    name: "lets containers answer DHCPv6",
    script: without("/udp dport 546 /"),
    kind: /DHCP/,
    focus: { network: DUAL, frames: { ...sends("DHCPv6"), claim: "own link-local" } },
  },
  {
    name: "lets containers ask by ARP as the gateway",
    script: without("/arp saddr ip 10/"),
    kind: /from the gateway's address/,
    focus: { network: DUAL, frames: { ...sends("ARP reply"), claim: "gateway" } },
  },
  {
    name: "lets containers send IPv4 as the gateway",
    script: without("/ ip saddr 10.88.0.1 /"),
    kind: /from the gateway's address/,
    focus: { network: DUAL, frames: { ...sends("UDPv4"), claim: "gateway" } },
  },
  {
    name: "lets containers send IPv6 as the gateway",
    script: without("/ip6 saddr fd88::1 /"),
    kind: /from the gateway's address/,
    focus: { network: DUAL, frames: { ...sends("UDPv6"), claim: "gateway" } },
  },
  {
    name: "lets containers send from the bridge's link-local address",
    script: without("/ip6 saddr fe80::[0-9a-f:]+ counter/"),
    kind: /from the gateway's address/,
    focus: { network: DUAL, frames: { ...sends("UDPv6"), claim: "gateway link-local" } },
  },
  {
    name: "lets containers advertise the gateway's address",
    script: without("/icmpv6 type 136 .*0xfd88/"),
    kind: /NA for the gateway's address/,
    focus: { network: DUAL, frames: { ...sends("NA from own"), claim: "gateway" } },
  },
  {
    name: "lets containers advertise the bridge's link-local address",
    script: without("/icmpv6 type 136 .*0xfe80/"),
    kind: /NA for the gateway's address/,
    focus: { network: DUAL, frames: { ...sends("NA from own"), claim: "gateway link-local" } },
  },
  {
    name: "lets ARP from foreign addresses pass",
    script: without("/arp saddr ip !=/"),
    kind: /foreign address/,
    focus: { network: DUAL, frames: { ...sends("ARP request"), claim: "foreign" } },
  },
  {
    name: "lets IPv4 from foreign addresses pass",
    script: without("/ ip saddr !=/"),
    kind: /foreign address/,
    focus: { network: DUAL, frames: { ...sends("UDPv4"), claim: "foreign" } },
  },
  {
    name: "lets IPv6 from foreign addresses pass",
    script: without("/ip6 saddr !=/"),
    kind: /foreign address/,
    focus: { network: DUAL, frames: { ...sends("UDPv6"), claim: "foreign" } },
  },
  {
    name: "lets IPv6 pass in a network that lacks it",
    script: without("/ip6 saddr !=/"),
    kind: /which the network lacks/,
    focus: { network: { ...RULES, families: [4] }, frames: { ...PLAIN, kind: "UDPv6" } },
  },
  {
    name: "lets IPv4 pass in a network that lacks it",
    script: without("/ether type [{] 0x0800/"),
    kind: /which the network lacks/,
    focus: { network: { ...RULES, families: [6] }, frames: { ...PLAIN, kind: "UDPv4" } },
  },
  {
    name: "lets UDP from :: pass",
    script: without("/ip6 saddr :: meta/"),
    kind: / from ::/,
    focus: { network: DUAL, frames: { ...sends("UDPv6"), claim: "zero" } },
  },
  {
    name: "lets isolated containers meet at their gateway",
    script: without('/oifname "atomic0" ip6? saddr/'),
    kind: /between isolated ports/,
    focus: { network: ISOLATED, frames: { from: "own", to: "host", target: "neighbour" } },
  },
  {
    name: "does not check on which interface the source of a packet is",
    script: without("/fib saddr/"),
    kind: /foreign address/,
    focus: {
      network: { ...DUAL, guard: true, ungrouped: true },
      frames: { from: "own", claim: "foreign" },
    },
  },
];
