import { contains, formatCidr, type Ip } from "../../base/address.ts";
import {
  attachmentIn,
  hostVethName,
  isCutAlias,
  isHostVethName,
  type Owner,
  ownerKey,
  podIn,
} from "../../base/attachment.ts";
import { macOfAll } from "../../base/mac.ts";
import { givingRange, subnetsOf } from "../../base/range.ts";
import type { NetworkConfig } from "../../config.ts";
import {
  hasMacOf,
  hostsOf,
  isOfEarlierAdd,
  type Lease,
  now,
  recordedMac,
  SUBNET_CHANGED,
} from "../../ipam.ts";
import type { Inside, Link } from "../../netops.ts";
import type { Effects } from "../../plugin.ts";
import { few } from "../few.ts";

/** What could not be proved, or is not as it should be. */
export interface RepairFinding {
  /** `unproved` keeps the state from being written: an address might be given a second time. */
  readonly level: "unproved" | "wrong" | "note";
  readonly found: string;
  readonly remedy?: string;
}

/** A host veth of the network, and what of it is known. */
export interface Owned {
  /** `undefined` where its alias is cut. */
  readonly owner: Owner | undefined;
  readonly link: Link;
  /** `undefined` where its namespace can't be looked into. */
  readonly inside: Inside | undefined;
}

/** A host veth on the bridge that is nobody's. */
export type Stranger = Omit<Owned, "owner">;

export interface Look {
  readonly owned: readonly Owned[];
  readonly strangers: readonly Stranger[];
  /** Every host veth by name. */
  readonly veths: ReadonlyMap<string, Link>;
}

/** What the kernel has of the network; host veths whose ADD is at work are left out, for their leases may come. */
export async function look(config: NetworkConfig, { kernel, marks }: Effects): Promise<Look> {
  const { name, bridge } = config;
  const listed = [...(await kernel.veths()).values()].filter(({ netnsId }) =>
    netnsId !== undefined
  );
  const inside = await kernel.lookInside(listed);
  // A vanished veth is not an unreadable one: a DEL removed it, or an ADD took it back.
  const veths = await kernel.veths();
  const owned: Owned[] = [];
  const strangers: Stranger[] = [];
  for (const link of listed) {
    const there = inside.get(link.ifname);
    if (veths.get(link.ifname)?.ifindex !== link.ifindex) continue;
    if (marks.of(link.ifname) === "running") continue;
    const owner = attachmentIn(link.alias);
    const isOurs = owner?.network === name || isCutAlias(name, link.alias);
    if (isOurs) owned.push({ owner, link, inside: there });
    else if (owner === undefined && link.master === bridge) strangers.push({ link, inside: there });
  }
  return { owned, strangers, veths };
}

/** Whether one of the host veths that may be the lease's stands, under its name or another. */
export async function stands(
  lease: Lease,
  { name }: NetworkConfig,
  { owned, veths }: Look,
): Promise<boolean> {
  const key = ownerKey(lease.owner);
  if (owned.some(({ owner }) => owner !== undefined && ownerKey(owner) === key)) return true;
  if ([...veths.values()].some((link) => hasMacOf(lease, link))) return true;
  for (const host of await hostsOf(lease, name)) {
    const link = veths.get(host);
    if (link === undefined) continue;
    // The name may be another attachment's by now.
    const said = attachmentIn(link.alias);
    if (said === undefined || ownerKey(said) === key) return true;
  }
  return false;
}

/** Whether the host veth that stands is of a later ADD than the lease. */
export function isReplaced(lease: Lease, { owned }: Look): boolean {
  const key = ownerKey(lease.owner);
  const own = owned.filter(({ owner }) => owner !== undefined && ownerKey(owner) === key);
  return own.length > 0 &&
    own.every(({ link, inside }) =>
      isOfEarlierAdd(lease, link.mac, inside?.peer.addresses.map(({ ip }) => ip) ?? [])
    );
}

/** The addresses of the network that the container's end has; its word, and no proof against anybody's lease. */
function addressesIn({ sets }: NetworkConfig, inside: Inside | undefined): Ip[] {
  const subnets = subnetsOf(sets);
  return (inside?.peer.addresses ?? []).map(({ ip }) => ip).filter((ip) =>
    subnets.some((subnet) => contains(subnet, ip))
  );
}

/**
 * The lease of a host veth that has none: one address of each set, of which the one that fits the container's MAC counts
 * where it has several. A finding where there is none to be had; `isHeld` are the addresses that others' leases have.
 */
export async function leaseBehind(
  config: NetworkConfig,
  { owner, link, inside }: Owned,
  isHeld: (ip: Ip) => string | undefined,
): Promise<Lease | RepairFinding> {
  const whose = owner === undefined ? link.alias : ownerKey(owner);
  if (inside === undefined || owner === undefined) {
    return {
      level: "unproved",
      found: inside === undefined
        ? `the container of "${whose}" (${link.ifname}) can't be looked into`
        : `the alias of ${link.ifname} is cut: "${whose}"`,
      remedy: `remove that container (its DEL takes ${link.ifname} away), and repair again`,
    };
  }
  const all = addressesIn(config, inside);
  const taken = all.find((ip) => isHeld(ip) !== undefined);
  const free = all.filter((ip) => isHeld(ip) === undefined);
  if (free.length === 0) {
    return taken !== undefined ? heldTwice(taken, whose, isHeld(taken) ?? "") : {
      level: "wrong",
      found: `"${whose}" has no address and no lease`,
      remedy:
        "if its container is gone, its DEL or a GC takes the host veth away; if it lives, start it again",
    };
  }
  const ips = config.sets.flatMap((set) => {
    const mine = free.filter((ip) => givingRange(set, ip) !== undefined);
    return mine.find((ip) => macOfAll([ip]) === inside.peer.mac) ?? mine[0] ?? [];
  });
  const ambiguous = config.sets.some((set) => {
    const mine = free.filter((ip) => givingRange(set, ip) !== undefined);
    return mine.length > 1 && !mine.some((ip) => macOfAll([ip]) === inside.peer.mac);
  });
  if (ambiguous || ips.length === 0) {
    return {
      level: "unproved",
      found: `"${whose}" has ${free.join(" and ")}: which is its lease?`,
      remedy: "take all but one of each range from the container, or remove it, and repair again",
    };
  }
  const recorded = recordedMac(ips, inside.peer.mac);
  const pod = podIn(link.alias);
  return {
    owner: { containerId: owner.containerId, ifname: owner.ifname },
    ips,
    record: {
      since: now(),
      hostMac: link.mac,
      ...(pod !== undefined && { pod }),
      ...(recorded !== undefined && { mac: recorded }),
      ...(config.guarded && { guarded: true }),
      ...((config.guarded || recorded !== undefined) && { bridge: config.bridge }),
      ...(link.ifname !== await hostVethName({ network: config.name, ...owner }) &&
        !isHostVethName(link.ifname) && { hosts: link.ifname }),
    },
  };
}

export function heldTwice(ip: Ip, second: string, first: string): RepairFinding {
  return {
    level: "wrong",
    found: `${ip} is in two containers: "${first}", which keeps the lease, and "${second}"`,
    remedy: `remove "${second}" and add it again`,
  };
}

/** Leases that containers hold in another subnet: beside them an ADD gives nothing, and there is nothing to rebuild. */
export function outsideFinding(
  { name, sets }: NetworkConfig,
  leases: readonly Lease[],
): RepairFinding | undefined {
  const subnets = subnetsOf(sets);
  const outside = leases.filter(({ ips }) =>
    ips.some((ip) => !subnets.some((subnet) => contains(subnet, ip)))
  );
  if (outside.length === 0) return undefined;
  const count = outside.length === 1 ? "1 lease is" : `${outside.length} leases are`;
  const whose = outside.map(({ owner, ips }) => `${ips.join(" and ")} of "${ownerKey(owner)}"`);
  return {
    level: "wrong",
    found: `${count} outside of ${subnets.map(formatCidr).join(", ")}: ${
      few(whose)
    }; the subnet was changed, which is no damage that repair can mend`,
    remedy: `${SUBNET_CHANGED}; see all: atomicni list ${name}`,
  };
}

/** A veth of nobody on the bridge: what matters is whether an address that could be given is behind it. */
export function strangerFinding(
  config: NetworkConfig,
  { link, inside }: Stranger,
  isHeld: (ip: Ip) => string | undefined,
  isBlind: boolean,
): RepairFinding | undefined {
  const held = addressesIn(config, inside).filter((ip) =>
    config.sets.some((set) => givingRange(set, ip) !== undefined) && isHeld(ip) === undefined
  );
  const remedy =
    `remove ${link.ifname}, or keep its address out of what the network gives, and repair again`;
  if (held.length > 0) {
    const found = `${held.join(", ")} is behind ${link.ifname}, and nothing says whose`;
    return { level: "unproved", found, remedy };
  }
  if (inside !== undefined || !isBlind) return undefined;
  return {
    level: "unproved",
    found:
      `${link.ifname} on ${config.bridge} is nobody's, and what is behind it can't be looked into`,
    remedy,
  };
}
