import type { NetworkConfig } from "../config.ts";
import { checkFit } from "../ipam.ts";
import type { Link, VethSpec } from "../netops.ts";
import type { Rollback } from "../rollback.ts";
import type { Effects } from "./effects.ts";
import { reattachOthers } from "./ports.ts";

/** A host veth and its bridge, as they were read back. */
export interface Attached {
  readonly bridge: Link;
  readonly host: Link;
}

/** The bridge may be changed between two attempts; more would be a fight with somebody. */
const TRIES = 4;

/**
 * Makes the veth into the bridge, and the bridge what it must be. Host veths of the network that are in no bridge, because
 * theirs was removed, are put back into it. InvalidNetNS, InterfaceExists, BridgeUnusable, StateDamaged.
 */
export async function attach(
  spec: VethSpec,
  config: NetworkConfig,
  effects: Effects,
  undo: Rollback,
): Promise<Attached> {
  const { kernel } = effects;
  let hasLostGuards = false;
  for (let tries = 1;; tries++) {
    const { made, bridge, isReady, failure } = await kernel.attach(spec, undo);
    let ready = bridge;
    if (!isReady) {
      // What the state says counts more than what the bridge looks like: its remedy hurts nobody.
      await mustFit(config, effects);
      const ensured = await kernel.ensureBridge(spec, bridge, undo);
      ready = ensured.bridge;
      hasLostGuards ||= ensured.hasLostGuards;
    }
    if (made !== undefined && ready !== undefined) {
      if (hasLostGuards || made.lost.length > 0) await reattachOthers(config, spec.host, effects);
      return { host: made.host, bridge: await kernel.settleMac(spec.bridge, made.before, ready) };
    }
    if (tries === TRIES && failure !== undefined) throw failure;
  }
}

/** Throws StateDamaged, BridgeUnusable if the leases don't fit the configuration; a damaged file is `reserve`'s matter. */
async function mustFit(config: NetworkConfig, { leases }: Effects): Promise<void> {
  if (config.sets.length === 0) return;
  await leases.examine(({ state, provenance }) => {
    checkFit(state, config, config.name, provenance === "written");
  });
}
