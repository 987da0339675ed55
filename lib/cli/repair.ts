import { compareIps } from "../base/address.ts";
import { ownerKey } from "../base/attachment.ts";
import { pause } from "../base/deadline.ts";
import type { NetworkConfig } from "../config.ts";
import {
  addLease,
  emptyState,
  type Found,
  isRunning,
  type Lease,
  type State,
  statePath,
} from "../ipam.ts";
import { confirm, type Effects, knownLeases, observe, reclaim } from "../plugin.ts";
import { plainLease } from "./attachments.ts";
import type { Call, Command, Report } from "./command.ts";
import { effectsFor, readConfiguration } from "./configuration.ts";
import type { RepairFinding } from "./repair/make_lease.ts";
import { type Examination, examine } from "./repair/examine.ts";
import { restore } from "./repair/restore.ts";
import type { Line } from "./screen.ts";
import { counted } from "./wording.ts";

const EXAMPLE = "atomicni repair --dry-run < /etc/cni/net.d/10-atomicni.conflist";

export const repair: Command = {
  name: "repair",
  takes: "< CONFIGURATION",
  about:
    "rebuilds a network's state file from the kernel, restores ports and guards, and backs up a damaged file",
  example: EXAMPLE,
  options: { "dry-run": { type: "boolean", about: "only print what repair would change" } },
  run: async ({ stdin, has, kernel }: Call) => {
    const config = readConfiguration(await stdin(), "repair a network", EXAMPLE);
    // The report has every warning of a rebuild.
    return await rebuild(config, effectsFor(config, kernel), has("dry-run"));
  },
};

/** The longest wait for an ADD in progress, because its address is not known yet. */
const MAX_WAIT_MS = 16_000;

/**
 * Rebuilds the network's state from the kernel, then restores ports and guards. Throws StateDamaged for the file of a newer
 * version, and does not change that file.
 */
async function rebuild(config: NetworkConfig, effects: Effects, dryRun: boolean): Promise<Report> {
  const { kernel, leases, marks } = effects;
  const isBusy = () => [...marks.all().values()].some(isRunning);
  for (const end = Date.now() + MAX_WAIT_MS; isBusy() && Date.now() < end;) await pause(200);
  const bridgeMac = (await kernel.link(config.bridge))?.mac;
  const before = await observe(config, knownLeases(effects), effects);
  const look = async (found: Found) =>
    await examine(config, await confirm(before, found, kernel), bridgeMac);
  const { result: seen, backup } = dryRun
    ? { result: await leases.examine(look), backup: undefined }
    : await leases.transaction(async (state, provenance) => {
      const result = await look({ state, provenance });
      if (result.isConsistent || result.isStuck) return { result };
      await reclaim(state, result.dropped, config.bridge, effects);
      return { result, state: rebuilt(config, result, state), write: "verified" as const };
    });
  if (!dryRun) marks.sweep();
  // A port with a lease in another subnet has another gateway, so no guard can be made from this configuration.
  const restored = seen.isOutside ? [] : await restore(config, effects, seen.ports, dryRun);
  return reportOf(config, seen, restored, backup, dryRun);
}

function rebuilt(config: NetworkConfig, seen: Examination, old: State): State {
  const state = emptyState();
  const leases = [...seen.kept, ...seen.found];
  leases.forEach((lease) => addLease(state, lease));
  const highest = config.sets.flatMap((_, index) =>
    leases.flatMap(({ ips }) => ips[index] ?? []).sort(compareIps).at(-1) ?? []
  );
  state.lastReserved.push(...(old.lastReserved.length > 0 ? old.lastReserved : highest));
  state.ranges = seen.isOutside ? old.ranges : config.configuredSets;
  return state;
}

const TONES = { unverified: "bad", wrong: "warning", note: "faint" } as const;

/** `restored` are the findings about ports and guards; a note is a port that was restored, or in a dry run would be. */
function reportOf(
  { name: network, dataDir }: NetworkConfig,
  { damage, kept, found, dropped, isConsistent, isStuck, ...seen }: Examination,
  restored: readonly RepairFinding[],
  backup: string | undefined,
  dryRun: boolean,
): Report {
  const path = statePath(dataDir, network);
  const findings = [...seen.findings, ...restored];
  const isWrong = findings.some(({ level }) => level === "wrong");
  const notes = restored.filter(({ level }) => level === "note").length;
  const verdict = isStuck
    ? "Nothing was written: an address might be allocated twice."
    : isConsistent && notes > 0
    ? verdictOnPorts(isWrong, dryRun)
    : isConsistent
    ? isWrong ? "Nothing that repair can fix." : "Nothing to repair."
    : dryRun
    ? "Nothing was written: a dry run."
    : `Written: ${counted(kept.length + found.length, "lease")}.`;
  const leases = (what: string, list: readonly Lease[]): Line[] =>
    list.map(({ owner, ips }) => `  ${what} ${ips.join(" and ")} ${ownerKey(owner)}`);
  return {
    lines: [
      `${network}: ${path}${damage === undefined ? "" : `: ${damage}`}`,
      `  ${counted(kept.length, "lease")} as before`,
      ...leases("found in its container:", found),
      ...leases("host veth gone, or of a later ADD:", dropped),
      ...findings.flatMap(({ level, found, remedy }): Line[] => [
        [{ text: `  ${level}`, tone: TONES[level] }, `: ${found}`],
        ...(remedy === undefined ? [] : [`    -> ${remedy}`]),
      ]),
      ...(backup === undefined ? [] : [`  the damaged file is kept as ${backup}`]),
      [{ text: verdict, tone: isStuck ? "bad" : isWrong ? "warning" : "good" }],
    ],
    json: {
      network,
      path,
      damage,
      kept: kept.map(plainLease),
      found: found.map(plainLease),
      dropped: dropped.map(plainLease),
      findings,
      backup,
      written: !dryRun && !isConsistent && !isStuck,
      restored: notes,
    },
    exit: isStuck ? 2 : isWrong ? 1 : 0,
  };
}

function verdictOnPorts(isWrong: boolean, dryRun: boolean): string {
  if (dryRun) return "The state file is consistent; nothing was restored: a dry run.";
  return isWrong
    ? "The state file is consistent; ports and guards are restored, except the ones called wrong."
    : "The state file is consistent; ports and guards are restored.";
}
