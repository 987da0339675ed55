import { attachmentIn, hostVethName, isHostVethName, ownerKey } from "../base/attachment.ts";
import { asCniError, type CniError } from "../base/errors.ts";
import { groupOf, type NetworkName } from "../base/names.ts";
import { STATE_FOLDER } from "../base/scope.ts";
import {
  type Held,
  type Lease,
  listLeases,
  lockPath,
  Marks,
  type Networks,
  readNetworks,
  tryLstat,
} from "../ipam.ts";
import type { Kernel, Link } from "../netops.ts";
import { claims, type HostView, isInDoubt, type Subject } from "../ownership.ts";
import { type Attached, attachedBlindly, attachedBy, type Place } from "./attachments.ts";
import { UsageError } from "./command.ts";
import { didYouMean } from "./nearest.ts";

/** A network with all that is attached to it. */
export interface NetworkSeen {
  readonly network: NetworkName;
  /** Its state files that can be read: none if it has none, several if a copy is in another folder. */
  readonly held: readonly Held[];
  /** `lost`: host veths have addresses, and there is no state file. `none`: it needs no state file. */
  readonly file: "read" | "unreadable" | "lost" | "none";
  readonly bridge: string | undefined;
  readonly rows: readonly Attached[];
}

/** What this host has at one moment. */
export interface Overview {
  readonly networks: readonly NetworkSeen[];
  readonly errors: readonly CniError[];
  readonly unreadable: Networks["unreadable"];
  /** Every interface of the host; `undefined` if `ip` did not work. */
  readonly links: readonly Link[] | undefined;
}

/** How often the files are read again if they change while the kernel is read. */
const TRIES = 4;

/**
 * Reads every network and the kernel; nothing is locked. A file that can't be read is among the errors, and so is an `ip`
 * that fails. `bridges` are those that a configuration names.
 */
export async function readOverview(
  kernel: Kernel,
  bridges: ReadonlyMap<string, string> = new Map(),
): Promise<Overview> {
  for (let tries = 1;; tries++) {
    const networks = readNetworks();
    const seen = await look(kernel, networks, bridges);
    if (tries === TRIES || textOf(readNetworks()) === textOf(networks)) return seen;
  }
}

/** To tell whether the files changed. */
function textOf({ held, errors }: Networks): string {
  return JSON.stringify([held, errors.map(({ message }) => message)]);
}

async function look(
  kernel: Kernel,
  networks: Networks,
  bridges: ReadonlyMap<string, string>,
): Promise<Overview> {
  const { errors, unreadable } = networks;
  try {
    const links = await kernel.links();
    const places = await placesOf(networks, links, bridges);
    const inDoubt = places.map((it) => isInDoubt(subjectOf(it), leasesOf(it)));
    const view = await kernel.view((link) => inDoubt.some((isOf) => isOf(link)));
    const marks = marksOf(places);
    const hostView: HostView = view.map((it) => ({
      ...it,
      add: marks.get(it.link.ifname) ?? "none",
    }));
    const seen = await Promise.all(places.map((it) => networkSeen(it, hostView)));
    return { networks: seen.flat(), errors, unreadable, links };
  } catch (error) {
    const blind = await placesOf(networks, [], bridges);
    const seen = await Promise.all(blind.map(async (it) => ({
      ...it,
      file: it.isUnreadable ? "unreadable" as const : "read" as const,
      rows: await Promise.all(leasesOf(it).map((lease) => attachedBlindly(lease, it))),
    })));
    return { networks: seen, errors: [...errors, asCniError(error)], unreadable, links: undefined };
  }
}

interface NetworkPlace extends Place {
  readonly held: readonly Held[];
  readonly isUnreadable: boolean;
}

/** Every network that has a state file, or that a host veth names. */
async function placesOf(
  { held, unreadable }: Networks,
  links: readonly Link[],
  bridges: ReadonlyMap<string, string>,
): Promise<NetworkPlace[]> {
  const filed = [...held, ...unreadable];
  const named = await namedBy(links);
  const names = [...new Set([...filed.map(({ network }) => network), ...named])].sort();
  return names.map((network) => {
    const own = held.filter((it) => it.network === network);
    const dataDir = filed.find((it) => it.network === network)?.dataDir ?? STATE_FOLDER;
    return {
      network,
      dataDir,
      held: own,
      isUnreadable: unreadable.some((it) => it.network === network),
      hasState: filed.some((it) => it.network === network) ||
        tryLstat(lockPath(STATE_FOLDER, network)) !== undefined,
      bridge: bridges.get(network) ?? bridgeOf(own, links),
      links,
    };
  });
}

/** The networks that host veths name, each by an alias that its name or its link group confirms. */
async function namedBy(links: readonly Link[]): Promise<NetworkName[]> {
  const found = await Promise.all(links.map(async ({ ifname, alias, group, kind }) => {
    const said = kind === "veth" ? attachmentIn(alias) : undefined;
    if (said === undefined) return undefined;
    const isNamed = isHostVethName(ifname) && await hostVethName(said) === ifname;
    return isNamed || group === groupOf(said.network) ? said.network : undefined;
  }));
  return found.filter((it) => it !== undefined);
}

/** The bridge that a guarded lease recorded, else the one that carries the network's gateway. */
function bridgeOf(held: readonly Held[], links: readonly Link[]): string | undefined {
  const records = held.flatMap(({ state }) => listLeases(state).map(({ record }) => record));
  const gateways = held.flatMap(({ state }) => state.ranges ?? []).flat().map((it) => it.gateway);
  return records.find((it) => it?.bridge !== undefined)?.bridge ??
    links.find(({ kind, addresses }) =>
      kind === "bridge" && addresses.some(({ ip }) => gateways.includes(ip))
    )?.ifname;
}

function subjectOf({ network, bridge }: NetworkPlace): Subject {
  return { name: network, bridge };
}

/** A lease that a copy of the state file has too is the same. */
function leasesOf({ held }: NetworkPlace): Lease[] {
  const known = new Map(
    held.flatMap(({ state }) => listLeases(state)).map((lease) => [
      `${ownerKey(lease.owner)} ${lease.ips.join()}`,
      lease,
    ]),
  );
  return [...known.values()];
}

/** The host veths whose ADD is in progress or was killed. */
function marksOf(places: readonly NetworkPlace[]): Map<string, "running" | "died"> {
  const found = new Map<string, "running" | "died">();
  for (const { network, dataDir, held } of places) {
    for (const folder of new Set([dataDir, ...held.map((it) => it.dataDir)])) {
      const marks = new Marks(folder, network);
      for (const host of marks.hosts()) {
        const work = marks.of(host);
        if (work !== "none") found.set(host, work);
      }
    }
  }
  return found;
}

async function networkSeen(place: NetworkPlace, view: HostView): Promise<NetworkSeen[]> {
  const { network, held, bridge, isUnreadable } = place;
  const found = await claims(subjectOf(place), leasesOf(place), view);
  // A veth without a lease may well have one in a file that can't be read.
  const shown = found.filter(({ kind }) =>
    kind !== "stranger" && !(kind === "unleased" && isUnreadable)
  );
  const rows = await Promise.all(shown.map((it) => attachedBy(it, place)));
  if (rows.length === 0 && held.length === 0 && !isUnreadable) return [];
  const isLost = rows.some(({ state }) => state === "no lease");
  const file = held.length > 0 ? "read" : isUnreadable ? "unreadable" : isLost ? "lost" : "none";
  return [{ network, held, file, bridge, rows }];
}

/** The networks of that name, or all without one; says what `command` shows if there is none and every file was read. */
export function selected(
  { networks, errors }: Overview,
  name: string | undefined,
  command: string,
): readonly NetworkSeen[] {
  const found = networks.filter(({ network }) => name === undefined || network === name);
  if (name === undefined || found.length > 0 || errors.length > 0) return found;
  throw new UsageError(
    `Cannot show "${name}": no network of that name has a state file or a host veth`,
    didYouMean(name, networks.map(({ network }) => network)) || `see all: atomicni ${command}`,
  );
}

/** Errors as JSON has them everywhere. */
export function plainErrors(errors: readonly CniError[]) {
  return errors.map(({ code, message, details }) => ({ code, msg: message, details }));
}
