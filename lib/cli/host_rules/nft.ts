import { type Cidr, type Family, familyOf, formatCidr, type Ip } from "../../base/address.ts";
import { CniError, quote } from "../../base/errors.ts";
import { groupOf, type NetworkName } from "../../base/names.ts";
import { type RangeSet, subnetsOf } from "../../base/range.ts";

/** What the rules of a network depend on. */
export interface RulesSpec {
  readonly name: NetworkName;
  readonly bridge: string;
  readonly sets: readonly RangeSet[];
  /** The bridge speaks for the gateways. */
  readonly gatewayOnBridge: boolean;
}

const FAMILIES: readonly Family[] = [4, 6];
/**
 * What differs between the families. Multicast never leaves through a masquerade; an interface without an address yet
 * has other sources than the subnet's.
 */
const WORDS: Readonly<
  Record<Family, { word: string; type: string; set: string; multicast: string; sources: string[] }>
> = {
  4: { word: "ip", type: "ipv4_addr", set: "direct", multicast: "224.0.0.0/4", sources: [] },
  6: {
    ...{ word: "ip6", type: "ipv6_addr", set: "direct6", multicast: "ff00::/8" },
    sources: ["fe80::/10", "::"],
  },
};

/** A redirect makes the host send elsewhere what is for another network. */
const ROUTER = "icmpv6 type { nd-router-advert, nd-redirect } counter drop";

interface Subnets {
  readonly family: Family;
  readonly own: readonly string[];
  readonly direct: readonly string[];
}

/**
 * The nftables file of a network: masquerade for each family, and what `ip` can't keep containers from: forged sources,
 * router advertisements, DHCP answers. By subnet, so that no rule comes or goes with a container. `direct` are further
 * networks that containers reach under their own addresses, such as a cluster's. Loading it again replaces it.
 * Throws InvalidNetworkConfig for a bridge that no such file can name.
 */
export function hostRules(
  { name, bridge, sets, gatewayOnBridge }: RulesSpec,
  direct: readonly Cidr[] = [],
): string {
  const port = quoted(bridge);
  const all = FAMILIES.map((family): Subnets => {
    const of = (subnets: readonly Cidr[]) =>
      subnets.filter(({ base }) => familyOf(base) === family).map(formatCidr);
    return { family, own: of(subnetsOf(sets)), direct: of(direct) };
  }).filter(({ own }) => own.length > 0);
  return `#!/usr/sbin/nft -f
# For the containers of network "${name}" behind the bridge ${port}: masquerade, and what no container may send.
# Made by \`atomicni host-rules\`; it is the same however many containers there are.
${routed(`inet atomicni_${name}`, port, all)}${
    bridged(name, all, gatewayOnBridge ? gatewaysIn(sets) : [])
  }`;
}

const among = (words: readonly string[]) =>
  words.length === 1 ? `${words[0]}` : `{ ${[...new Set(words)].join(", ")} }`;
const lines = (indent: number, list: readonly string[]) =>
  list.map((it) => `${" ".repeat(indent)}${it}\n`).join("");

/** What containers send to the host, or through it. */
function routed(table: string, port: string, all: readonly Subnets[]): string {
  const direct = all.map(({ family, own, direct }) => {
    const { set, type, multicast } = WORDS[family];
    return `  set ${set} {
    type ${type}; flags interval; auto-merge
    elements = { ${[...new Set([...own, ...direct, multicast])].join(", ")} }
  }
`;
  });
  const masquerades = all.map(({ family, own }) => {
    const { word, set } = WORDS[family];
    return `${word} saddr ${among(own)} oifname != ${port} ${word} daddr != @${set} masquerade`;
  });
  const sources = all.map(({ family, own }) => {
    const { word, sources } = WORDS[family];
    return `${word} saddr != ${among([...own, ...sources])} counter drop`;
  });
  return `table ${table}
delete table ${table}
table ${table} {
  # Reached under the container's own address: this network, networks with a route back, multicast.
${direct.join("")}  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
${lines(4, masquerades)}  }
  # What a container sends to the host, or through it, has an address of the network as its source.
  chain sources {
${lines(4, sources)}  }
  chain input {
    type filter hook input priority filter; policy accept;
    iifname ${port} jump sources
    iifname ${port} ${ROUTER}
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname ${port} jump sources
  }
}
`;
}

/**
 * What no container may send, to the host or to another. Its ports are known by their group: the bridge itself can't be
 * named in every kernel's family bridge (`meta ibrname` needs a module).
 */
function bridged(name: NetworkName, all: readonly Subnets[], gateways: readonly Ip[]): string {
  const table = `bridge atomicni_${name}`;
  const of = (family: Family) => all.filter((it) => it.family === family).flatMap(({ own }) => own);
  const [ipv4, ipv6] = [of(4), of(6)];
  const speaks = gateways.flatMap((ip) =>
    familyOf(ip) === 4 ? [`arp saddr ip ${ip} counter drop`, `ip saddr ${ip} counter drop`] : [
      `ip6 saddr ${ip} counter drop`,
      `icmpv6 type nd-neighbor-advert icmpv6 taddr ${ip} counter drop`,
    ]
  );
  const sources = [
    ...(ipv4.length === 0 ? [] : [
      `arp saddr ip != ${among([...ipv4, "0.0.0.0"])} counter drop`,
      `ip saddr != ${among([...ipv4, "0.0.0.0"])} counter drop`,
    ]),
    ...(ipv6.length === 0
      ? []
      : [`ip6 saddr != ${among([...ipv6, "fe80::/10", "::"])} counter drop`]),
  ];
  return `
table ${table}
delete table ${table}
table ${table} {
  chain prerouting {
    type filter hook prerouting priority filter; policy accept;
    # The link group of the network's host veths: ip link show group ${groupOf(name)}
    iifgroup ${groupOf(name)} jump container
  }
  chain container {
    # A receiver takes tags of VLAN 0 off by itself, and what is behind several is not looked at here.
    ether type { 8021q, 8021ad } counter drop
    ${ROUTER}
    # Answers of DHCP servers, whatever port they come from.
    meta protocol ip udp dport 68 counter drop
    meta protocol ip6 udp dport 546 counter drop
    # A gateway speaks from the bridge, never from a container.
${lines(4, speaks)}    # 0.0.0.0 and :: are the sources of one who has no address yet.
${lines(4, sources)}  }
}
`;
}

function gatewaysIn(sets: readonly RangeSet[]): Ip[] {
  return [...new Set(sets.flat().map(({ gateway }) => gateway))];
}

/** A quoted word in an nftables file, which has no way to escape these characters everywhere. */
function quoted(bridge: string): string {
  const found = /["\\*]/.exec(bridge)?.[0];
  if (found === undefined) return `"${bridge}"`;
  throw new CniError(
    "InvalidNetworkConfig",
    `Cannot use bridge ${quote(bridge)} as a name in nftables: it has a ${found}`,
    { details: "choose a bridge name of letters, digits, - and _" },
  );
}
