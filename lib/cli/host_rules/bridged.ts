import { type Family, familyOf, formatCidr, type Ip, valueOf } from "../../base/address.ts";
import { macOf } from "../../base/mac.ts";
import { groupOf, type NetworkName } from "../../base/names.ts";
import { type RangeSet, subnetsOf } from "../../base/range.ts";
import type { NetworkConfig } from "../../config.ts";
import { guardedIps } from "../../netops.ts";

/** Matches packets from the network's host veths by their link group. */
export function ofPorts(name: NetworkName): string {
  return `iifgroup ${groupOf(name)}`;
}

/** An anonymous set. A single member needs no braces. */
export function among(members: readonly string[]): string {
  return members.length < 2 ? members.join() : `{ ${[...new Set(members)].join(", ")} }`;
}

export function lines(rules: readonly string[]): string {
  return rules.map((rule) => `    ${rule}\n`).join("");
}

/**
 * The rules in family `bridge` against frames that no container may send. They match ports by link group: `meta ibrname`,
 * which names the bridge, needs a kernel module that not every host has.
 */
export function bridged({ name, sets, gatewayOnBridge }: NetworkConfig): string {
  return `  chain prerouting {
    type filter hook prerouting priority filter; policy accept;
    # The link group of the network's host veths: ip link show group ${groupOf(name)}
    ${ofPorts(name)} jump container
  }
  chain container {
    # A receiver removes tags of VLAN 0 itself, and these rules do not look behind several tags.
    ether type { 0x8100, 0x88a8 } counter drop
    # Reserved group addresses, 01:80:c2:00:00:00 to :0f, belong to the protocols of bridges.
    ether daddr & ff:ff:ff:ff:ff:f0 == 01:80:c2:00:00:00 counter drop
    # Router advertisements and redirects; multicast queries, after which a bridge treats the container as the querier.
    icmpv6 type { 130, 134, 137 } counter drop
    ip protocol 2 @th,0,8 0x11 counter drop
    # Answers of DHCP servers from any port.
    meta protocol ip udp dport 68 counter drop
    meta protocol ip6 udp dport 546 counter drop
${lines([...(gatewayOnBridge ? claimed(sets) : []), ...sources(sets)])}  }
`;
}

/** Rules that drop frames from a gateway's address or from the link-local address of the bridge. */
function claimed(sets: readonly RangeSet[]): string[] {
  const gateways = [...new Set(sets.flat().map(({ gateway }) => gateway))];
  const [first] = gateways;
  if (first === undefined) return [];
  const drops = guardedIps(gateways, macOf(first)).flatMap((ip) =>
    familyOf(ip) === 4
      ? [`arp saddr ip ${ip} counter drop`, `ip saddr ${ip} counter drop`]
      : [`ip6 saddr ${ip} counter drop`, `icmpv6 type 136 @th,64,128 ${hex(ip)} counter drop`]
  );
  return ["# Only the bridge sends from its own addresses.", ...drops];
}

/** Rules that drop sources outside the network and families that it lacks, except the traffic that IPv6 needs on a link. */
function sources(sets: readonly RangeSet[]): string[] {
  if (sets.length === 0) return [];
  const of = (family: Family) =>
    subnetsOf(sets).filter(({ base }) => familyOf(base) === family).map(formatCidr);
  const [ipv4, ipv6] = [of(4), of(6)];
  return [
    "# A container sends from the network. 0.0.0.0 and :: are its sources before it has an address.",
    ...(ipv4.length === 0 ? ["ether type { 0x0800, 0x0806 } counter drop"] : [
      `arp saddr ip != ${among([...ipv4, "0.0.0.0"])} counter drop`,
      `ip saddr != ${among([...ipv4, "0.0.0.0"])} counter drop`,
    ]),
    "ip6 saddr :: meta l4proto != 58 counter drop",
    `ip6 saddr != ${among([...ipv6, "fe80::/10", "::"])} counter drop`,
  ];
}

/** The address as a number, because nftables before 1.1 can't name the target of a neighbour advertisement. */
function hex(ip: Ip): string {
  return `0x${valueOf(ip).toString(16)}`;
}
