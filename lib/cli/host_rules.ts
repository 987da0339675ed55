import {
  type Cidr,
  contains,
  type Family,
  familyOf,
  formatCidr,
  parseCidr,
} from "../base/address.ts";
import { CniError, orReport, quote } from "../base/errors.ts";
import { type RangeSet, subnetsOf } from "../base/range.ts";
import type { NetworkConfig } from "../config.ts";
import type { Call, Command, Report } from "./command.ts";
import { readConfiguration } from "./configuration.ts";
import { among, bridged, lines, ofPorts } from "./host_rules/bridged.ts";

const EXAMPLE =
  "atomicni host-rules 10.244.0.0/16 < /etc/cni/net.d/10-atomicni.conflist | nft -f -";

export const hostRulesCommand: Command = {
  name: "host-rules",
  takes: "[SUBNET ...] < CONFIGURATION",
  about:
    "prints nftables rules for nft -f -: masquerading, except towards each SUBNET, and filters for the ports",
  example: EXAMPLE,
  maxArguments: 64,
  run: report,
};

async function report({ stdin, args }: Call): Promise<Report> {
  const direct = args.map(subnet);
  const config = readConfiguration(await stdin(), "make rules", EXAMPLE);
  const rules = hostRules(config, direct);
  return { lines: rules.trimEnd().split("\n"), json: { rules }, isFile: true, exit: 0 };
}

function subnet(word: string): Cidr {
  const remedy = "name subnets that containers reach under their own address: 10.244.0.0/16";
  return orReport(
    () => parseCidr(word),
    (error) => error.withName("InvalidNetworkConfig", "SUBNET", word, remedy),
  );
}

/**
 * The nftables word of each family; its multicast range, which is never masqueraded; and addresses with which the host forwards
 * packets besides those of the network. Linux forwards link-local packets that leave by the interface by which they came.
 */
const FAMILIES: readonly (readonly [
  Family,
  word: string,
  multicast: string,
  linkLocal: readonly string[],
  unspecified: readonly string[],
])[] = [
  [4, "ip", "224.0.0.0/4", [], []],
  [6, "ip6", "ff00::/8", ["fe80::/10"], ["::"]],
];

/**
 * The nftables file of a network. It masquerades each family, and drops traffic that `ip` can't prevent: forged sources,
 * router advertisements, DHCP answers, families that the network lacks, and traffic between isolated containers through
 * their gateway. Rules match by subnet, so they do not change with containers, and networks on one bridge do not conflict.
 * Containers reach the networks in `direct`, such as a cluster network, under their own addresses. Loading the file again
 * replaces the rules. nftables 0.9.8 and newer load it, and list the rules that another version loaded: sets are inline,
 * and numbers replace words that an older version lacks. Throws InvalidNetworkConfig if no such file can name the bridge.
 */
export function hostRules(config: NetworkConfig, direct: readonly Cidr[] = []): string {
  const { name, bridge } = config;
  if (bridge.includes("*")) {
    // Some versions can't escape it.
    throw new CniError(
      "InvalidNetworkConfig",
      `Cannot use bridge ${quote(bridge)} as a name in nftables: it has a *`,
      "choose a bridge name of letters, digits, - and _",
    );
  }
  /** Created, deleted and created, so that loading the file again replaces the table. */
  const table = (family: string, chains: string) => {
    const of = `table ${family} atomicni_${name}`;
    return `${of}\ndelete ${of}\n${of} {\n${chains}}\n`;
  };
  // ARP that enters the host directly from a port, as the chain `ports` of `filters` does for IP.
  const arp = `  chain ports {
    type filter hook input priority filter; policy accept;
    ${ofPorts(name)} counter drop
  }
`;
  return `#!/usr/sbin/nft -f
# For the containers of network "${name}" behind the bridge "${bridge}": masquerading, and filters for their packets.
# Made by \`atomicni host-rules\`; it does not change with the containers.
${table("inet", masquerade(config, direct) + filters(config))}
${table("arp", arp)}
${table("bridge", bridged(config))}`;
}

function masquerade({ sets, bridge }: NetworkConfig, direct: readonly Cidr[]): string {
  const rules = FAMILIES.flatMap(([family, word, multicast]) => {
    const own = subnetsIn(sets, family);
    if (own.length === 0) return [];
    const same = direct.filter(({ base }) => familyOf(base) === family);
    // An old nft refuses a set whose members overlap.
    const reached = among(widest([...own, ...same, parseCidr(multicast)]).map(formatCidr));
    const from = among(own.map(formatCidr));
    return [`${word} saddr ${from} oifname != "${bridge}" ${word} daddr != ${reached} masquerade`];
  });
  return `  # Not masqueraded: this network, networks with a route back, multicast.
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
${lines(rules)}  }
`;
}

function filters({ name, bridge, sets, gatewayOnBridge, isolated }: NetworkConfig): string {
  const port = `"${bridge}"`;
  const jump = gatewayOnBridge ? [`iifname ${port} jump sources`] : [];
  const back = !isolated ? [] : FAMILIES.flatMap(([family, word, , linkLocal, unspecified]) => {
    const own = [...subnetsIn(sets, family).map(formatCidr), ...linkLocal];
    if (own.length === 0) return [];
    const [from, to] = [among([...own, ...unspecified]), among(own)];
    return [
      `iifname ${port} oifname ${port} ${word} saddr ${from} ${word} daddr ${to} counter drop`,
    ];
  });
  return `  # A container's packets arrive from the bridge. A packet that arrives from a port was sent to a reserved group address,
  # or the port has lost its bridge.
  chain ports {
    type filter hook prerouting priority raw; policy accept;
    ${ofPorts(name)} counter drop
  }
  # The route back to the source of a packet from the bridge must lead to the bridge. A host without an address sends
  # from :: by ICMPv6 to check that an address is free.
  chain sources {
    ip6 saddr :: meta l4proto 58 return
    fib saddr . iif oif missing counter drop
  }
  chain input {
    type filter hook input priority filter; policy accept;
${lines(jump)}    iifname ${port} icmpv6 type { 134, 137 } counter drop
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
${lines([...jump, ...back])}  }
`;
}

function subnetsIn(sets: readonly RangeSet[], family: Family): Cidr[] {
  return widest(subnetsOf(sets).filter(({ base }) => familyOf(base) === family));
}

/** The subnets without those that a larger one contains. */
function widest(subnets: readonly Cidr[]): Cidr[] {
  return subnets.filter(({ base, prefix }) =>
    !subnets.some((other) => other.prefix < prefix && contains(other, base))
  );
}
