import { compareIps, type Ip } from "../../base/address.ts";
import { ownerKey } from "../../base/attachment.ts";
import { pause } from "../../base/deadline.ts";
import { asCniError, isError } from "../../base/errors.ts";
import { macOfAll } from "../../base/mac.ts";
import type { NetworkConfig } from "../../config.ts";
import {
  addLease,
  emptyState,
  isSameLease,
  type Lease,
  listLeases,
  NewerSchema,
  openLeases,
  type Rebuilt,
  type State,
  statePath,
  tryLstat,
} from "../../ipam.ts";
import { type Effects, forgetNeighboursOf } from "../../plugin.ts";
import {
  isReplaced,
  leaseBehind,
  type Look,
  look,
  outsideFinding,
  type Owned,
  type RepairFinding,
  stands,
  strangerFinding,
} from "./evidence.ts";
import { restore } from "./restore.ts";

export interface RepairReport {
  readonly network: string;
  readonly path: string;
  /** What was wrong with the file; `undefined` where it could be read. */
  readonly damage: string | undefined;
  /** Leases by what became of them: as they were, new from the kernel, without a host veth any more. */
  readonly kept: readonly Lease[];
  readonly found: readonly Lease[];
  readonly dropped: readonly Lease[];
  readonly findings: readonly RepairFinding[];
  /** Where the damaged file is kept. */
  readonly aside: string | undefined;
  readonly written: boolean;
  /** Ports and guards that were put back. */
  readonly restored: number;
}

/** How long an ADD in its middle is waited for: its address can't be known yet. */
const PATIENCE_MS = 16_000;

/**
 * Rebuilds the network's state from what the kernel has. The lease that the state has and the kernel does not contradict
 * wins: host veths say whose they are, and only for one without a lease counts what its container says. Nothing is guessed.
 * Throws StateDamaged for the file of a newer version, which it leaves as it is.
 */
export async function rebuild(
  config: NetworkConfig,
  effects: Effects,
  dryRun: boolean,
): Promise<RepairReport> {
  await atRest(effects);
  if (dryRun) return await examine(config, effects);
  let report: RepairReport | undefined;
  const aside = await effects.leases.rebuild(async () => {
    report = await examine(config, effects);
    const next = rebuilt(config, report);
    if (next === undefined) return undefined;
    for (const lease of report.dropped) await forgetNeighboursOf(lease, config.bridge, effects);
    return next;
  });
  if (report === undefined) throw new Error("a rebuild that did not run");
  const written = isChanged(report) && !isStuck(report);
  // In another subnet a port's gateway is not this configuration's.
  const isOther = outsideFinding(config, report.kept) !== undefined;
  const restored = isStuck(report) || isOther
    ? []
    : await restore(config, effects, [...report.kept, ...report.found]);
  const findings = [...report.findings, ...restored];
  return {
    ...report,
    aside,
    written,
    findings,
    restored: restored.filter(({ level }) => level === "note").length,
  };
}

function isStuck({ findings }: RepairReport): boolean {
  return findings.some(({ level }) => level === "unproved");
}

function isChanged({ damage, found, dropped }: RepairReport): boolean {
  return damage !== undefined || found.length > 0 || dropped.length > 0;
}

async function atRest({ marks }: Effects): Promise<void> {
  const isAtWork = () => marks.hosts().some((host) => marks.of(host) === "running");
  for (const end = Date.now() + PATIENCE_MS; isAtWork() && Date.now() < end;) await pause(200);
}

/** The state as it is now, whatever was read before. */
function readOld(
  { dataDir, name, sets }: NetworkConfig,
): { state: State; damage: string | undefined } {
  try {
    const state = openLeases(dataDir, name, new AbortController().signal).state();
    // What gives no address needs none.
    const isMissing = sets.length > 0 && tryLstat(statePath(dataDir, name)) === undefined;
    return { state, damage: isMissing ? "there is none" : undefined };
  } catch (error) {
    if (!isError(error, "StateDamaged") || error instanceof NewerSchema) throw error;
    return { state: emptyState(), damage: asCniError(error).message };
  }
}

async function examine(config: NetworkConfig, effects: Effects): Promise<RepairReport> {
  // Before the look for what may be dropped, behind it for what may be found: an ADD or DEL beside a dry run is neither.
  const before = new Map(
    listLeases(readOld(config).state).map((lease) => [ownerKey(lease.owner), lease]),
  );
  const seen = await look(config, effects);
  const { state, damage } = readOld(config);
  const kept: Lease[] = [];
  const dropped: Lease[] = [];
  for (const lease of listLeases(state)) {
    const earlier = before.get(ownerKey(lease.owner));
    const isStale = earlier !== undefined &&
      (!await stands(lease, config, seen) ||
        (isSameLease(earlier, lease) && isReplaced(lease, seen)));
    (isStale ? dropped : kept).push(lease);
  }
  const { found, findings } = await findLeases(config, seen, kept, damage !== undefined);
  return {
    network: config.name,
    path: statePath(config.dataDir, config.name),
    damage,
    kept,
    found,
    dropped,
    findings: findings.concat(outsideFinding(config, kept) ?? []),
    aside: undefined,
    written: false,
    restored: 0,
  };
}

/** Leases for the host veths that have none. */
async function findLeases(
  config: NetworkConfig,
  { owned, strangers }: Look,
  kept: readonly Lease[],
  isBlind: boolean,
): Promise<{ found: Lease[]; findings: RepairFinding[] }> {
  const holders = new Map<Ip, string>();
  const hold = ({ ips, owner }: Lease) => ips.forEach((ip) => holders.set(ip, ownerKey(owner)));
  kept.forEach(hold);
  const owners = new Set(kept.map(({ owner }) => ownerKey(owner)));
  const hosts = new Set(kept.flatMap(({ record }) => record?.hosts?.split(" ") ?? []));
  const isHeld = (ip: Ip) => holders.get(ip);
  const found: Lease[] = [];
  const findings: RepairFinding[] = [];
  if (config.sets.length === 0) return { found, findings };
  const macs = new Set(kept.flatMap(({ record }) => record?.hostMac ?? []));
  // By its MAC, which its ADD made up, where neither name nor alias says whose it is.
  const isKnown = ({ link, owner }: Pick<Owned, "link" | "owner">) =>
    hosts.has(link.ifname) ||
    (owner === undefined ? macs.has(link.mac) : owners.has(ownerKey(owner)));
  const without = owned.filter((one) => !isKnown(one));
  // Whose MAC fits an address, and who was there before, has it rather than who came and took it.
  for (const one of without.sort((a, b) => rank(a) - rank(b) || a.link.ifindex - b.link.ifindex)) {
    const result = await leaseBehind(config, one, isHeld);
    if ("level" in result) findings.push(result);
    else {
      hold(result);
      found.push(result);
    }
  }
  for (const one of strangers.filter(({ link }) => !isKnown({ link, owner: undefined }))) {
    findings.push(...[strangerFinding(config, one, isHeld, isBlind)].flatMap((it) => it ?? []));
  }
  return { found, findings };
}

function rank({ inside }: Owned): number {
  const { mac, addresses = [] } = inside?.peer ?? {};
  return addresses.some(({ ip }) => macOfAll([ip]) === mac) ? 0 : 1;
}

function rebuilt(config: NetworkConfig, report: RepairReport): Rebuilt | undefined {
  if (!isChanged(report) || isStuck(report)) return undefined;
  const { kept, found, damage } = report;
  const old = readOld(config).state;
  const state = emptyState();
  const leases = [...kept, ...found];
  leases.forEach((lease) => addLease(state, lease));
  const highest = config.sets.flatMap((_, index) =>
    leases.flatMap(({ ips }) => ips[index] ?? []).sort(compareIps).at(-1) ?? []
  );
  state.lastReserved.push(...(old.lastReserved.length > 0 ? old.lastReserved : highest));
  state.ranges = outsideFinding(config, leases) === undefined ? config.sets : old.ranges;
  return { state, keepOld: damage !== undefined };
}
