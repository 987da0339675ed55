import type { NetworkConfig } from "../config.ts";
import { checkFit } from "../ipam.ts";
import type { Link, VethSpec } from "../netops.ts";
import type { Rollback } from "../rollback.ts";
import type { Effects } from "./effects.ts";
import { reattachOthers } from "./ports.ts";

/** A host veth and its bridge, as read back from the kernel. */
export interface MadeVeth {
  readonly bridge: Link;
  readonly host: Link;
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
  const { kernel } = effects;
  let hasLostGuards = false;
  for (let tries = 1;; tries++) {
    const { made, bridge, isReady, failure } = await kernel.attach(spec, undo);
    let ready = bridge;
    if (!isReady) {
      // An error of the state comes before an error of the bridge, because its remedy is harmless.
      await checkLeasesFit(config, effects);
      const ensured = await kernel.ensureBridge(spec, bridge, undo);
      ready = ensured.bridge;
      hasLostGuards ||= ensured.hasLostGuards;
    }
    if (made !== undefined && ready !== undefined) {
      const settled = await kernel.settleMac(spec.bridge, made.before, ready);
      if (hasLostGuards || made.lost.length > 0) {
        await reattachOthers(config, spec.host, { bridgeMac: settled.mac, hasLostGuards }, effects);
      }
      return { host: made.host, bridge: settled };
    }
    if (tries === TRIES && failure !== undefined) throw failure;
  }
}

/** Throws StateDamaged or BridgeUnusable if the leases don't fit the configuration. `Reservation` reports a damaged file. */
async function checkLeasesFit(config: NetworkConfig, { leases }: Effects): Promise<void> {
  if (config.sets.length === 0) return;
  await leases.examine(({ state, provenance }) => {
    checkFit(state, config, config.name, provenance === "written");
  });
}
