/** Checks that no other network or plugin uses the addresses of a network. An ADD does not see those. */
import { formatCidr, formatInterfaceAddress, networkOf } from "../base/address.ts";
import { ownerKey } from "../base/attachment.ts";
import { CniError, quote } from "../base/errors.ts";
import { allocatingRange, formatSet, overlapping, subnetsOf } from "../base/range.ts";
import type { NetworkConfig } from "../config.ts";
import { listLeases, othersThan, readNetworks, statePath } from "../ipam.ts";
import type { Link } from "../netops.ts";

/**
 * Throws InvalidNetworkConfig if another network may allocate these addresses, or holds one of them. A lease counts while the
 * host has a veth with its MAC.
 */
export function checkNotShared(config: NetworkConfig, links: readonly Link[]): void {
  const ranges = config.configuredSets.flat();
  const macs = new Set(links.map(({ mac }) => mac));
  for (const { network, dataDir, state } of othersThan(config, readNetworks().held)) {
    const used = listLeases(state).filter(({ record }) =>
      record?.hostMac !== undefined && macs.has(record.hostMac)
    );
    // After a split, a lease may be outside of the present ranges of its network.
    const user = used.find(({ ips }) => ips.some((ip) => allocatingRange(ranges, ip)));
    const given = used.length === 0 ? [] : state.ranges?.flat() ?? [];
    const shared = ranges.find((range) => given.some((it) => overlapping(range, it)));
    if (user === undefined && shared === undefined) continue;
    const [what, why, remedy] = shared !== undefined
      ? [
        formatSet([shared]),
        `network "${network}" allocates it too, and has containers`,
        "set a separate subnet for each network, or parts of one subnet that do not overlap (rangeStart, rangeEnd)",
      ]
      : [
        user?.ips.join(" and "),
        `"${network}/${user && ownerKey(user.owner)}" has it`,
        "remove that container first, or leave its address out of the ranges",
      ];
    throw new CniError(
      "InvalidNetworkConfig",
      `Cannot use ${what} for network "${config.name}" alone: ${why} (${
        statePath(dataDir, network)
      })`,
      `two containers would get one address: ${remedy}`,
    );
  }
}

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
    const subnet = formatCidr(networkOf(found.ip, found.prefix));
    const address = formatInterfaceAddress(found);
    throw new CniError(
      "InvalidNetworkConfig",
      `Cannot use ${subnet} for network "${config.name}" alone: ${
        quote(ifname)
      } carries it too (${address})`,
      "containers of another plugin may have its addresses: choose another subnet, or move them " +
        `over and remove that interface (ip link del dev ${ifname})`,
    );
  }
}
