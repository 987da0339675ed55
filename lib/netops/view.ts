/** Reads from the kernel: one interface, the host's veths with their other ends, or all of one attachment. */
import { isError } from "../base/errors.ts";
import type { InterfaceName } from "../base/names.ts";
import { waitForAll } from "../base/wait_for_all.ts";
import { FIXED } from "./guard.ts";
import { hostLinks, hostVeths, isNamed, shownBatch } from "./host.ts";
import { batchInside, type Inside, linksInside, namespaces } from "./inside.ts";
import { type Batch, parseIpJson, type RunIp } from "./ip.ts";
import { type Link, parseLink, parseNeighbour, parseRoutes } from "./links.ts";

/** The interface of that name; `undefined` if it does not exist. */
export async function hostLink(run: RunIp, ifname: string): Promise<Link | undefined> {
  return (await hostLinks(run)).find(isNamed(ifname));
}

/** A veth of the host, and its other end. */
export interface SeenVeth {
  readonly link: Link;
  /** `undefined` if it was not inspected, or its namespace can't be entered. */
  readonly inside: Inside | undefined;
}

/** How many namespaces are read at once. */
const AT_ONCE = 8;

/**
 * The host's veths at one moment, and the insides of those that `needsInspection` selects. A veth that vanished or was replaced
 * while the insides were read is left out. `netns` is the path of one more namespace that may hold an other end.
 */
export async function view(
  run: RunIp,
  needsInspection: (link: Link) => boolean,
  netns?: string,
): Promise<SeenVeth[]> {
  const listed = [...(await hostVeths(run)).values()];
  const chosen = listed.filter(needsInspection);
  if (chosen.length === 0) return listed.map((link) => ({ link, inside: undefined }));
  const insides = await inspectPeers(run, chosen, netns);
  // Root may have renamed one, which has its index still.
  const now = new Set([...(await hostVeths(run)).values()].map(({ ifindex }) => ifindex));
  return listed.filter(({ ifindex }) => now.has(ifindex))
    .map((link) => ({ link, inside: insides.get(link.ifname) }));
}

/**
 * The other ends of these host veths, by the host veth's name; namespaces are read in parallel. An entry is missing if the
 * namespace has no name below /run/netns and is not the one at `netns`.
 */
export async function inspectPeers(
  run: RunIp,
  hosts: readonly Link[],
  netns?: string,
): Promise<Map<string, Inside>> {
  const found = new Map<string, Inside>();
  const work = (await namespaces(run)).flatMap(({ id, name }) => {
    const behind = hosts.filter(({ netnsId }) => netnsId !== undefined && netnsId === id);
    return behind.length === 0 ? [] : [{ behind, netns: `/run/netns/${name}` }];
  });
  if (netns !== undefined) work.push({ behind: [...hosts], netns });
  await eachOf(work, async ({ behind, netns }) => {
    const links = await linksInside(run, netns).catch((error): Link[] => {
      // The namespace went away since it was listed.
      if (isError(error, "InvalidNetNS")) return [];
      throw error;
    });
    for (const { ifname, ifindex, peerIndex } of behind) {
      const peer = links.find((it) => it.ifindex === peerIndex && it.peerIndex === ifindex);
      if (peer !== undefined) found.set(ifname, { netns, links, peer });
    }
  });
  return found;
}

/** Runs `step` on each item, some at once; rejects with the first error after all have ended. */
async function eachOf<T>(items: readonly T[], step: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const worker = async () => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await step(item);
  };
  const ended = await Promise.allSettled(Array.from({ length: AT_ONCE }, worker));
  const failed = ended.find((it) => it.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

/** An attachment to inspect. */
export interface AttachmentSpec {
  readonly bridge: InterfaceName;
  readonly host: InterfaceName;
  readonly netns: string;
  readonly ifname: InterfaceName;
  /** Whether to read its guard too. */
  readonly guarded: boolean;
}

/** What CHECK compares; a link that does not exist is `undefined`. */
export type Seen = Readonly<Awaited<ReturnType<typeof inspect>>>;

/** Reads all of an attachment from the kernel. Throws InvalidNetNS if the namespace can't be entered. */
export async function inspect(
  run: RunIp,
  spec: AttachmentSpec,
  batch: Batch = shownBatch(run),
) {
  const { bridge, host, netns, ifname, guarded } = spec;
  const permanent = (dev: string) =>
    guarded ? [["neigh", "show", "dev", dev, "nud", "permanent"]] : [];
  const [outside, within, entries] = await waitForAll(
    batch([
      ["addr", "show", "dev", bridge],
      ["link", "show", "dev", host],
      ...permanent(bridge),
    ]),
    batchInside(run, netns)([
      ["addr", "show", "dev", ifname],
      // With `dev`, iproute2 6.1 hides IPv6 routes that have several next hops.
      ["route", "show", "table", "all"],
      ...permanent(ifname),
    ]),
    guarded
      ? run(["-B", "-j", "neigh", "show", "dev", host, ...FIXED])
      : Promise.resolve(undefined),
  );
  const [bridges = [], hosts = [], bridgeNeighbours = []] = outside.success
    ? parseIpJson(outside)
    : [];
  // A failed batch about a missing link shows no other link, so the host's links are listed instead.
  const found = outside.success ? [...bridges, ...hosts].map(parseLink) : await hostLinks(run);
  const [links = [], routes = [], insideNeighbours = []] = within.success
    ? parseIpJson(within)
    : [];
  const inside = within.success ? links.map(parseLink) : await linksInside(run, netns);
  return {
    bridge: found.find(isNamed(bridge)),
    host: found.find(isNamed(host)),
    inside: inside.find(isNamed(ifname)),
    routes: routes.flatMap(parseRoutes).filter(({ dev }) => dev === ifname),
    /** The entries of the host veth that were not learned; this list and the next two are empty if the guard was not requested. */
    entries: entries?.success === true
      // With `dev`, `ip` leaves out the device.
      ? (parseIpJson(entries)[0] ?? []).map((it) => parseNeighbour({ ...it, dev: host }))
      : [],
    bridgeNeighbours: bridgeNeighbours.map(parseNeighbour),
    insideNeighbours: insideNeighbours.map(parseNeighbour),
  };
}
