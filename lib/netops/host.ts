import type { Ip } from "../base/address.ts";
import type { InterfaceName } from "../base/names.ts";
import { type Batch, dump, ipFailed, listIn, runBatch, type RunIp } from "./ip.ts";
import { type Link, parseLink, parseNeighbour } from "./links.ts";

/** Options that make `ip` show every detail of a link as JSON. */
export const SHOWN = ["-d", "-j"];

/** Runs batches that show links in detail. */
export function shownBatch(run: RunIp): Batch {
  return async (commands) => await runBatch(run, SHOWN, commands);
}

/** Every interface of the host. */
export async function hostLinks(run: RunIp): Promise<Link[]> {
  return (await dump(run, "list the host's links", [...SHOWN, "addr", "show"])).map(parseLink);
}

/** Every veth of the host, by name, whether ours or not; without addresses. */
export async function hostVeths(run: RunIp): Promise<Map<string, Link>> {
  const list = ["link", "show", "type", "veth"];
  const found = await dump(run, "list the host's veths", [...SHOWN, ...list]);
  return new Map(found.map(parseLink).map((link) => [link.ifname, link]));
}

/** Selects the link of that name. `ip` alone is not enough: it takes `if3` as index 3 if no interface has that name. */
export function isNamed(ifname: string): (link: Link) => boolean {
  return (link) => link.ifname === ifname;
}

/**
 * Removes the host veth of that name if it has that MAC, and returns it as it was. A replacement of the same name stays: without
 * the index, the batch stops at `set`, which changes nothing, and `del` takes the index that the same process has shown.
 */
export async function removeProven(
  run: RunIp,
  host: string,
  mac: string,
  batch: Batch = shownBatch(run),
): Promise<Link | undefined> {
  const shown = await batch([["link", "show", "dev", host]]);
  const links = shown.success ? listIn(`read "${host}"`, shown).map(parseLink) : [];
  const proven = links.find((link) => link.ifname === host && link.mac === mac);
  if (proven === undefined) return undefined;
  const { ifindex } = proven;
  const commands = [["show", "dev", host], ["set", "dev", `if${ifindex}`], ["del", "dev", host]];
  const output = await runBatch(run, [], commands.map((words) => ["link", ...words]));
  if (output.success || !(await hostLinks(run)).some((it) => it.ifindex === ifindex)) return proven;
  throw ipFailed(`remove the host veth "${host}"`, output);
}

/** Removes the interface with that index, whatever its name is now; a replacement of the same name stays. */
export async function removeLink(run: RunIp, { ifindex }: Link): Promise<void> {
  await removeIf(run, (link) => link.ifindex === ifindex);
}

/** The permanent neighbours on the bridge that have a MAC of the port's static entries; none if one of the two is gone. */
async function pinnedFor(run: RunIp, { ifname, master }: Link): Promise<Ip[]> {
  const list = async (dev: string, state: string, ...options: string[]) => {
    const output = await run([...options, "-j", "neigh", "show", "dev", dev, "nud", state]);
    return output.success ? listIn("list neighbours", output).map(parseNeighbour) : [];
  };
  const macs = (await list(ifname, "noarp", "-B")).map(({ mac }) => mac);
  const pinned = await list(master, "permanent");
  return pinned.flatMap(({ ip, mac }) => ip !== undefined && macs.includes(mac) ? ip : []);
}

/**
 * Removes the interface that `isDoomed` selects, by index, so that a replacement that another run creates concurrently stays. The
 * permanent neighbours of a guarded port go first: without a lease, only its static entries show its container's MAC, and without
 * the veth, another ADD may get the addresses.
 */
export async function removeIf(run: RunIp, isDoomed: (link: Link) => boolean): Promise<void> {
  const links = await hostLinks(run);
  const doomed = links.find(isDoomed);
  if (doomed === undefined) return;
  const { ifname, ifindex, master, port } = doomed;
  if (port.locked === true && master !== "") {
    await flushNeighbours(run, master as InterfaceName, await pinnedFor(run, doomed));
  }
  const index = `if${ifindex}`;
  const output = await run(["link", "del", "dev", links.some(isNamed(index)) ? ifname : index]);
  if (output.success || !(await hostLinks(run)).some((link) => link.ifindex === ifindex)) return;
  throw ipFailed(`remove the host veth "${ifname}"`, output);
}

/** Flushes the neighbours `ips` on the bridge, permanent ones too; succeeds if the bridge does not exist. */
export async function flushNeighbours(
  run: RunIp,
  bridge: InterfaceName,
  ips: readonly Ip[],
): Promise<void> {
  if (ips.length === 0) return;
  const flush = ips.map((ip) => ["neigh", "flush", "to", ip, "dev", bridge, "nud", "all"]);
  const count = (text: string, line: RegExp) => text.match(line)?.length ?? 0;
  for (let isFirst = true;; isFirst = false) {
    const output = await runBatch(run, ["-force"], flush);
    if (output.success || !(await hostLinks(run)).some(isNamed(bridge))) return;
    // `ip` gives up if a container's claims to an address make its entry again and again. The old entry is gone.
    const returned = count(output.stdout, /^\*\*\* Flush not complete/gm);
    const failed = count(output.stderr, /^Command failed/gm);
    if (output.signal === null && returned > 0 && returned === failed) return;
    // Between the two looks, another run may have made the bridge again.
    if (isFirst) continue;
    throw ipFailed(`flush the neighbours ${ips.join(", ")} of "${bridge}"`, output);
  }
}
