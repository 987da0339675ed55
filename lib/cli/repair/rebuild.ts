import { compareIps } from "../../base/address.ts";
import { pause } from "../../base/deadline.ts";
import type { NetworkConfig } from "../../config.ts";
import { addLease, emptyState, type Lease, type State, statePath } from "../../ipam.ts";
import { type Effects, examineClaims, type Moment, reclaim, transactClaims } from "../../plugin.ts";
import { type Examination, examine } from "./examine.ts";
import { restore } from "./restore.ts";

export interface RepairReport extends Pick<Examination, "damage" | "dropped" | "findings"> {
  readonly network: string;
  readonly path: string;
  readonly kept: readonly Lease[];
  readonly found: readonly Lease[];
  /** The path of the damaged file's backup. */
  readonly backup: string | undefined;
  readonly written: boolean;
  /** The number of ports and guards that were restored, or in a dry run would be. */
  readonly restored: number;
}

/** The longest wait for an ADD in progress, because its address is not known yet. */
const MAX_WAIT_MS = 16_000;

/**
 * Rebuilds the network's state from the kernel, then restores ports and guards. Throws StateDamaged for the file of a newer
 * version, and does not change that file.
 */
export async function rebuild(
  config: NetworkConfig,
  effects: Effects,
  dryRun: boolean,
): Promise<RepairReport> {
  await waitForAdds(effects);
  const { kernel } = effects;
  const bridgeMac = (await kernel.link(config.bridge))?.mac;
  const look = (moment: Moment) => examine(config, moment, bridgeMac);
  const { result: seen, backup } = dryRun
    ? { result: await examineClaims(config, effects, look), backup: undefined }
    : await transactClaims(config, effects, async (moment) => {
      const result = await look(moment);
      const state = rebuilt(config, result, moment.state);
      if (state === undefined) return { result };
      await reclaim(moment.state, result.dropped, config.bridge, effects);
      return { result, state, write: "verified" as const };
    });
  if (!dryRun) effects.marks.sweep();
  const { kept, found, unleased } = seen;
  const placed = isStuck(seen) ? [...kept, ...unleased] : [...kept, ...found, ...unleased];
  // A port with a lease in another subnet has another gateway, so no guard can be made from this configuration.
  const restored = seen.isOutside ? [] : await restore(config, effects, placed, dryRun);
  return {
    network: config.name,
    path: statePath(config.dataDir, config.name),
    damage: seen.damage,
    kept: kept.map(({ lease }) => lease),
    found: found.map(({ lease }) => lease),
    dropped: seen.dropped,
    findings: [...seen.findings, ...restored],
    backup,
    written: !dryRun && isChanged(seen) && !isStuck(seen),
    restored: restored.filter(({ level }) => level === "note").length,
  };
}

function isStuck({ findings }: Examination): boolean {
  return findings.some(({ level }) => level === "unverified");
}

function isChanged({ damage, found, dropped }: Examination): boolean {
  return damage !== undefined || found.length > 0 || dropped.length > 0;
}

async function waitForAdds({ marks }: Effects): Promise<void> {
  const isRunning = () => [...marks.all().values()].includes("running");
  for (const end = Date.now() + MAX_WAIT_MS; isRunning() && Date.now() < end;) await pause(200);
}

/** The state to write; `undefined` if nothing is to be written. */
function rebuilt(config: NetworkConfig, seen: Examination, old: State): State | undefined {
  if (!isChanged(seen) || isStuck(seen)) return undefined;
  const state = emptyState();
  const leases = [...seen.kept, ...seen.found].map(({ lease }) => lease);
  leases.forEach((lease) => addLease(state, lease));
  const highest = config.sets.flatMap((_, index) =>
    leases.flatMap(({ ips }) => ips[index] ?? []).sort(compareIps).at(-1) ?? []
  );
  state.lastReserved.push(...(old.lastReserved.length > 0 ? old.lastReserved : highest));
  state.ranges = seen.isOutside ? old.ranges : config.configuredSets;
  return state;
}
