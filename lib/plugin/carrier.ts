import { formatCidr, formatInterfaceAddress, networkOf } from "../base/address.ts";
import { CniError, quote } from "../base/errors.ts";
import { subnetsOf } from "../base/range.ts";
import type { NetworkConfig } from "../config.ts";
import type { Link } from "../netops.ts";

/**
 * Throws InvalidNetworkConfig if another interface carries a subnet whose gateway the bridge is: behind it are
 * containers of a plugin that keeps leases elsewhere (flannel's or the reference's `cni0`), and an ADD works and
 * allocates their addresses.
 */
export function mustCarryAlone(config: NetworkConfig, links: readonly Link[]): void {
  if (!config.gatewayOnBridge) return;
  const subnets = subnetsOf(config.sets).map(formatCidr);
  for (const { ifname, addresses } of links) {
    if (ifname === config.bridge) continue;
    const found = addresses.find(({ ip, prefix }) =>
      subnets.includes(formatCidr(networkOf(ip, prefix)))
    );
    if (found === undefined) continue;
    throw new CniError(
      "InvalidNetworkConfig",
      `Cannot use ${
        formatCidr(networkOf(found.ip, found.prefix))
      } for network "${config.name}" alone: ${quote(ifname)} carries it too (${
        formatInterfaceAddress(found)
      })`,
      {
        details:
          "containers of another plugin may have its addresses: choose another subnet, or move them " +
          `over and remove that interface (ip link del dev ${ifname})`,
      },
    );
  }
}
