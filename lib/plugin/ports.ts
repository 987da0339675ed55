import { macProvenBy } from "../base/mac.ts";
import { groupOf, type InterfaceName } from "../base/names.ts";
import type { NetworkConfig } from "../config.ts";
import {
  AddMarks,
  checkFit,
  containerMac,
  isRunning,
  type Lease,
  listLeases,
  othersThan,
  readNetworks,
} from "../ipam.ts";
import {
  type Batch,
  type GuardSpec,
  type Link,
  planBridge,
  type PortSpec,
  type VethSpec,
} from "../netops.ts";
import type { Rollback } from "../rollback.ts";
import { type GuardedPort, lostGateways } from "./bridge.ts";
import type { Effects } from "./effects.ts";
import { observe } from "./observe.ts";

/** A host veth and its bridge, as read back from the kernel. */
export interface MadeVeth {
  readonly host: Link;
  readonly bridge: Link;
  /** An `ip` that waits in the container's namespace for `configure`. */
  readonly inside: Batch | undefined;
}

/** Another process may change the bridge between two attempts. After this many attempts the ADD fails. */
const TRIES = 4;

/**
 * Makes the veth as a port of the bridge, and makes or fixes the bridge. If the bridge was missing, the network's other host
 * veths become ports again. Throws InvalidNetNS, InterfaceExists, BridgeUnusable, StateDamaged.
 */
export async function attachVeth(
  spec: VethSpec,
  config: NetworkConfig,
  effects: Effects,
  undo: Rollback,
): Promise<MadeVeth> {
  const { kernel, leases } = effects;
  let hasLostGuards = false;
  for (let tries = 1;; tries++) {
    const attempt = await kernel.attach(spec, undo);
    const plan = planBridge(spec.bridge, attempt.bridge);
    // An error of the state comes before an error of the bridge, because its remedy is harmless.
    if (plan.kind !== "ready" && config.sets.length > 0) {
      await leases.examine(({ state, provenance }) =>
        checkFit(state, config, config.name, provenance === "written")
      );
    }
    const ensured = await kernel.ensureBridge(spec, plan, undo);
    hasLostGuards ||= ensured.hasLostGuards;
    if (attempt.kind === "made") {
      const bridge = await kernel.settleMac(spec.bridge, attempt.before, ensured.bridge);
      // With another MAC, a bridge loses its permanent neighbours too.
      hasLostGuards ||= bridge.mac !== ensured.bridge.mac;
      if (hasLostGuards || attempt.lost.length > 0) {
        await reattachOthers(config, spec.host, bridge.mac, hasLostGuards, effects);
      }
      return { host: attempt.host, bridge, inside: attempt.inside };
    }
    if (tries === TRIES) throw attempt.why;
  }
}

/** How many containers show whether the bridge has the MAC that guarded containers know. */
const SAMPLE = 3;

/**
 * Puts this network's host veths back into its bridge, guards included, except the new veth `own`. A bridge that was removed has
 * lost its ports, and a bridge that was down has lost its permanent neighbours, those of other networks too. A port that can't
 * be put back is a warning. `hasLostGuards`: the bridge was missing or down, or lacked an address.
 */
async function reattachOthers(
  config: NetworkConfig,
  own: InterfaceName,
  bridgeMac: string,
  hasLostGuards: boolean,
  effects: Effects,
): Promise<void> {
  const { kernel, warn } = effects;
  const { bridge } = config;
  const guarded: GuardedPort[] = [];
  const refuse = (host: string, why: string) =>
    warn(`did not put "${host}" into "${bridge}" again: ${why}`);
  try {
    const ports: PortSpec[] = [];
    const leases = listLeases(effects.leases.read().state);
    const { claims } = await observe(config, leases, effects, { isWithoutAdds: true });
    for (const { kind, lease, veths: [veth, ...more] } of claims) {
      if (kind === "unowned" || kind === "adding" || more.length > 0) continue;
      if (veth === undefined || isRunning(veth.add) || veth.link.ifname === own) continue;
      const { link } = veth;
      if (link.master !== "" && link.master !== bridge) continue;
      const proven = kind === "live" ? lease : undefined;
      const isUnverified = proven === undefined && lease?.record?.guarded === true;
      const port = isUnverified ? undefined : portOf(config, link, proven);
      if (port !== undefined) ports.push(port);
      if (port?.guard !== undefined) guarded.push({ link, ifname: lease?.owner.ifname });
      if (port === undefined && link.master === "") refuse(link.ifname, UNVERIFIED_MAC);
    }
    if (hasLostGuards) ports.push(...await guardedOfOthers(config, effects));
    for (const { host, found } of await kernel.reattach(bridge, ports)) refuse(host, found);
    // Another network's ADD may have made the bridge again, with another MAC: then every guarded container gets that MAC.
    const known = { guarded, bridgeMac, sample: SAMPLE };
    for (const { link, why } of await lostGateways(config, kernel, known, false)) {
      if (why !== undefined) warn(`could not set the bridge's MAC for "${link.ifname}": ${why}`);
    }
  } catch (error) {
    warn(`could not put every port into "${bridge}" again: ${(error as Error).message}`);
  }
}

/**
 * The guarded ports of other networks that are in this network's bridge. Their other settings are in configurations that this run
 * does not have, and stay as they are.
 */
async function guardedOfOthers(
  config: NetworkConfig,
  { kernel }: Effects,
): Promise<PortSpec[]> {
  const { bridge } = config;
  const ports: PortSpec[] = [];
  for (const { network, dataDir, state } of othersThan(config, readNetworks().held)) {
    const leases = listLeases(state);
    if (!leases.some(({ record }) => record?.guarded)) continue;
    const marks = new AddMarks(dataDir, network);
    const { claims } = await observe({ name: network, bridge }, leases, { kernel, marks });
    for (const { kind, lease, veths: [veth] } of claims) {
      if (kind !== "live" || veth?.link.master !== bridge) continue;
      const settings = { name: network, bridge, hairpin: false, isolated: false };
      const port = portSpec(settings, veth.link.ifname as InterfaceName, lease);
      if (port.guard !== undefined) ports.push(port);
    }
  }
  return ports;
}

/** The reason why a port of a guarded network stays out of the bridge. */
export const UNVERIFIED_MAC =
  "the network is guarded, and no lease says which MAC the container has";

/** A host veth as a port of the network; `undefined` if the network is guarded and the MAC is not proven. */
export function portOf(
  config: NetworkConfig,
  link: Link,
  lease: Lease | undefined,
): PortSpec | undefined {
  const host = link.ifname as InterfaceName;
  if (lease !== undefined || !config.guarded) return portSpec(config, host, lease);
  // Without a lease, only the MAC of a layer-2 container is known.
  const mac = config.sets.length > 0 ? undefined : macProvenBy(link.mac);
  if (mac === undefined) return undefined;
  return portSpec(config, host, undefined, { bridge: config.bridge, host, mac, ips: [] });
}

/** The port's settings from the configuration and its lease. */
function portSpec(
  { name, bridge, ...flags }: Pick<NetworkConfig, "name" | "bridge" | "hairpin" | "isolated">,
  host: InterfaceName,
  lease: Lease | undefined,
  guard = guardOf(lease, host, bridge),
): PortSpec {
  const { hairpin, isolated } = flags;
  return { host, hairpin, isolated, group: groupOf(name), guard };
}

/** The guard of a lease on this bridge, which root may have renamed since the ADD; `undefined` if the lease is not guarded. */
function guardOf(
  lease: Lease | undefined,
  host: InterfaceName,
  bridge: InterfaceName,
): GuardSpec | undefined {
  const mac = lease && containerMac(lease);
  if (lease?.record?.guarded !== true || mac === undefined) return undefined;
  return { bridge, host, mac, ips: lease.ips };
}
