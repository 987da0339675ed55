import { asCniError, CniError, isError, quote } from "../base/errors.ts";
import { dump, ipFailed, type IpOutput, parseIpJson, type RunIp } from "./ip.ts";
import { type Link, parseLink, parseRoutes, type RouteFound } from "./links.ts";

/** The namespace behind a host veth. */
export interface Inside {
  /** Name below /run/netns. */
  readonly netns: string;
  readonly links: readonly Link[];
  /** The veth's other end, one of them. */
  readonly peer: Link;
}

/** `ip -n` takes names below /run/netns alone, so a path goes in as the way up and down again. */
export function enter(netns: string): readonly string[] {
  return ["-n", `../../..${netns}`];
}

/** Numbers instead of names: what a table is called is a matter of the host's files. */
export function shownInside(netns: string): readonly string[] {
  return [...enter(netns), "-d", "-N", "-j"];
}

/** Every interface of the namespace. Throws InvalidNetNS where it can't be entered. */
export async function linksInside(run: RunIp, netns: string): Promise<Link[]> {
  const output = await run([...shownInside(netns), "addr", "show"]);
  if (!output.success) throw await namespaceError(run, netns, output);
  return (parseIpJson(output)[0] ?? []).map(parseLink);
}

export async function routesInside(run: RunIp, netns: string): Promise<RouteFound[]> {
  const args = [...shownInside(netns), "route", "show", "table", "all"];
  return (await dump(run, "list the container's routes", args)).flatMap(parseRoutes);
}

/** What is behind each of these host veths, by name; left out where its namespace has no name below /run/netns. */
export async function lookInside(
  run: RunIp,
  hosts: readonly Link[],
): Promise<Map<string, Inside>> {
  const found = new Map<string, Inside>();
  if (hosts.length === 0) return found;
  for (const { id, name } of await dump(run, "list the namespaces", ["-j", "netns", "list"])) {
    const behind = hosts.filter(({ netnsId }) => netnsId !== undefined && netnsId === id);
    if (behind.length === 0) continue;
    const netns = String(name);
    const links = await linksIfThere(run, `/run/netns/${netns}`);
    for (const { ifname, peerIndex } of behind) {
      const peer = links.find(({ ifindex }) => ifindex === peerIndex);
      if (peer !== undefined) found.set(ifname, { netns, links, peer });
    }
  }
  return found;
}

/** None where the namespace went away since it was listed. */
async function linksIfThere(run: RunIp, netns: string): Promise<Link[]> {
  try {
    return await linksInside(run, netns);
  } catch (error) {
    if (isError(error, "InvalidNetNS")) return [];
    throw error;
  }
}

/** Whether `ip` can enter a namespace at all: its own can always be, where `ip -n` works. */
export async function canEnter(run: RunIp): Promise<IpOutput> {
  return await run([...enter("/proc/self/ns/net"), "-j", "link", "show", "dev", "lo"]);
}

/** Is it this namespace that can't be entered, or any? */
async function namespaceError(run: RunIp, netns: string, output: IpOutput): Promise<CniError> {
  const own = await canEnter(run);
  const remedy = own.success
    ? "it must be the path of a network namespace that exists, such as /run/netns/NAME"
    : "ip -n works for no namespace here: make the folder it starts from (mkdir -p /run/netns), and run with CAP_SYS_ADMIN";
  return new CniError(
    "InvalidNetNS",
    `Cannot use CNI_NETNS ${quote(netns)} as a network namespace: ip can't enter it`,
    { details: `${remedy}; ${asCniError(ipFailed("enter it", output)).details}` },
  );
}
