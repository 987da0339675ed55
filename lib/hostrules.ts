import type { Addressing } from "./addressing.ts";
import { CniError, quote } from "./errors.ts";
import { type Cidr, formatCidr } from "./ipv4.ts";
import type { NetworkName } from "./names.ts";

/** What the rules of a network depend on. */
export interface RulesSpec extends Pick<Addressing, "bridge" | "subnet"> {
  readonly name: NetworkName;
}

/** Multicast never leaves through a masquerade. */
const MULTICAST = "224.0.0.0/4";

/**
 * The nftables file of a network: masquerade and a source check, by subnet, so that no rule comes or goes with a
 * container. `direct` are further networks that containers reach under their own addresses, such as a cluster's.
 * Loading it again
 * replaces it. Code 7 for a bridge that no such file can name.
 */
export function hostRules(
  { name, bridge, subnet }: RulesSpec,
  direct: readonly Cidr[] = [],
): string {
  const table = `ip atomicni_${name}`;
  const port = quoted(bridge);
  const own = formatCidr(subnet);
  const unmasked = [...new Set([own, ...direct.map(formatCidr), MULTICAST])].join(", ");
  return `#!/usr/sbin/nft -f
# Masquerading for the containers of network "${name}" behind the bridge ${port}, and a check of their sources.
# Made by \`atomicni host-rules\`; it is the same however many containers there are.
table ${table}
delete table ${table}
table ${table} {
  # Reached under the container's own address: this network, networks with a route back, multicast.
  set direct {
    type ipv4_addr; flags interval; auto-merge
    elements = { ${unmasked} }
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr ${own} oifname != ${port} ip daddr != @direct masquerade
  }
  chain forward {
    type filter hook forward priority filter; policy accept;
    iifname ${port} ip saddr != ${own} counter drop
  }
}
`;
}

/** A quoted word in an nftables file, which has no way to escape these characters everywhere. Code 7. */
function quoted(bridge: string): string {
  const found = /["\\*]/.exec(bridge)?.[0];
  if (found === undefined) return `"${bridge}"`;
  throw new CniError(
    7,
    `Cannot use bridge ${quote(bridge)} as a name in nftables: it has a ${found}`,
    {
      details: "choose a bridge name of letters, digits, - and _",
    },
  );
}
