import { formatCidr, formatInterfaceAddress, networkOf } from "../base/address.ts";
import { CniError, quote } from "../base/errors.ts";
import { subnetsOf } from "../base/range.ts";
import type { NetworkConfig } from "../config.ts";
import type { Link } from "../netops.ts";

/**
 * Throws InvalidNetworkConfig if another interface has an address in a subnet of the bridge. That interface may be the bridge of
 * another plugin (`cni0` of flannel or of the reference). An ADD would succeed and allocate addresses of its containers.
 */
export function checkSoleCarrier(config: NetworkConfig, links: readonly Link[]): void {
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
