import { hostVethName, isAliasOf } from "../base/attachment.ts";
import { isError } from "../base/errors.ts";
import type { InterfaceName, NetworkName } from "../base/names.ts";
import type { NetnsPath } from "../config.ts";
import { hasMacOf, hostsOf, type Lease } from "../ipam.ts";
import type { Inside, Kernel, Link } from "../netops.ts";

/** Where a DEL says that the container is. */
export interface Whereabouts {
  /** Empty where the runtime says that it has no namespace any more. */
  readonly netns: NetnsPath;
  readonly ifname: InterfaceName;
}

/**
 * The host veth of a lease that this program did not give (another plugin's, or the Go original's): `"gone"` where nothing
 * can answer on its address any more, `"another"` where it belongs to another interface than the one that is asked for, and
 * `"hidden"` where it can't be told which of several it is.
 */
export async function findHost(
  lease: Lease,
  network: NetworkName,
  kernel: Kernel,
  whereabouts?: Whereabouts,
): Promise<Link | "gone" | "hidden" | "another"> {
  const veths = await kernel.veths();
  const candidates = (await hostsOf(lease, network)).flatMap((host) => veths.get(host) ?? []);
  const [only] = candidates;
  if (only === undefined) return "gone";
  const there = whereabouts && await lookThere(whereabouts, kernel);
  if (there !== undefined && there !== "no namespace") {
    const own = candidates.find(({ ifindex }) => ifindex === there.peerIndex);
    if (own !== undefined) return own;
  }
  const inside = await kernel.lookInside(candidates);
  const found = candidates.find(({ ifname }) => holds(inside.get(ifname), lease)) ??
    candidates.find(({ mac }) => candidates.length === 1 && mac === lease.record?.hostMac);
  if (found !== undefined) {
    const peer = inside.get(found.ifname)?.peer;
    const isAnother = lease.owner.ifname === undefined && peer !== undefined &&
      whereabouts !== undefined && peer.ifname !== whereabouts.ifname;
    return isAnother ? "another" : found;
  }
  const isNamed = lease.owner.ifname === undefined && lease.record === undefined;
  if (isNamed) return legacyHost(only, inside.get(only.ifname), whereabouts, there);
  return candidates.every(({ ifname }) => inside.has(ifname)) ? "gone" : "hidden";
}

/** The Go original's host veth has a name that follows from the container's ID, whatever became of its address. */
function legacyHost(
  link: Link,
  inside: Inside | undefined,
  whereabouts: Whereabouts | undefined,
  there: Link | "no namespace" | undefined,
): Link | "another" {
  if (whereabouts === undefined || there === "no namespace") return link;
  if (inside !== undefined) return inside.peer.ifname === whereabouts.ifname ? link : "another";
  return there === undefined && whereabouts.netns !== "" ? "another" : link;
}

function holds(inside: Inside | undefined, { ips }: Lease): boolean {
  return inside?.peer.addresses.some(({ ip }) => ips.includes(ip)) ?? false;
}

/** The interface that the runtime names; `"no namespace"` where that is gone, `undefined` where it has no such interface. */
async function lookThere(
  { netns, ifname }: Whereabouts,
  kernel: Kernel,
): Promise<Link | "no namespace" | undefined> {
  if (!netns.startsWith("/") || netns.includes("\0")) return "no namespace";
  const none = "lo" as InterfaceName; // only the container's side is looked for
  try {
    return (await kernel.inspect({ bridge: none, host: none, netns, ifname, guarded: false }))
      .inside;
  } catch (error) {
    if (isError(error, "InvalidNetNS")) return "no namespace";
    throw error;
  }
}

/** The host veth that somebody gave another name: its alias still says whose it is, or else its MAC, which an ADD made up. */
export async function findRenamed(
  lease: Lease,
  network: NetworkName,
  kernel: Kernel,
): Promise<Link | undefined> {
  const owner = { network, ...lease.owner };
  const own = await hostVethName(owner);
  for (const link of (await kernel.veths()).values()) {
    const isOwn = isAliasOf(link.alias, owner) || hasMacOf(lease, link);
    if (isOwn && link.ifname !== own) return link;
  }
  return undefined;
}
