import { isError } from "../base/errors.ts";
import { hostVeths } from "./host.ts";
import { type Inside, linksInside } from "./inside.ts";
import { outputOf, parseIpJson, type RunIp } from "./ip.ts";
import type { Link } from "./links.ts";

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
  const now = await hostVeths(run);
  return listed.filter(({ ifname, ifindex }) => now.get(ifname)?.ifindex === ifindex)
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
  if (hosts.length === 0) return found;
  const listed = await outputOf("list the namespaces", run(["-j", "netns", "list"]));
  // Without /run/netns it says nothing.
  const work = (parseIpJson(listed)[0] ?? []).flatMap(({ id, name }) => {
    const behind = hosts.filter(({ netnsId }) => netnsId !== undefined && netnsId === id);
    return behind.length === 0 ? [] : [{ behind, netns: `/run/netns/${name}` }];
  });
  if (netns !== undefined) work.push({ behind: [...hosts], netns });
  await eachOf(work, async ({ behind, netns }) => {
    const links = await linksIfThere(run, netns);
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

/** No links if the namespace went away since it was listed. */
async function linksIfThere(run: RunIp, netns: string): Promise<Link[]> {
  try {
    return await linksInside(run, netns);
  } catch (error) {
    if (isError(error, "InvalidNetNS")) return [];
    throw error;
  }
}
