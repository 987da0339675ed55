import { attachmentOf } from "../base/attachment.ts";
import type { Mac } from "../base/mac.ts";
import { groupOf, type InterfaceName } from "../base/names.ts";
import type { NetworkConfig } from "../config.ts";
import { containerMac, type Lease } from "../ipam.ts";
import type { GuardSpec, Link, PortSpec } from "../netops.ts";
import type { Effects } from "./effects.ts";

/**
 * A bridge that was removed and comes back has lost its ports: this network's own go back into it, guards included, but
 * for `own`, which is new.
 */
export async function reattachOthers(
  config: NetworkConfig,
  own: InterfaceName,
  effects: Effects,
): Promise<void> {
  const { kernel, leases, warn } = effects;
  try {
    const ports: PortSpec[] = [];
    const leaseless: Link[] = [];
    for (const link of (await kernel.veths()).values()) {
      if (link.master !== "" || link.ifname === own) continue;
      const owner = await attachmentOf(link);
      if (owner?.network !== config.name) continue;
      const lease = leases.of(owner);
      if (config.guarded && config.sets.length === 0 && lease === undefined) leaseless.push(link);
      else ports.push(portSpec(config, link.ifname as InterfaceName, lease));
    }
    const guarded = await guardedByLook(config, leaseless, effects);
    await kernel.reattach(config.bridge, [...ports, ...guarded]);
  } catch (error) {
    warn(`could not put every port into "${config.bridge}" again: ${(error as Error).message}`);
  }
}

/**
 * Ports of a layer-2 network: no lease has their MAC, so the one that the container's interface has counts. Where two
 * have the same, neither port comes back: one of them lies.
 */
async function guardedByLook(
  config: NetworkConfig,
  links: readonly Link[],
  { kernel, warn }: Effects,
): Promise<PortSpec[]> {
  if (links.length === 0) return [];
  const insides = await kernel.lookInside(links);
  const macs = [...insides.values()].map(({ peer }) => peer.mac);
  return links.flatMap(({ ifname }) => {
    const mac = insides.get(ifname)?.peer.mac;
    if (mac === undefined || macs.indexOf(mac) !== macs.lastIndexOf(mac)) {
      warn(
        `did not put "${ifname}" into "${config.bridge}" again: whose MAC it may use is not known`,
      );
      return [];
    }
    const host = ifname as InterfaceName;
    const guard = { bridge: config.bridge, host, mac: mac as Mac, ips: [] };
    return [portSpec(config, host, undefined, guard)];
  });
}

/** A port as the configuration and its lease want it. */
export function portSpec(
  { name, hairpin, isolated }: NetworkConfig,
  host: InterfaceName,
  lease: Lease | undefined,
  guard = guardOf(lease, host),
): PortSpec {
  return { host, hairpin, isolated, group: groupOf(name), guard };
}

/** The guard of a lease; `undefined` for one that is not guarded. */
export function guardOf(lease: Lease | undefined, host: InterfaceName): GuardSpec | undefined {
  const mac = lease && containerMac(lease);
  const bridge = lease?.record?.bridge;
  if (lease?.record?.guarded !== true || mac === undefined || bridge === undefined) {
    return undefined;
  }
  return { bridge: bridge as InterfaceName, host, mac: mac as Mac, ips: lease.ips };
}
