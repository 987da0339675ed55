/** How a veth becomes a port: down, into the bridge with its flags, then its entries, up last (SECURITY.md, "The guard"). */
import type { InterfaceName } from "../base/names.ts";
import { waitForAll } from "../base/wait_for_all.ts";
import {
  entryCommand,
  FIXED,
  guardedIps,
  type GuardSpec,
  hasEntries,
  neighbourCommands,
} from "./guard.ts";
import { hostVeths } from "./host.ts";
import { dump, listIn, runBatch, type RunIp } from "./ip.ts";
import { type Link, type Neighbour, parseNeighbour, UNKNOWN_GROUP } from "./links.ts";

/** A host veth as a port of its bridge. */
export interface PortSpec {
  readonly host: InterfaceName;
  readonly hairpin: boolean;
  readonly isolated: boolean;
  /** The link group of the network's host veths, for packet filters. */
  readonly group: number;
  /** `undefined` for a port that is not guarded. */
  readonly guard: GuardSpec | undefined;
}

/** A difference between a port and its spec. Hairpin mode and isolation are not compared; CHECK compares them. */
export interface PortFault {
  readonly host: InterfaceName;
  readonly found: string;
}

/**
 * Every bit that the kernel allows: the bridge treats frames to a reserved group address (01:80:c2:00:00:0X) like any
 * other. Without the mask they bypass lock and rules, and reach the host with the port as their device.
 */
const GROUP_FWD_MASK = "65533";

const ACTION = "list the guards of the ports";

/**
 * Commands that set the flags of a port. The guard's flags have a command of their own: an `ip` that is too old for them still
 * sets hairpin mode and isolation.
 */
export function portFlags(
  { host, hairpin, isolated, guarded }: Pick<PortSpec, "host" | "hairpin" | "isolated"> & {
    readonly guarded: boolean;
  },
): string[][] {
  const flags = [...(hairpin ? ["hairpin", "on"] : []), ...(isolated ? ["isolated", "on"] : [])];
  const set = ["link", "set", "dev", host, "type", "bridge_slave"];
  const closed = ["learning", "off", "locked", "on", "group_fwd_mask", GROUP_FWD_MASK];
  return [
    // `learning off` too, because a bridge learns from some frames before it checks the lock.
    ...(guarded ? [[...set, ...closed]] : []),
    ...(flags.length > 0 ? [[...set, ...flags]] : []),
  ];
}

/**
 * Puts host veths into the bridge, and changes those in it to match their specs. All guarded ports are locked before the first
 * static entry is written, and all entries are written before a changed port is up. So a container that sends frames at the same
 * time moves no entry. A port that can't be locked gets no entry and stays down, and does not stop the others. The same holds for
 * a port with the MAC of a guarded port that is not in `ports`. Returns the remaining differences.
 */
export async function reattach(
  run: RunIp,
  bridge: InterfaceName,
  ports: readonly PortSpec[],
): Promise<PortFault[]> {
  if (ports.length === 0) return [];
  const before = await hostVeths(run);
  const others = await macsOfOthers(run, bridge, ports, before);
  const faulty = ports.filter((port) => {
    const link = before.get(port.host);
    // A veth that is in another bridge stays there, because root may have moved it.
    const isMovable = link !== undefined && (link.master === "" || link.master === bridge);
    return isMovable && ownFault(bridge, port, link) !== undefined;
  });
  const refusals = [await attempt(run, [], faulty.flatMap((port) => closeCommands(bridge, port)))];
  const between = await hostVeths(run);
  const prepared = ports.filter((port) =>
    isPrepared(bridge, port, between.get(port.host)) && !others.has(port.guard?.mac)
  );
  const guardSpecs = prepared.flatMap(({ guard }) => guard ?? []);
  refusals.push(
    ...await waitForAll(
      // `-B` applies to the whole process, so the entries need a process of their own.
      attempt(run, ["-B"], guardSpecs.map((it) => entryCommand("replace", it))),
      attempt(run, [], guardSpecs.flatMap(neighbourCommands)),
    ),
    await attempt(run, [], prepared.map(({ host }) => ["link", "set", "dev", host, "up"])),
  );
  const said = refusals.filter((it) => it !== "").join("; ");
  return (await portFaults(run, bridge, ports)).map(({ host, found }) => ({
    host,
    found: said === "" ? found : `${found}; ip: ${said}`,
  }));
}

/**
 * The MACs of the other guarded ports of the bridge. They outweigh the MAC of a lease, because `repair` may have read that MAC
 * from a container, which can forge it.
 */
async function macsOfOthers(
  run: RunIp,
  bridge: InterfaceName,
  ports: readonly PortSpec[],
  links: ReadonlyMap<string, Link>,
): Promise<ReadonlySet<string | undefined>> {
  const own = new Set<string>(ports.map(({ host }) => host));
  const listed = await dump(run, ACTION, ["-B", "-j", "neigh", "show", "nud", "noarp"]);
  return new Set(
    listed.map(parseNeighbour).flatMap(({ dev, mac }) => {
      const link = links.get(dev);
      return link?.master === bridge && link.port.locked === true && !own.has(dev) ? mac : [];
    }),
  );
}

/** The current differences of these ports from their specs; a missing port has no difference. */
export async function portFaults(
  run: RunIp,
  bridge: InterfaceName,
  ports: readonly PortSpec[],
): Promise<PortFault[]> {
  const [links, listed, pinned] = await waitForAll(
    hostVeths(run),
    dump(run, ACTION, ["-B", "-j", "neigh", "show", ...FIXED]),
    run(["-j", "neigh", "show", "dev", bridge, "nud", "permanent"]),
  );
  const entries = listed.map(parseNeighbour);
  // Without the bridge there is no neighbour.
  const neighbours = pinned.success ? listIn(ACTION, pinned).map(parseNeighbour) : [];
  return ports.flatMap((port) => {
    const link = links.get(port.host);
    const fault = link && portFault(bridge, port, link, entries, neighbours);
    return fault === undefined ? [] : [{ host: port.host, found: fault }];
  });
}

/** The first difference of the port from its spec: `ownFault`, then the guard's entries. */
function portFault(
  bridge: InterfaceName,
  spec: PortSpec,
  link: Link,
  entries: readonly Neighbour[],
  neighbours: readonly Neighbour[],
): string | undefined {
  const { host, guard } = spec;
  const fault = ownFault(bridge, spec, link);
  if (fault !== undefined || guard === undefined) return fault;
  const { mac, ips } = guard;
  if (!hasEntries(entries, link, mac)) {
    const devs = entries.flatMap((it) => it.isStatic && it.mac === mac ? it.dev : []);
    const other = devs.find((dev) => dev !== host);
    return `${mac} has no static entry at this port${
      devs.includes(host) ? " for one of its VLANs" : ""
    }${other === undefined ? "" : `, but at "${other}"`}`;
  }
  const lost = guardedIps(ips, mac).find((ip) =>
    !neighbours.some((it) => it.ip === ip && it.mac === mac)
  );
  return lost === undefined
    ? undefined
    : `"${bridge}" has no permanent neighbour ${lost} at ${mac}`;
}

/** The first difference of the port itself: bridge, the guard's flags, link group, whether it is up. */
function ownFault(bridge: InterfaceName, spec: PortSpec, link: Link): string | undefined {
  const { port, master, group, up } = link;
  if (master !== bridge) return `it is not in "${bridge}"`;
  if (spec.guard !== undefined) {
    if (port.locked !== true) return "it is not locked";
    if (port.learning) return "the bridge learns from it";
    if (!port.forwardsReserved) return "frames to reserved group addresses bypass its lock";
  }
  if (group !== spec.group && group !== UNKNOWN_GROUP) {
    return `its link group is ${group}, not ${spec.group}`;
  }
  return up ? undefined : "it is down";
}

/** Whether the port is in the bridge, with the guard's flags if it is guarded. It may be down or have another link group. */
function isPrepared(bridge: InterfaceName, spec: PortSpec, link: Link | undefined): boolean {
  return link !== undefined &&
    ownFault(bridge, { ...spec, group: link.group }, { ...link, up: true }) === undefined;
}

function closeCommands(bridge: InterfaceName, { host, group, guard, ...flags }: PortSpec) {
  return [
    ["link", "set", "dev", host, "down"],
    ["link", "set", "dev", host, "group", String(group), "master", bridge],
    ...portFlags({ host, ...flags, guarded: guard !== undefined }),
  ];
}

/** Runs every command, even after a failure; returns the first complaint of `ip`, or "". */
async function attempt(
  run: RunIp,
  options: readonly string[],
  commands: readonly (readonly string[])[],
): Promise<string> {
  if (commands.length === 0) return "";
  const { success, stderr } = await runBatch(run, ["-force", ...options], commands);
  return success ? "" : stderr.split(/\n|; its input was /)[0] ?? "";
}
