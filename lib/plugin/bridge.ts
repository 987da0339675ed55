import {
  contains,
  familyOf,
  formatInterfaceAddress,
  type InterfaceAddress,
  type Ip,
  networkOf,
} from "../base/address.ts";
import { macOf, macOfBridge } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import type { NetworkConfig } from "../config.ts";
import {
  addAddress,
  type BridgeSpec,
  guardedIps,
  type Kernel,
  type Link,
  type Pinned,
} from "../netops.ts";

/** The bridge of the configuration. It has the gateway of every range if `gatewayOnBridge` is set. */
export function bridgeSpec(config: NetworkConfig): BridgeSpec {
  const { bridge, mtu, forceAddress, promiscuous } = config;
  const gateways = config.gatewayOnBridge ? gatewaysOf(config) : [];
  const [first] = gateways;
  return {
    name: bridge,
    pinsIpv6: config.guarded && hasIpv6Gateway(config) && gateways.length === 0,
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

export function hasIpv6Gateway({ sets }: Pick<NetworkConfig, "sets">): boolean {
  return sets.flat().some(({ gateway }) => familyOf(gateway) === 6);
}

/** The faults of a bridge that cut off the containers with the addresses `ips`, and their remedies. The next ADD corrects them too. */
export function outages(config: NetworkConfig, { up, addresses }: Link, ips: readonly Ip[]) {
  const { name, gateways } = bridgeSpec(config);
  const missing = gateways.filter(({ ip, prefix }) =>
    !addresses.some((it) => it.ip === ip) &&
    ips.some((it) => contains(networkOf(ip, prefix), it))
  );
  const faults = [
    ...(up ? [] : [["is down", `ip link set dev ${name} up`]]),
    ...missing.map((it) => [
      `lacks ${formatInterfaceAddress(it)}`,
      `ip ${addAddress(it, name).join(" ")}`,
    ]),
  ];
  return faults.map(([fault, command]) => ({
    found: `"${name}" ${fault}, so it cuts its containers off`,
    remedy: `${command}; then atomicni repair < CONFIGURATION`,
  }));
}

/** The permanent neighbour entries of a guarded container: one for each gateway, and with IPv6 the bridge's link-local address. */
export function gatewayNeighbours(config: NetworkConfig, bridgeMac: string): Pinned[] {
  if (!config.gatewayOnBridge) return [];
  const gateways = gatewaysOf(config).map(({ ip }) => ip);
  return guardedIps(gateways, bridgeMac).map((ip) => ({ ip, mac: bridgeMac }));
}

/** The port of a guarded container, and the container's interface. */
export interface GuardedPort {
  readonly link: Pick<Link, "ifname">;
  readonly ifname: InterfaceName | undefined;
}

/** A port whose container has a wrong MAC for a gateway; `why` is the reason if its neighbours could not be set. */
type Lost<T> = T & { readonly why: string | undefined };

/**
 * The ports of the containers that have another MAC than `bridgeMac` for a gateway, and so can't reach it. Sets their permanent
 * neighbours, unless it is a dry run. Leaves out a container if its namespace has no name below /run/netns. If the first `sample`
 * containers all have the right MAC, the others are not inspected.
 */
export async function lostGateways<T extends GuardedPort>(
  config: NetworkConfig,
  kernel: PinningKernel,
  { guarded, bridgeMac, sample = guarded.length }: {
    readonly guarded: readonly T[];
    readonly bridgeMac: string;
    readonly sample?: number;
  },
  dryRun: boolean,
): Promise<Lost<T>[]> {
  const wanted = gatewayNeighbours(config, bridgeMac);
  if (wanted.length === 0 || guarded.length === 0) return [];
  if (sample < guarded.length) {
    const { lost, unseen } = await pinAll(kernel, guarded.slice(0, sample), wanted, true);
    if (lost.length + unseen === 0) return [];
  }
  return (await pinAll(kernel, guarded, wanted, dryRun)).lost;
}

type PinningKernel = Pick<Kernel, "view" | "pinInside">;

/** The ports whose containers lack a wanted neighbour. `unseen` counts the containers that could not be inspected. */
async function pinAll<T extends GuardedPort>(
  kernel: PinningKernel,
  ports: readonly T[],
  wanted: readonly Pinned[],
  dryRun: boolean,
): Promise<{ lost: Lost<T>[]; unseen: number }> {
  const names = new Set(ports.map(({ link }) => link.ifname));
  const seen = await kernel.view(({ ifname }) => names.has(ifname));
  const insides = new Map(seen.map(({ link, inside }) => [link.ifname, inside]));
  const lost: Lost<T>[] = [];
  let unseen = 0;
  for (const port of ports) {
    const { link, ifname } = port;
    const inside = insides.get(link.ifname);
    // An interface with another name is not the interface of the lease.
    if (ifname === undefined || inside?.peer.ifname !== ifname) {
      unseen++;
      continue;
    }
    let why: string | undefined;
    // A container may have renamed its interface since then, or made it refuse neighbours.
    const isLost = await kernel.pinInside(inside.netns, ifname, wanted, dryRun).catch((error) => {
      why = (error as Error).message;
      if (dryRun) unseen++;
      return !dryRun;
    });
    if (isLost) lost.push({ ...port, why });
  }
  return { lost, unseen };
}
