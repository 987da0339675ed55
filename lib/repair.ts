import { join } from "@std/path/posix";
import { type NetworkConfig, parseConfig, parseStdin, parseVersion } from "./config.ts";
import { expiry } from "./deadline.ts";
import { asCniError, CniError } from "./errors.ts";
import { IP_LIMIT_MS, runIp } from "./ip.ts";
import { hostsOf, type Lease, list, vethOf } from "./ipam.ts";
import { contains, formatIpv4, inRange, type Ipv4, tryIpv4 } from "./ipv4.ts";
import type { Link } from "./links.ts";
import { acquire } from "./lock.ts";
import { attachmentOf, hostVethName, isHostVethName, leaseKey, macOf } from "./names.ts";
import { type Inside, IpKernel, type Kernel } from "./netops.ts";
import { noteOf } from "./poolnote.ts";
import {
  emptyState,
  ioError,
  type LeaseNote,
  prepareFolder,
  readState,
  type State,
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

/** What could not be proved, or is not as it should be. */
export interface RepairFinding {
  /** `unproved` keeps the state from being written: an address might be given a second time. */
  readonly level: "unproved" | "wrong" | "note";
  readonly found: string;
  readonly remedy?: string;
}

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
  if ("damage" in readOld(config)) await settled(config, kernel, dryRun ? 0 : patienceMs);
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
    writeState(dataDir, name, stateOf(config, [...kept, ...found]));
    return { ...report, ...(aside !== undefined && { aside }), written: true };
  } finally {
    lock.release();
  }
}

type Old = { readonly state: State } | { readonly state: State; readonly damage: string };

function readOld({ dataDir, name }: NetworkConfig): Old {
  try {
    const { state, file } = readState(dataDir, name);
    file?.close();
    return state.isMissing ? { state, damage: "there is none" } : { state };
  } catch (error) {
    const { code, message } = asCniError(error);
    if (code !== 104) throw error;
    return { state: emptyState(), damage: message };
  }
}

/**
 * Waits until no container of this network is without an address. An ADD that took its lease before the file was
 * damaged gives its container the address now; its lease can be read nowhere else.
 */
async function settled(config: NetworkConfig, kernel: Kernel, patienceMs: number): Promise<void> {
  for (const end = Date.now() + patienceMs; Date.now() < end; await expiry(200)) {
    const { owned } = await look(config, kernel, emptyState());
    const isDone = ({ inside }: Owned) =>
      inside === undefined || addressesIn(config, inside).length > 0;
    if (owned.every(isDone)) return;
  }
}

/** A host veth, and what of it is known. */
interface Owned {
  readonly key: string;
  readonly pod?: string;
  readonly link: Link;
  readonly inside: Inside | undefined;
  readonly old: Lease | undefined;
}

interface Look {
  readonly owned: readonly Owned[];
  /** On the bridge or of a name of ours, but nothing says whose they are. */
  readonly strange: readonly { readonly link: Link; readonly inside: Inside | undefined }[];
  /** Leases taken over from another plugin that may belong to any of several host veths, one of which stands. */
  readonly possible: readonly Lease[];
}

async function look(config: NetworkConfig, kernel: Kernel, state: State): Promise<Look> {
  const { name, bridge } = config;
  const veths = await kernel.veths();
  const byHost = new Map<string, Lease>();
  const possible: Lease[] = [];
  for (const lease of list(state)) {
    const hosts = hostsOf(lease) ?? [await vethOf(lease.key, name)];
    if (hosts.length === 1) byHost.set(hosts[0] ?? "", lease);
    else if (hosts.some((host) => veths.has(host))) possible.push(lease);
  }
  const links = [...veths.values()].filter((it) => it.netnsId !== undefined);
  const inside = await kernel.lookInside(links);
  const owned: Owned[] = [];
  const strange: { link: Link; inside: Inside | undefined }[] = [];
  for (const link of links) {
    const there = inside.get(link.ifname);
    const candidates = possible.filter((lease) => hostsOf(lease)?.includes(link.ifname));
    const old = byHost.get(link.ifname) ??
      candidates.find(({ ip }) => addressesIn(config, there).includes(ip));
    const owner = attachmentOf(link.alias);
    const isOwn = owner !== undefined && await hostVethName(owner) === link.ifname;
    if (isOwn && owner.network === name) {
      const pod = link.alias.includes(" ") ? { pod: link.alias.split(" ")[0] ?? "" } : {};
      owned.push({ key: leaseKey(owner), ...pod, link, inside: there, old });
    } else if (!isOwn && old !== undefined) {
      owned.push({ key: old.key, link, inside: there, old });
    } else if (
      !isOwn && link.master === bridge && (there !== undefined || candidates.length === 0)
    ) {
      strange.push({ link, inside: there });
    }
  }
  return { owned, strange, possible };
}

/** The addresses of the network that the container's end has. */
function addressesIn({ subnet }: NetworkConfig, inside: Inside | undefined): Ipv4[] {
  return (inside?.peer.addresses ?? []).flatMap((it) => tryIpv4(it.split("/")[0] ?? "") ?? [])
    .filter((ip) => contains(subnet, ip));
}

async function examine(config: NetworkConfig, kernel: Kernel): Promise<RepairReport> {
  const { dataDir, name } = config;
  const old = readOld(config);
  const { owned, strange, possible } = await look(config, kernel, old.state);
  const findings: RepairFinding[] = strange.flatMap((it) => strangeFinding(config, it) ?? []);
  const leases = new Map<Ipv4, Lease>();
  // Whom the state names for an address comes first.
  const order = [...owned].sort((a, b) =>
    Number(b.old !== undefined) - Number(a.old !== undefined)
  );
  for (const one of order) {
    const result = leaseOf(config, one, !("damage" in old));
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
  const before = new Map(list(old.state).map((lease) => [lease.ip, lease]));
  const isKept = ({ ip, key }: Lease) => before.get(ip)?.key === key;
  const now = [...leases.values()];
  return {
    network: name,
    path: statePath(dataDir, name),
    ...("damage" in old && { damage: old.damage }),
    kept: now.filter(isKept),
    found: now.filter((lease) => !isKept(lease)),
    dropped: [...before.values()].filter(({ ip, key }) => leases.get(ip)?.key !== key),
    findings,
    written: false,
  };
}

/** The lease that a host veth proves; a finding where it proves none. */
function leaseOf(
  config: NetworkConfig,
  { key, pod, link, inside, old }: Owned,
  isReadable: boolean,
): Lease | RepairFinding | undefined {
  const addresses = addressesIn(config, inside);
  const [ip] = addresses;
  const state = old?.key === key ? old : undefined;
  if (addresses.length > 1) {
    return {
      level: "unproved",
      found: `"${key}" has ${addresses.map(formatIpv4).join(" and ")}: which is its lease?`,
      remedy: "take all but one from the container, or remove it, and repair again",
    };
  }
  if (ip === undefined) {
    // In the middle of its ADD, or out of reach: the lease that can be read holds as long as the veth stands.
    if (state !== undefined) return state;
    if (inside === undefined) {
      return {
        level: "unproved",
        found: `the container of "${key}" (${link.ifname}) can't be looked into`,
        remedy: `remove it (its DEL takes ${link.ifname} away), and repair again`,
      };
    }
    const found = `"${key}" has no address`;
    return isReadable
      ? { level: "note", found: `${found}: in the middle of its ADD, or left over` }
      : { level: "wrong", found, remedy: "DEL it; what a killed ADD left is garbage" };
  }
  if (state?.ip === ip) return state;
  const mac = inside?.peer.mac;
  const note: LeaseNote = {
    since: `${new Date().toISOString().slice(0, 19)}Z`,
    veth: link.mac,
    ...(pod !== undefined && { pod }),
    ...(mac !== undefined && mac !== macOf(ip) && { mac }),
    ...(!isHostVethName(link.ifname) && { hosts: link.ifname }),
  };
  return { key, ip, note };
}

function heldTwice(second: Lease, first: Lease): RepairFinding {
  return {
    level: "wrong",
    found:
      `${formatIpv4(second.ip)} is in two containers: "${first.key}", which keeps the lease, ` +
      `and "${second.key}"`,
    remedy: `remove "${second.key}" and add it again`,
  };
}

/** A veth of nobody on the bridge: what matters is whether an address that could be given is behind it. */
function strangeFinding(
  config: NetworkConfig,
  { link, inside }: Look["strange"][number],
): RepairFinding | undefined {
  const held = addressesIn(config, inside).filter((ip) => inRange(config.range, ip));
  const remedy =
    `remove ${link.ifname}, or keep its address out of rangeStart to rangeEnd, and repair again`;
  if (held.length > 0) {
    const found = `${
      held.map(formatIpv4).join(", ")
    } is behind ${link.ifname}, and nothing says whose`;
    return { level: "unproved", found, remedy };
  }
  if (inside !== undefined) return undefined;
  return {
    level: "unproved",
    found:
      `${link.ifname} on ${config.bridge} is nobody's, and what is behind it can't be looked into`,
    remedy,
  };
}

function stateOf(config: NetworkConfig, leases: readonly Lease[]): State {
  const { state } = readOld(config);
  const sorted = [...leases].sort((a, b) => a.ip - b.ip);
  const highest = sorted.at(-1);
  const built: State = {
    ...emptyState(),
    lastReserved: state.lastReserved || (highest === undefined ? "" : formatIpv4(highest.ip)),
    pool: noteOf(config),
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
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "");
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

/** Code 104 where the state still can't be used; what a program goes by. */
export function unproved({ network, findings }: RepairReport): CniError | undefined {
  const [first, ...more] = findings.filter(({ level }) => level === "unproved");
  if (first === undefined) return undefined;
  const others = more.length === 0 ? "" : ` (and ${more.length} more)`;
  return new CniError(
    104,
    `Cannot repair the state of network "${network}": ${first.found}${others}`,
    {
      details: first.remedy ?? "",
    },
  );
}
