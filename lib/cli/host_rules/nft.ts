import { type Cidr, type Family, familyOf, formatCidr } from "../../base/address.ts";
import { CniError, quote } from "../../base/errors.ts";
import type { NetworkName } from "../../base/names.ts";
import { type RangeSet, subnetsOf } from "../../base/range.ts";

/** What the rules of a network depend on. */
export interface RulesSpec {
  readonly name: NetworkName;
  readonly bridge: string;
  readonly sets: readonly RangeSet[];
}

/** What differs between the families. Multicast never leaves through a masquerade; link-local addresses are no subnet's. */
const FAMILIES: Readonly<Record<Family, { word: string; type: string; multicast: string }>> = {
  4: { word: "ip", type: "ipv4_addr", multicast: "224.0.0.0/4" },
  6: { word: "ip6", type: "ipv6_addr", multicast: "ff00::/8" },
};

/**
 * The nftables file of a network: masquerade for each family, and in the family `bridge` what `ip` can't keep ports from:
 * forged sources, router advertisements, DHCP answers. By subnet, so that no rule comes or goes with a container. `direct`
 * are further networks that containers reach under their own addresses, such as a cluster's. Loading it again replaces it.
 * Throws InvalidNetworkConfig for a bridge that no such file can name.
 */
export function hostRules({ name, bridge, sets }: RulesSpec, direct: readonly Cidr[] = []): string {
  const port = quoted(bridge);
  const subnets = subnetsOf(sets);
  const masquerades = ([4, 6] as const).map((family) => {
    const own = subnets.filter(({ base }) => familyOf(base) === family);
    const others = direct.filter(({ base }) => familyOf(base) === family);
    return own.length === 0 ? "" : masquerade(name, port, family, own, others);
  });
  return `#!/usr/sbin/nft -f
# For the containers of network "${name}" behind the bridge ${port}: masquerade, and what no port may send.
# Made by \`atomicni host-rules\`; it is the same however many containers there are.
${masquerades.join("")}${portRules(name, port, subnets)}`;
}

function masquerade(
  name: string,
  port: string,
  family: Family,
  own: readonly Cidr[],
  direct: readonly Cidr[],
): string {
  const { word, type, multicast } = FAMILIES[family];
  const table = `${word} atomicni_${name}`;
  const unmasked = [...new Set([...own, ...direct].map(formatCidr)), multicast].join(", ");
  return `table ${table}
delete table ${table}
table ${table} {
  # Reached under the container's own address: this network, networks with a route back, multicast.
  set direct {
    type ${type}; flags interval; auto-merge
    elements = { ${unmasked} }
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ${word} saddr { ${
    own.map(formatCidr).join(", ")
  } } oifname != ${port} ${word} daddr != @direct masquerade
  }
}
`;
}

/** What comes from a port of the bridge, to the host and to the neighbours alike. */
function portRules(name: string, port: string, subnets: readonly Cidr[]): string {
  const table = `bridge atomicni_${name}`;
  const of = (family: Family) =>
    subnets.filter(({ base }) => familyOf(base) === family).map(formatCidr).join(", ");
  const [ipv4, ipv6] = [of(4), of(6)];
  const sources = [
    ...(ipv4 === "" ? [] : [
      `ether type ip ip saddr != { ${ipv4} } counter drop`,
      `ether type arp arp saddr ip != { 0.0.0.0, ${ipv4} } counter drop`,
    ]),
    ...(ipv6 === "" ? [] : [`ether type ip6 ip6 saddr != { ::, fe80::/10, ${ipv6} } counter drop`]),
  ];
  const rules = [
    "icmpv6 type nd-router-advert counter drop",
    "udp sport 67 udp dport 68 counter drop",
    "udp sport 547 udp dport 546 counter drop",
    ...sources,
  ];
  return `table ${table}
delete table ${table}
table ${table} {
  # Router advertisements, DHCP answers, sources of other networks.
  chain ports {
    type filter hook prerouting priority filter; policy accept;
    meta ibrname ${port} jump from_port
  }
  chain from_port {
    ${rules.join("\n    ")}
  }
}
`;
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
