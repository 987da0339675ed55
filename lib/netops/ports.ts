/** The way of a port into a bridge: closed while it is down, and up last (docs/architecture.md, "The guard"). */
import type { InterfaceName } from "../base/names.ts";
import { together } from "../base/together.ts";
import { entryCommand, guardedIps, type GuardSpec, neighbourCommands } from "./guard.ts";
import { hostVeths } from "./host.ts";
import { dump, listIn, runBatch, type RunIp } from "./ip.ts";
import { type Link, type Neighbour, parseNeighbour, UNKNOWN_GROUP } from "./links.ts";

/** A host veth as a port of its bridge. */
export interface PortSpec {
  readonly host: InterfaceName;
  readonly hairpin: boolean;
  readonly isolated: boolean;
  /** Of the network's host veths, for packet filters. */
  readonly group: number;
  /** `undefined` for a port that is not guarded. */
  readonly guard: GuardSpec | undefined;
}

/** Why a port is not what its spec says. */
export interface PortFault {
  readonly host: InterfaceName;
  readonly found: string;
}

export interface Guards {
  readonly entries: readonly Neighbour[];
  readonly neighbours: readonly Neighbour[];
}

/**
 * Every bit that the kernel allows: the bridge treats frames to a reserved group address (01:80:c2:00:00:0X) like any
 * other. Without it they reach the host with the port as their device, past lock and rules.
 */
const GROUP_FWD_MASK = "65533";

/** What closes a port, as commands, each of one kind, so that an unknown flag leaves out no flag of another kind. */
export function portFlags(
  { host, hairpin, isolated, guarded }: Pick<PortSpec, "host" | "hairpin" | "isolated"> & {
    readonly guarded: boolean;
  },
): string[][] {
  const flags = [...(hairpin ? ["hairpin", "on"] : []), ...(isolated ? ["isolated", "on"] : [])];
  const set = ["link", "set", "dev", host, "type", "bridge_slave"];
  const closed = ["learning", "off", "locked", "on", "group_fwd_mask", GROUP_FWD_MASK];
  return [
    // A bridge learns from some frames before it asks whether the port is locked.
    ...(guarded ? [[...set, ...closed]] : []),
    ...(flags.length > 0 ? [[...set, ...flags]] : []),
  ];
}

/**
 * Puts host veths into the bridge, or makes those in it what their specs say. All are closed before any has its entry,
 * and all have their entries before any is up: a container that sends frames meanwhile moves nobody's entry. One that
 * fails or vanishes keeps no other out. Returns what is wrong with each in the end; a vanished one is not wrong.
 */
export async function reattach(
  run: RunIp,
  bridge: InterfaceName,
  ports: readonly PortSpec[],
): Promise<PortFault[]> {
  if (ports.length === 0) return [];
  const before = await hostVeths(run);
  const open = ports.filter((port) => {
    const link = before.get(port.host);
    // A port of another bridge is there by somebody's wish.
    const isMovable = link !== undefined && (link.master === "" || link.master === bridge);
    return isMovable && openness(bridge, port, link) !== undefined;
  });
  const refusals = [await attempt(run, [], open.flatMap((port) => closeCommands(bridge, port)))];
  const between = await hostVeths(run);
  const closed = ports.filter((port) => isClosed(bridge, port, between.get(port.host)));
  const guarded = closed.flatMap(({ guard }) => guard ?? []);
  refusals.push(
    ...await together(
      // The family -B is of the whole process.
      attempt(run, ["-B"], guarded.map((it) => entryCommand("replace", it))),
      attempt(run, [], guarded.flatMap(neighbourCommands)),
    ),
    await attempt(run, [], closed.map(({ host }) => ["link", "set", "dev", host, "up"])),
  );
  const said = refusals.filter((it) => it !== "").join("; ");
  return (await portFaults(run, bridge, ports)).map(({ host, found }) => ({
    host,
    found: said === "" ? found : `${found}; ip: ${said}`,
  }));
}

/** What is wrong with each of these ports as they are now; nothing of one that does not exist. */
export async function portFaults(
  run: RunIp,
  bridge: InterfaceName,
  ports: readonly PortSpec[],
): Promise<PortFault[]> {
  const [links, found] = await together(hostVeths(run), guards(run, bridge));
  return ports.flatMap((port) => {
    const link = links.get(port.host);
    const fault = link && portFault(bridge, port, link, found);
    return fault === undefined ? [] : [{ host: port.host, found: fault }];
  });
}

/** What of the port differs from its spec, the first of it. */
export function portFault(
  bridge: InterfaceName,
  spec: PortSpec,
  link: Link,
  { entries, neighbours }: Guards,
): string | undefined {
  const { host, guard } = spec;
  const open = openness(bridge, spec, link);
  if (open !== undefined || guard === undefined) return open;
  const { mac, ips } = guard;
  if (!entries.some((it) => it.dev === host && it.mac === mac)) {
    const other = entries.find((it) => it.mac === mac)?.dev;
    return `${mac} has no static entry there${other === undefined ? "" : `, but at "${other}"`}`;
  }
  const lost = guardedIps(ips, mac).find((ip) =>
    !neighbours.some((it) => it.ip === ip && it.mac === mac)
  );
  return lost === undefined
    ? undefined
    : `"${bridge}" has no permanent neighbour ${lost} at ${mac}`;
}

/** What of the port itself differs. */
function openness(bridge: InterfaceName, spec: PortSpec, link: Link): string | undefined {
  const { port, master, group, up } = link;
  if (master !== bridge) return `it is not in "${bridge}"`;
  if (spec.guard !== undefined) {
    if (port.locked !== true) return "it is not locked";
    if (port.learning) return "the bridge learns from it";
    if (!port.forwardsReserved) return "frames to reserved group addresses pass it";
  }
  if (group !== spec.group && group !== UNKNOWN_GROUP) {
    return `its link group is ${group}, not ${spec.group}`;
  }
  return up ? undefined : "it is down";
}

/** Nothing that the container sends from such a port passes before it is up and has its entry. */
function isClosed(bridge: InterfaceName, spec: PortSpec, link: Link | undefined): boolean {
  return link !== undefined &&
    openness(bridge, { ...spec, group: link.group }, { ...link, up: true }) === undefined;
}

function closeCommands(bridge: InterfaceName, { host, group, guard, ...flags }: PortSpec) {
  return [
    ["link", "set", "dev", host, "down"],
    ["link", "set", "dev", host, "group", String(group), "master", bridge],
    ...portFlags({ host, ...flags, guarded: guard !== undefined }),
  ];
}

/** Runs each command, whatever became of those before; returns the first complaint of `ip`, "" without any. */
async function attempt(
  run: RunIp,
  options: readonly string[],
  commands: readonly (readonly string[])[],
): Promise<string> {
  if (commands.length === 0) return "";
  const { success, stderr } = await runBatch(run, ["-force", ...options], commands);
  return success ? "" : stderr.split("\n")[0] ?? "";
}

/** What guards the ports of the bridge: static entries of its forwarding table, and permanent neighbours. */
export async function guards(run: RunIp, bridge: InterfaceName): Promise<Guards> {
  const action = "list what guards the ports";
  const entries = await dump(run, action, ["-B", "-j", "neigh", "show", "nud", "noarp"]);
  const neighbours = await run(["-j", "neigh", "show", "dev", bridge, "nud", "permanent"]);
  return {
    entries: entries.map(parseNeighbour),
    neighbours: neighbours.success ? listIn(action, neighbours).map(parseNeighbour) : [],
  };
}
