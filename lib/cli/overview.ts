import { attachmentIn, isHostVethOf, ownerKey } from "../base/attachment.ts";
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
import { attachedBy, type Place, type ShownAttachment } from "./attachments.ts";
import { type Call, type Option, problems, type Report, UsageError } from "./command.ts";
import type { Line } from "./screen.ts";
import { didYouMean } from "./wording.ts";

/** A network with its attachments. */
export interface NetworkSeen extends Pick<Place, "dataDir" | "held" | "bridge"> {
  readonly network: NetworkName;
  /** `lost`: host veths have addresses, and there is no state file. `none`: it needs no state file. */
  readonly file: "read" | "unreadable" | "lost" | "none";
  readonly claims: readonly Claim[];
  readonly rows: readonly ShownAttachment[];
}

/** The networks and interfaces of this host at one moment. */
export interface Overview extends Pick<Networks, "unreadable"> {
  readonly networks: readonly NetworkSeen[];
  /** The errors of the unreadable files, and the failure of `ip`. */
  readonly errors: readonly CniError[];
  /** Every interface of the host; `undefined` if `ip` failed. */
  readonly links: readonly Link[] | undefined;
}

/** The number of tries to read files that do not change while the kernel is read. */
const TRIES = 4;

/**
 * Reads every state file and the kernel without a lock. `config` has the bridge of its network; the bridges of other networks
 * are searched.
 */
export async function readOverview(kernel: Kernel, config?: Subject): Promise<Overview> {
  const textOf = ({ held, unreadable }: Networks) =>
    JSON.stringify([held, unreadable.map(({ error }) => error.message)]);
  for (let tries = 1;; tries++) {
    const networks = readNetworks();
    const seen = await look(kernel, networks, config);
    if (tries === TRIES || textOf(readNetworks()) === textOf(networks)) return seen;
  }
}

async function look(kernel: Kernel, files: Networks, config?: Subject): Promise<Overview> {
  const { unreadable } = files;
  const errors = unreadable.map(({ error }) => error);
  let seen: { links: readonly Link[]; places: readonly Place[]; view: HostView } | undefined;
  try {
    const links = await kernel.links();
    const places = await placesOf(files, links, config);
    seen = { links, places, view: await viewOf(kernel, places) };
  } catch (error) {
    errors.push(asCniError(error));
  }
  const places = seen?.places ?? await placesOf(files, undefined, config);
  const unknown = (lease: Lease) =>
    ({ kind: "undecided", lease, veths: [], attachment: undefined }) as const;
  const networks = await Promise.all(places.map(async (it) => {
    const found = seen ? await claims(it, it.leases, seen.view) : it.leases.map(unknown);
    return await networkSeen(it, found);
  }));
  return { networks: networks.flat(), errors, unreadable, links: seen?.links };
}

async function viewOf(kernel: Kernel, places: readonly Place[]): Promise<HostView> {
  const inDoubt = places.map((it) => needsInspection(it, it.leases));
  const seen = await kernel.view((link) => inDoubt.some((isOf) => isOf(link)));
  const marks = new Map(places.flatMap(({ name, dataDir, held }) => {
    const folders = new Set([dataDir, ...held.map((it) => it.dataDir)]);
    return [...folders].flatMap((folder) => [...new AddMarks(folder, name).all()]);
  }));
  return seen.map((it) => ({ ...it, add: marks.get(it.link.ifname) ?? "none" }));
}

/** Every network that has a state file or is in the alias of a host veth. */
async function placesOf(files: Networks, links?: readonly Link[], config?: Subject) {
  const { held, unreadable } = files;
  const filed = [...held, ...unreadable];
  const named = await namedBy(links ?? []);
  const names = [...new Set([...filed.map(({ network }) => network), ...named])].sort();
  return names.map((name): Place => {
    const own = held.filter(({ network }) => network === name);
    const file = filed.find(({ network }) => network === name);
    return {
      name,
      dataDir: file?.dataDir ?? STATE_FOLDER,
      held: own,
      leases: leasesIn(own),
      isUnreadable: unreadable.some(({ network }) => network === name),
      hasState: file !== undefined || tryLstat(lockPath(STATE_FOLDER, name)) !== undefined,
      bridge: config?.name === name ? config.bridge : bridgeOf(own, links ?? []),
      links,
    };
  });
}

/** The networks in the aliases of host veths. The name or the link group of the veth must confirm its alias. */
async function namedBy(links: readonly Link[]): Promise<NetworkName[]> {
  const found = await Promise.all(links.map(async ({ ifname, alias, group, kind }) => {
    const said = kind === "veth" ? attachmentIn(alias) : undefined;
    if (said === undefined) return [];
    return await isHostVethOf(said, ifname) || group === groupOf(said.network)
      ? [said.network]
      : [];
  }));
  return found.flat();
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

/** The leases of every state file. A lease that a copy of the file repeats appears once. */
function leasesIn(held: readonly Held[]): Lease[] {
  const leases = held.flatMap(({ state }) => listLeases(state));
  return [...new Map(leases.map((it) => [`${ownerKey(it.owner)} ${it.ips.join()}`, it])).values()];
}

/** The network at a place, as its claims show it; none if nothing is left of it. */
async function networkSeen(place: Place, claims: readonly Claim[]): Promise<NetworkSeen[]> {
  const { name, dataDir, held, bridge, isUnreadable } = place;
  // An unreadable file may have the lease of a veth that seems to have none.
  const shown = claims.filter(({ kind }) =>
    kind !== "unowned" && !(kind === "unleased" && isUnreadable)
  );
  const rows = await Promise.all(shown.map((it) => attachedBy(it, place)));
  if (rows.length === 0 && held.length === 0 && !isUnreadable) return [];
  const isLost = rows.some(({ state }) => state === "no lease");
  const file = held.length > 0 ? "read" : isUnreadable ? "unreadable" : isLost ? "lost" : "none";
  return [{ network: name, dataDir, held, file, bridge, claims, rows }];
}

export const NETWORK_OPTION: Readonly<Record<string, Option>> = {
  network: { type: "string", about: "the same as NETWORK", short: "n" },
};

/** The networks of that name, or all without a name. Throws if there is none, unless a file could not be read. */
export function selected(seen: Overview, call: Call, command: string): readonly NetworkSeen[] {
  const { networks, errors } = seen;
  const name = call.args[0] ?? call.value("network");
  const found = networks.filter(({ network }) => name === undefined || network === name);
  if (name === undefined || found.length > 0 || errors.length > 0) return found;
  throw new UsageError(
    `Cannot show "${name}": no network of that name has a state file or a host veth`,
    didYouMean(name, networks.map(({ network }) => network)) || `see all: atomicni ${command}`,
  );
}

/** A report about an overview. Its errors follow the lines. */
export function reportOn(
  { errors }: Overview,
  lines: readonly Line[],
  json: Readonly<Record<string, unknown>>,
  needsLook: boolean,
): Report {
  const plain = errors.map(({ code, message, details }) => ({ code, msg: message, details }));
  return {
    lines: [...lines, ...problems(errors)],
    json: { ...json, errors: plain },
    exit: errors.length > 0 ? 2 : needsLook ? 1 : 0,
  };
}
