import { join } from "@std/path/posix";
import { type NetworkConfig, parseConfig, parseStdin, parseVersion } from "./config.ts";
import { expiry } from "./deadline.ts";
import { asCniError } from "./errors.ts";
import { IP_LIMIT_MS, runIp } from "./ip.ts";
import {
  addressesIn,
  heldTwice,
  leaseOf,
  look,
  outsideFinding,
  type Owned,
  type RepairFinding,
  strangeFinding,
} from "./evidence.ts";
import { type Lease, list } from "./ipam.ts";
import { contains, formatIpv4, type Ipv4 } from "./ipv4.ts";
import { emptyState, Ledger, type State } from "./ledger.ts";
import { acquire } from "./lock.ts";
import { IpKernel, type Kernel } from "./netops.ts";
import { noteOf } from "./pool.ts";
import {
  ioError,
  prepareFolder,
  readState,
  statePath,
  sweepTemporaries,
  writeState,
} from "./statefile.ts";

export interface RepairOptions {
  /** Only says what would be done. */
  readonly dryRun: boolean;
  /** How long an ADD in its middle is waited for, whose address can't be known yet. */
  readonly patienceMs?: number;
}

export type { RepairFinding };

export interface RepairReport {
  readonly network: string;
  readonly path: string;
  /** What was wrong with the file; absent where it could be read. */
  readonly damage?: string;
  /** Leases by what became of them: as they were, new from the kernel, without a host veth any more. */
  readonly kept: readonly Lease[];
  readonly found: readonly Lease[];
  readonly dropped: readonly Lease[];
  readonly findings: readonly RepairFinding[];
  /** Where the damaged file is kept. */
  readonly aside?: string;
  readonly written: boolean;
}

/**
 * Rebuilds the state of the network whose configuration is in `text` from what the kernel has: the host veths say
 * whose they are, the containers behind them which address they hold. Nothing is guessed. Codes 5, 6, 7, 11, 100.
 */
export async function repair(text: string, options: RepairOptions): Promise<RepairReport> {
  const root = parseStdin(text);
  const config = parseConfig(root, parseVersion(root, "ADD"), {});
  return await repairNetwork(config, new IpKernel(runIp), options);
}

export async function repairNetwork(
  config: NetworkConfig,
  kernel: Kernel,
  { dryRun, patienceMs = IP_LIMIT_MS + 1000 }: RepairOptions,
): Promise<RepairReport> {
  const { dataDir, name } = config;
  const { damage } = await readOld(config);
  if (damage !== undefined) await settled(config, kernel, dryRun ? 0 : patienceMs);
  if (dryRun) return await examine(config, kernel);
  prepareFolder(dataDir);
  const lock = await acquire(join(dataDir, `${name}.lock`), new AbortController().signal);
  try {
    sweepTemporaries(dataDir, name);
    const report = await examine(config, kernel);
    const { damage, kept, found, dropped, findings } = report;
    const changes = damage !== undefined || found.length > 0 || dropped.length > 0;
    if (!changes || findings.some(({ level }) => level === "unproved")) return report;
    const aside = damage === undefined ? undefined : setAside(report.path);
    await writeState(dataDir, name, new Ledger(await stateOf(config, [...kept, ...found])));
    return { ...report, ...(aside !== undefined && { aside }), written: true };
  } finally {
    lock.release();
  }
}

interface Old {
  readonly ledger: Ledger;
  readonly damage?: string;
}

async function readOld({ dataDir, name }: NetworkConfig): Promise<Old> {
  try {
    const { ledger, file } = await readState(dataDir, name);
    file?.close();
    return { ledger, ...(ledger.origin === "missing" && { damage: "there is none" }) };
  } catch (error) {
    const { code, message } = asCniError(error);
    if (code !== 104) throw error;
    return { ledger: new Ledger(emptyState()), damage: message };
  }
}

/**
 * Waits until no container of this network is without an address. An ADD that took its lease before the file was
 * damaged gives its container the address now; its lease can be read nowhere else.
 */
async function settled(config: NetworkConfig, kernel: Kernel, patienceMs: number): Promise<void> {
  for (const end = Date.now() + patienceMs; Date.now() < end; await expiry(200)) {
    const { owned } = await look(config, kernel, []);
    const isDone = ({ inside }: Owned) =>
      inside === undefined || addressesIn(config, inside).length > 0;
    if (owned.every(isDone)) return;
  }
}

async function examine(config: NetworkConfig, kernel: Kernel): Promise<RepairReport> {
  const { dataDir, name } = config;
  const old = await readOld(config);
  const held = list(old.ledger);
  const { owned, strange, possible } = await look(config, kernel, held);
  const findings: RepairFinding[] = strange.flatMap((it) => strangeFinding(config, it) ?? []);
  const leases = new Map<Ipv4, Lease>();
  // Whom the state names for an address comes first.
  const order = [...owned].sort((a, b) =>
    Number(b.old !== undefined) - Number(a.old !== undefined)
  );
  for (const one of order) {
    const result = leaseOf(config, one, old.damage === undefined);
    if (result === undefined) continue;
    if ("level" in result) {
      findings.push(result);
      continue;
    }
    const other = leases.get(result.ip);
    if (other === undefined) leases.set(result.ip, result);
    else if (other.key !== result.key) findings.push(heldTwice(result, other));
  }
  for (const lease of possible) if (!leases.has(lease.ip)) leases.set(lease.ip, lease);
  const before = new Map(held.map((lease) => [lease.ip, lease]));
  const isKept = ({ ip, key }: Lease) => before.get(ip)?.key === key;
  const now = [...leases.values()];
  const kept = now.filter(isKept);
  return {
    network: name,
    path: statePath(dataDir, name),
    ...(old.damage !== undefined && { damage: old.damage }),
    kept,
    found: now.filter((lease) => !isKept(lease)),
    dropped: [...before.values()].filter(({ ip, key }) => leases.get(ip)?.key !== key),
    findings: findings.concat(outsideFinding(config, kept) ?? []),
    written: false,
  };
}

async function stateOf(config: NetworkConfig, leases: readonly Lease[]): Promise<State> {
  const { ledger } = await readOld(config);
  const sorted = [...leases].sort((a, b) => a.ip - b.ip);
  const highest = sorted.at(-1);
  const built: State = {
    ...emptyState(),
    lastReserved: ledger.lastReserved || (highest === undefined ? "" : formatIpv4(highest.ip)),
    // What the pool's note stands for: every address is of this subnet.
    ...(sorted.every(({ ip }) => contains(config.subnet, ip)) && { pool: noteOf(config) }),
  };
  for (const { key, ip, note } of sorted) {
    const address = formatIpv4(ip);
    built.containerToIP[key] = address;
    built.ipToContainer[address] = key;
    if (note !== undefined) built.leases[address] = note;
  }
  return built;
}

/** Keeps a damaged file; returns where, `undefined` where there is none. A file stays until the new one replaces it. */
function setAside(path: string): string | undefined {
  // To the millisecond: two repairs in one second keep two files.
  const time = new Date().toISOString().replaceAll(/[-:]/g, "");
  const aside = `${path}.damaged-${time}`;
  try {
    if (Deno.lstatSync(path).isFile) Deno.linkSync(path, aside);
    else Deno.renameSync(path, aside);
    return aside;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw ioError(`keep "${path}" as`, aside, error);
  }
}
