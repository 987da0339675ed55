import { formatInterfaceAddress, type InterfaceAddress } from "../base/address.ts";
import { macOf, macOfBridge } from "../base/mac.ts";
import type { NetworkConfig } from "../config.ts";
import { type BridgeSpec, guardedIps, type Pinned } from "../netops.ts";

/** The bridge of the configuration. It has the gateway of every range if `gatewayOnBridge` is set. */
export function bridgeSpec(config: NetworkConfig): BridgeSpec {
  const { bridge, mtu, forceAddress, promiscuous } = config;
  const gateways = config.gatewayOnBridge ? gatewaysOf(config) : [];
  const [first] = gateways;
  return {
    name: bridge,
    mtu,
    gateways,
    forceAddress,
    promiscuous,
    mac: first === undefined ? macOfBridge(bridge) : macOf(first.ip),
  };
}

/** The gateway of each range with its subnet's prefix length, without doubles. */
export function gatewaysOf({ sets }: Pick<NetworkConfig, "sets">): InterfaceAddress[] {
  const all = sets.flat().map(({ gateway, subnet }) => ({ ip: gateway, prefix: subnet.prefix }));
  return [...new Map(all.map((it) => [formatInterfaceAddress(it), it])).values()];
}

/** The permanent neighbour entries of a guarded container: one for each gateway, and with IPv6 the bridge's link-local address. */
export function gatewayNeighbours(config: NetworkConfig, bridgeMac: string): Pinned[] {
  if (!config.gatewayOnBridge) return [];
  const gateways = gatewaysOf(config).map(({ ip }) => ip);
  return guardedIps(gateways, bridgeMac).map((ip) => ({ ip, mac: bridgeMac }));
}
