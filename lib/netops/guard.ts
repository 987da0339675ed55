import { familyOf, type Ip, tryIp } from "../base/address.ts";
import { isHostVethName } from "../base/attachment.ts";
import { CniError, isError } from "../base/errors.ts";
import type { Mac } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import { waitForAll } from "../base/wait_for_all.ts";
import type { Rollback } from "../rollback.ts";
import { flushNeighbours, hostLinks } from "./host.ts";
import { enter } from "./inside.ts";
import { dump, outputOf, runBatch, type RunIp } from "./ip.ts";
import { type Link, type Neighbour, parseNeighbour } from "./links.ts";

/** A guarded port: the only MAC that it may send from, and the addresses with permanent neighbours (SECURITY.md). */
export interface GuardSpec {
  readonly bridge: InterfaceName;
  readonly host: InterfaceName;
  readonly mac: Mac;
  readonly ips: readonly Ip[];
}

/**
 * Lets the container send frames through its locked port, by a static entry for its MAC in the forwarding table. Sets
 * permanent neighbours for its addresses on the bridge, so that no other container can claim them.
 */
export async function guard(run: RunIp, spec: GuardSpec, undo: Rollback): Promise<void> {
  const { bridge, host, mac, ips } = spec;
  const action = `guard the port "${host}"`;
  let isTaken = false;
  // Removing the veth removes its entry and flags, but not the neighbours on the bridge.
  undo.push(
    `remove the neighbours of "${host}" from "${bridge}"`,
    // If another port has the MAC, the link-local address derived from it belongs to that port's container.
    () => flushNeighbours(run, bridge, isTaken ? ips : guardedIps(ips, mac)),
  );
  const entering = addStaticEntry(run, spec, action).catch((error) => {
    isTaken = isError(error, "AddressUnavailable");
    throw error;
  });
  const neighbours = neighbourCommands(spec);
  const pinning = neighbours.length > 0 && outputOf(action, runBatch(run, [], neighbours));
  await waitForAll(entering, Promise.resolve(pinning));
}

/** The MAC belongs to another port, or to the bridge. `fixed` has the MACs of all entries that were not learned. */
export class MacTaken extends CniError {
  constructor({ mac, host }: GuardSpec, owner: string, readonly fixed: ReadonlySet<string>) {
    super(
      "AddressUnavailable",
      `Cannot bind "${mac}" to the port "${host}": it is the MAC of ${owner}`,
      "request another MAC or address, or none",
    );
  }
}

/** Adds the static entry of the MAC, which has one entry on a bridge. Only an entry that was learned or stolen is moved. */
async function addStaticEntry(run: RunIp, spec: GuardSpec, action: string): Promise<void> {
  const { bridge, host, mac, ips } = spec;
  const added = await runBatch(run, ["-B"], [entryCommand("add", spec)]);
  if (added.success) return;
  const entries = await dump(run, action, ["-B", "-j", "neigh", "show", "nud", "all"]);
  const list = ["-j", "neigh", "show", "dev", bridge, "nud", "permanent"];
  const pinned = (await dump(run, action, list)).map(parseNeighbour);
  // This run may have set its own neighbours already.
  const own = guardedIps(ips, mac);
  const hasOwner = pinned.some((it) => it.mac === mac && it.ip && !own.includes(it.ip));
  // Another bridge may have the same MAC.
  const links = (await hostLinks(run)).filter(({ master }) => master === bridge);
  const ports = new Map(links.map((link) => [link.ifname, link]));
  const fixed = entries.map(parseNeighbour).filter((it) => {
    const link = ports.get(it.dev);
    // An unguarded container can take a static entry by a forged frame, and keep it after the guarded container is gone.
    const isStolen = !hasOwner && it.isStatic && isHostVethName(it.dev) &&
      link?.port.locked === false;
    return it.dev !== host && it.isFixed && (it.dev === bridge || link !== undefined) && !isStolen;
  });
  const taken = fixed.find((it) => it.mac === mac);
  // A learned entry is moved too, because it may come from a forged frame.
  if (taken === undefined) {
    await outputOf(action, runBatch(run, ["-B"], [entryCommand("replace", spec)]));
    return;
  }
  const owner = taken.dev === bridge ? `the bridge "${bridge}" itself` : `"${taken.dev}"`;
  throw new MacTaken(spec, owner, new Set(fixed.map((it) => it.mac)));
}

/** The command for the static entry that lets frames from the MAC pass the locked port; `replace` moves it from another port. */
export function entryCommand(verb: "add" | "replace", { host, mac }: GuardSpec): string[] {
  return ["neigh", verb, "any", "lladdr", mac, "nud", "noarp", "dev", host];
}

/** Selects the entries of a forwarding table that were not learned. */
export const FIXED = ["nud", "noarp", "nud", "permanent"];

/**
 * Whether the port has all static entries of the MAC: one for untagged frames and one for each VLAN of the port, each of which
 * can move to another port. `ip` does not show an entry's VLAN, but the port's own MAC has as many entries.
 */
export function hasEntries(
  entries: readonly Neighbour[],
  { ifname, mac: own }: Link,
  mac: string,
): boolean {
  const there = entries.filter(({ dev }) => dev === ifname);
  const needed = there.filter((it) => it.isFixed && it.mac === own).length;
  return there.filter((it) => it.isStatic && it.mac === mac).length >= Math.max(1, needed);
}

/** Commands for the permanent neighbours on the bridge. */
export function neighbourCommands({ bridge, mac, ips }: GuardSpec): string[][] {
  return guardedIps(ips, mac).map((ip) => pinCommand({ ip, mac }, bridge));
}

/** A permanent neighbour: ARP and neighbour discovery can't change its MAC. */
export interface Pinned {
  readonly ip: Ip;
  readonly mac: string;
}

export function pinCommand({ ip, mac }: Pinned, dev: string): string[] {
  return ["neigh", "replace", ip, "lladdr", mac, "dev", dev, "nud", "permanent"];
}

/** Restores permanent neighbours of a container, unless it is a dry run; returns whether one was missing or wrong. */
export async function pinInside(
  run: RunIp,
  netns: string,
  ifname: InterfaceName,
  wanted: readonly Pinned[],
  dryRun: boolean,
): Promise<boolean> {
  const list = [...enter(netns), "-j", "neigh", "show", "dev", ifname, "nud", "permanent"];
  const found = (await dump(run, `list the neighbours in "${netns}"`, list)).map(parseNeighbour);
  const wrong = wanted.filter(({ ip, mac }) => !found.some((it) => it.ip === ip && it.mac === mac));
  if (wrong.length === 0 || dryRun) return wrong.length > 0;
  const pin = runBatch(run, enter(netns), wrong.map((it) => pinCommand(it, ifname)));
  await outputOf(`guard "${ifname}" in "${netns}"`, pin);
  return true;
}

/** The guarded addresses of an attachment: its own, and with IPv6 the link-local address derived from its MAC. */
export function guardedIps(ips: readonly Ip[], mac: string): readonly Ip[] {
  return ips.some((ip) => familyOf(ip) === 6) ? [...ips, ...linkLocalOf(mac)] : ips;
}

/** RFC 4291 appendix A: the link-local address of an interface with that MAC; none if an edited lease has no valid MAC. */
function linkLocalOf(mac: string): Ip[] {
  const [a = "", b, c, d, e, f] = mac.split(":");
  const ip = tryIp(`fe80::${(parseInt(a, 16) ^ 2).toString(16)}${b}:${c}ff:fe${d}:${e}${f}`);
  return ip === undefined ? [] : [ip];
}

/** The first iproute2 that can lock a port; Linux can since 5.18. */
const FIRST_TO_LOCK = 5_018;

/** Whether the `ip` that printed `version` for `-V` is too old; an `ip` before 5.1 prints the date of a snapshot. */
export function isTooOldToLock(version: string): boolean {
  if (/iproute2-ss\d{6}/.test(version)) return true;
  const [, major, minor] = /iproute2-(\d+)\.(\d+)/.exec(version) ?? [];
  return major !== undefined && Number(major) * 1000 + Number(minor) < FIRST_TO_LOCK;
}

/** Throws UnsupportedField if that `ip` can't lock a port; for use before the port exists. */
export function checkIpCanLock(version: string): void {
  if (isTooOldToLock(version)) throw cannotGuard(`${version} can't lock a port`);
}

/** Throws UnsupportedField if the port can't be locked: the kernel or `ip` is too old and shows no lock. A veth without a bridge has none. */
export function checkLockable({ ifname, master, port }: Link): void {
  if (port.locked === undefined && master !== "") {
    throw cannotGuard(`the port "${ifname}" can't be locked`);
  }
}

function cannotGuard(why: string): CniError {
  return new CniError(
    "UnsupportedField",
    `Cannot do "macspoofchk": true: ${why}`,
    "it needs Linux 5.18 and iproute2 5.18, or newer: update them, or set it to false",
  );
}
