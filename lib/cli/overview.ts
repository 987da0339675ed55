import { attachmentIn, hostVethName, isHostVethName, ownerKey } from "../base/attachment.ts";
import { asCniError, type CniError } from "../base/errors.ts";
import { groupOf, type NetworkName } from "../base/names.ts";
import { STATE_FOLDER } from "../base/scope.ts";
import {
  AddMarks,
  type Held,
  type Lease,
  listLeases,
  lockPath,
  type Networks,
  readNetworks,
  tryLstat,
} from "../ipam.ts";
import type { Kernel, Link } from "../netops.ts";
import { type Claim, claims, type HostView, needsInspection, type Subject } from "../ownership.ts";
import { attachedBlindly, attachedBy, type Place, type ShownAttachment } from "./attachments.ts";
import { UsageError } from "./command.ts";
import { didYouMean } from "./nearest.ts";

/** A network with its attachments. */
export interface NetworkSeen {
  readonly network: NetworkName;
  /** The readable state files: none, one, or several if another folder has a copy. */
  readonly held: readonly Held[];
  /** `lost`: host veths have addresses, and there is no state file. `none`: it needs no state file. */
  readonly file: "read" | "unreadable" | "lost" | "none";
  readonly bridge: string | undefined;
  /** Empty if `ip` failed. */
  readonly claims: readonly Claim[];
  readonly rows: readonly ShownAttachment[];
}

/** The networks and interfaces of this host at one moment. */
export interface Overview {
  readonly networks: readonly NetworkSeen[];
  readonly errors: readonly CniError[];
  readonly unreadable: Networks["unreadable"];
  /** Every interface of the host; `undefined` if `ip` failed. */
  readonly links: readonly Link[] | undefined;
}

/** The number of tries to read files that do not change while the kernel is read. */
const TRIES = 4;

/**
 * Reads every state file and the kernel without a lock. `errors` has unreadable files and a failure of `ip`. `bridges` maps
 * the name of a network to the bridge in its configuration.
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

/** The contents of the state files, to compare two readings. */
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
    const inDoubt = places.map((it) => needsInspection(subjectOf(it), leasesOf(it)));
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
      claims: [],
      rows: await Promise.all(leasesOf(it).map((lease) => attachedBlindly(lease, it))),
    })));
    return { networks: seen, errors: [...errors, asCniError(error)], unreadable, links: undefined };
  }
}

interface NetworkPlace extends Place {
  readonly held: readonly Held[];
  readonly isUnreadable: boolean;
}

/** Every network that has a state file or is in the alias of a host veth. */
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

/** The networks in the aliases of host veths. The name or the link group of the veth must confirm its alias. */
async function namedBy(links: readonly Link[]): Promise<NetworkName[]> {
  const found = await Promise.all(links.map(async ({ ifname, alias, group, kind }) => {
    const said = kind === "veth" ? attachmentIn(alias) : undefined;
    if (said === undefined) return undefined;
    const isNamed = isHostVethName(ifname) && await hostVethName(said) === ifname;
    return isNamed || group === groupOf(said.network) ? said.network : undefined;
  }));
  return found.filter((it) => it !== undefined);
}

/** The bridge that a lease recorded, else the bridge with the network's gateway address. */
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

/** The leases of every state file. A lease that a copy of the file repeats appears once. */
function leasesOf({ held }: NetworkPlace): Lease[] {
  const known = new Map(
    held.flatMap(({ state }) => listLeases(state)).map((lease) => [
      `${ownerKey(lease.owner)} ${lease.ips.join()}`,
      lease,
    ]),
  );
  return [...known.values()];
}

/** Host veths with an ADD that is in progress or was killed. */
function marksOf(places: readonly NetworkPlace[]): Map<string, "running" | "died"> {
  const found = new Map<string, "running" | "died">();
  for (const { network, dataDir, held } of places) {
    for (const folder of new Set([dataDir, ...held.map((it) => it.dataDir)])) {
      const marks = new AddMarks(folder, network);
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
  // An unreadable file may have the lease of a veth that seems to have none.
  const shown = found.filter(({ kind }) =>
    kind !== "unowned" && !(kind === "unleased" && isUnreadable)
  );
  const rows = await Promise.all(shown.map((it) => attachedBy(it, place)));
  if (rows.length === 0 && held.length === 0 && !isUnreadable) return [];
  const isLost = rows.some(({ state }) => state === "no lease");
  const file = held.length > 0 ? "read" : isUnreadable ? "unreadable" : isLost ? "lost" : "none";
  return [{ network, held, file, bridge, claims: found, rows }];
}

/** The networks of that name, or all without a name. Throws if there is none, unless a file could not be read. */
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

/** The JSON form of errors in every command. */
export function plainErrors(errors: readonly CniError[]) {
  return errors.map(({ code, message, details }) => ({ code, msg: message, details }));
}
