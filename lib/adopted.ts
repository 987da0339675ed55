import type { NetnsPath } from "./config.ts";
import { asCniError, CniError, quote } from "./errors.ts";
import type { FoundLease, LeaseFolder } from "./import.ts";
import { type Adoption, hostsOf, type Lease, type Leases } from "./ipam.ts";
import type { Pool } from "./pool.ts";
import { contains, formatCidr, formatIpv4, type Ipv4 } from "./ipv4.ts";
import type { Link } from "./links.ts";
import { type InterfaceName, isHostVethName, type NetworkName } from "./names.ts";
import type { Inside, Kernel } from "./netops.ts";

/** The network whose leases are taken over; its configuration has only its `type` changed. */
export interface Takeover extends Pool {
  readonly name: NetworkName;
  readonly bridge: InterfaceName;
}

/** What became of each lease of the folder. */
export interface ImportReport {
  /** Held now: its container was found. */
  readonly proved: readonly Lease[];
  /** Held now: its container may be behind a host veth whose namespace has no name in /run/netns. */
  readonly possible: readonly Lease[];
  /** Not taken over: no container has the address. */
  readonly dead: readonly FoundLease[];
}

/**
 * Takes over the leases of host-local, so that no live container's address is given a second time. Which host veth
 * belongs to a lease is read from the kernel: the one behind which an interface has its address. Codes 7, 102.
 */
export async function importLeases(
  folder: LeaseFolder,
  takeover: Takeover,
  kernel: Kernel,
  leases: Leases,
): Promise<ImportReport> {
  folder.leases.forEach(({ ip }) => mustBeInside(takeover, ip));
  // Those without a bridge are taken too: a container may be on its way in.
  const veths = [...(await kernel.veths()).values()].filter(({ ifname, master, netnsId }) =>
    !isHostVethName(ifname) && netnsId !== undefined && ["", takeover.bridge].includes(master)
  );
  const inside = await kernel.lookInside(veths);
  const hidden = veths.filter(({ ifname }) => !inside.has(ifname)).map(({ ifname }) => ifname);
  const proved: Adoption[] = [];
  const possible: Adoption[] = [];
  const dead: FoundLease[] = [];
  for (const lease of folder.leases) {
    const host = veths.find(({ ifname }) => holds(inside.get(ifname), lease.ip));
    if (host !== undefined) proved.push(adoption(lease, [host.ifname], host, inside));
    else if (hidden.length > 0) possible.push(adoption(lease, hidden));
    else dead.push(lease);
  }
  await leases.adopt([...proved, ...possible], takeover, folder.lastReserved);
  return { proved, possible, dead };
}

function mustBeInside({ subnet, gateway, name }: Takeover, ip: Ipv4): void {
  const found = !contains(subnet, ip)
    ? `it is outside ${formatCidr(subnet)}`
    : ip === gateway
    ? "it is the gateway"
    : undefined;
  if (found === undefined) return;
  throw new CniError(
    7,
    `Cannot take "${formatIpv4(ip)}" over into network "${name}": ${found}`,
    { details: "give the configuration that these leases were made with, with its type changed" },
  );
}

function holds(inside: Inside | undefined, ip: Ipv4): boolean {
  return inside?.peer.addresses.some((it) => it.startsWith(`${formatIpv4(ip)}/`)) ?? false;
}

function adoption(
  { ip, containerId, ifname }: FoundLease,
  hosts: readonly string[],
  host?: Link,
  inside?: ReadonlyMap<string, Inside>,
): Adoption {
  const peer = host && inside?.get(host.ifname)?.peer;
  const name = ifname ?? peer?.ifname;
  return {
    key: name === undefined ? containerId : `${containerId}/${name}`,
    ip,
    note: {
      since: `${new Date().toISOString().slice(0, 19)}Z`,
      veth: host?.mac ?? "",
      hosts: hosts.join(" "),
      // Not the one that belongs to the address, so that its neighbours must forget it on DEL.
      ...(peer !== undefined && { mac: peer.mac }),
    },
  };
}

/** Where a DEL says that the container is. */
export interface Whereabouts {
  readonly netns: NetnsPath;
  readonly ifname: InterfaceName;
}

/**
 * The host veth of a lease that was taken over; `"gone"` where nothing can answer on its address any more, and
 * `"hidden"` where it can't be told which of several it is.
 */
export async function findHost(
  lease: Lease,
  kernel: Kernel,
  whereabouts?: Whereabouts,
): Promise<Link | "gone" | "hidden"> {
  const hosts = hostsOf(lease) ?? [];
  const veths = await kernel.veths();
  const candidates = hosts.flatMap((host) => veths.get(host) ?? []);
  const [only] = candidates;
  if (only === undefined) return "gone";
  // By MAC too: the name may be somebody else's by now.
  if (hosts.length === 1) return only.mac === lease.note?.veth ? only : "gone";
  const inside = await kernel.lookInside(candidates);
  const found = candidates.find(({ ifname }) => holds(inside.get(ifname), lease.ip));
  if (found !== undefined) return found;
  const there = whereabouts && await linkThere(whereabouts, only, kernel);
  const address = `${formatIpv4(lease.ip)}/`;
  if (there?.addresses.some((it) => it.startsWith(address))) {
    return candidates.find(({ ifindex }) => ifindex === there.peerIndex) ?? "hidden";
  }
  return candidates.every(({ ifname }) => inside.has(ifname)) ? "gone" : "hidden";
}

async function linkThere(
  { netns, ifname }: Whereabouts,
  any: Link,
  kernel: Kernel,
): Promise<Link | undefined> {
  if (!netns.startsWith("/") || netns.includes("\0")) return undefined;
  try {
    const host = any.ifname as InterfaceName; // only the container's side is looked for
    return (await kernel.inspect(host, host, netns, ifname)).inside;
  } catch (error) {
    if (asCniError(error).code === 8) return undefined;
    throw error;
  }
}

/** What people are told of an import. */
export function describeImport({ proved, possible, dead }: ImportReport): string[] {
  return [
    `${proved.length} leases taken over`,
    ...(possible.length === 0 ? [] : [
      `${possible.length} more, whose containers' namespaces are not in /run/netns; each stays held until its DEL`,
    ]),
    ...dead.map(({ ip, containerId }) =>
      `${formatIpv4(ip)} of ${quote(containerId)} left out: no container has it`
    ),
  ];
}
