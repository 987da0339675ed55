import { contains, formatCidr, type Ip } from "../../base/address.ts";
import {
  hostVethName,
  isHostVethName,
  type Owner,
  ownerKey,
  podIn,
} from "../../base/attachment.ts";
import { macOfAll } from "../../base/mac.ts";
import { allocatingRange, subnetsOf } from "../../base/range.ts";
import type { NetworkConfig } from "../../config.ts";
import { type Lease, now, recordedMac, SUBNET_CHANGED } from "../../ipam.ts";
import type { Claim, HostVeth } from "../../ownership.ts";
import { firstThree } from "../first_three.ts";

/** A finding about an attachment that repair can't verify or that is wrong. */
export interface RepairFinding {
  /** With `unverified` the state is not written, because an address might be allocated twice. */
  readonly level: "unverified" | "wrong" | "note";
  readonly found: string;
  readonly remedy?: string;
}

/** The users of addresses and MACs: leases, and containers without a lease. */
export interface Taken {
  /** The lease that holds the address. */
  readonly leaseOf: (ip: Ip) => string | undefined;
  /** The other user of the MAC: a lease, the bridge, or another container. */
  readonly macUser: (mac: string, veth: HostVeth) => string | undefined;
  /** Another container without a lease that has the address too. */
  readonly rivalOf: (ip: Ip, veth: HostVeth) => string | undefined;
}

/**
 * The command that names a namespace, because `ip` enters only named ones and `ctr` makes them without a name. Empty if the
 * veth was inspected or its other end is in this namespace.
 */
export function namingCommand({ link: { netnsId }, inside }: HostVeth): string {
  if (inside !== undefined || netnsId === undefined) return "";
  const pid = `$(lsns -nt net -o NETNSID,PID | awk '$1 == ${netnsId} { print $2 }')`;
  return `if a process lives in it, name its namespace and repair again: ip netns attach reach-${netnsId} ${pid}; else `;
}

/** The network's addresses on the container's end. The container can forge them, so a lease outweighs them. */
export function addressesIn({ sets }: NetworkConfig, { inside }: HostVeth): Ip[] {
  const subnets = subnetsOf(sets);
  return (inside?.peer.addresses ?? []).map(({ ip }) => ip).filter((ip) =>
    subnets.some((subnet) => contains(subnet, ip))
  );
}

/** The owner in the veth's alias, if its name or its group confirms the alias and neither contradicts it. */
export async function ownerOf(
  { name }: NetworkConfig,
  { lease, attachment, veths: [veth] }: Claim,
): Promise<Owner | undefined> {
  if (lease !== undefined) return lease.owner;
  if (attachment === undefined || attachment.network !== name || veth === undefined) {
    return undefined;
  }
  const { ifname } = veth.link;
  const isOther = isHostVethName(ifname) && await hostVethName(attachment) !== ifname;
  return isOther ? undefined : attachment;
}

/**
 * Makes the lease of a host veth without one, from one address of each set. If the container has several addresses of a set,
 * the one that its MAC derives from counts. Returns a finding if no lease can be verified.
 */
export async function leaseBehind(
  config: NetworkConfig,
  claim: Claim,
  taken: Taken,
): Promise<Lease | RepairFinding> {
  const [veth] = claim.veths;
  if (veth === undefined) throw new Error("a claim without a veth");
  const { link, inside } = veth;
  const owner = await ownerOf(config, claim);
  const removing = `${
    namingCommand(veth)
  }remove that container (its DEL removes ${link.ifname}), and repair again`;
  if (inside === undefined || owner === undefined) {
    return {
      level: "unverified",
      found: inside === undefined
        ? `the container of "${
          owner ? ownerKey(owner) : link.alias
        }" (${link.ifname}) can't be inspected`
        : `the alias of ${link.ifname} does not name its container: "${link.alias}"`,
      remedy: removing,
    };
  }
  const whose = ownerKey(owner);
  const all = addressesIn(config, veth);
  const free = all.filter((ip) => taken.leaseOf(ip) === undefined);
  if (free.length === 0) {
    const [held] = all;
    return held !== undefined ? heldTwice(held, whose, taken.leaseOf(held) ?? "") : {
      level: "wrong",
      found: `"${whose}" has no address and no lease`,
      remedy:
        "if its container is gone, its DEL or a GC removes the host veth; if it lives, start it again",
    };
  }
  for (const ip of free) {
    const rival = taken.rivalOf(ip, veth);
    if (rival === undefined) continue;
    return {
      level: "unverified",
      found: `${ip} is in two containers without a lease: "${whose}" and "${rival}"`,
      remedy: "remove one of the two, and repair again",
    };
  }
  const { mac } = inside.peer;
  const of = (set: NetworkConfig["sets"][number]) =>
    free.filter((ip) => allocatingRange(set, ip) !== undefined);
  const ips = config.sets.flatMap((set) =>
    of(set).find((ip) => macOfAll([ip]) === mac) ?? of(set)[0] ?? []
  );
  const isAmbiguous = config.sets.some((set) =>
    of(set).length > 1 && !of(set).some((ip) => macOfAll([ip]) === mac)
  );
  if (isAmbiguous || ips.length === 0) {
    return {
      level: "unverified",
      found: `"${whose}" has ${free.join(" and ")}: which is its lease?`,
      remedy:
        "delete all but one address of each range in the container, or remove the container, and repair again",
    };
  }
  const wearer = mac === macOfAll(ips) ? undefined : taken.macUser(mac, veth);
  if (wearer !== undefined) {
    return {
      level: "unverified",
      found: `"${whose}" has the MAC ${mac} of ${wearer}: which of the two may use it?`,
      remedy: removing,
    };
  }
  return foundLease(config, { owner, ips, mac }, veth);
}

function foundLease(
  config: NetworkConfig,
  { owner, ips, mac }: { owner: Owner; ips: readonly Ip[]; mac: string },
  { link }: HostVeth,
): Lease {
  const pod = podIn(link.alias);
  const recorded = recordedMac(ips, mac);
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
    },
  };
}

function heldTwice(ip: Ip, second: string, first: string): RepairFinding {
  return {
    level: "wrong",
    found: `${ip} is in two containers: "${first}", which keeps the lease, and "${second}"`,
    remedy: `remove "${second}" and add it again`,
  };
}

/** Reports leases in another subnet. While containers hold them, an ADD allocates nothing and repair can't help. */
export function outsideFinding(
  { name, sets }: NetworkConfig,
  leases: readonly Lease[],
): RepairFinding | undefined {
  const subnets = subnetsOf(sets);
  const outside = leases.filter(({ ips, record }) =>
    record?.ranges === undefined &&
    ips.some((ip) => !subnets.some((subnet) => contains(subnet, ip)))
  );
  if (outside.length === 0) return undefined;
  const count = outside.length === 1 ? "1 lease is" : `${outside.length} leases are`;
  const whose = outside.map(({ owner, ips }) => `${ips.join(" and ")} of "${ownerKey(owner)}"`);
  return {
    level: "wrong",
    found: `${count} outside of ${subnets.map(formatCidr).join(", ")}: ${
      firstThree(whose)
    }; repair does not write leases of a changed subnet`,
    remedy: `${SUBNET_CHANGED}; see all: atomicni list ${name}`,
  };
}

/** Reports a veth on the bridge without an owner, if its container has or may have an address that could be allocated. */
export function unownedVethFinding(
  config: NetworkConfig,
  veth: HostVeth,
  { leaseOf }: Taken,
  isInDoubt: boolean,
): RepairFinding | undefined {
  const { link: { ifname }, inside } = veth;
  const held = addressesIn(config, veth).filter((ip) =>
    config.sets.some((set) => allocatingRange(set, ip) !== undefined) && leaseOf(ip) === undefined
  );
  const remedy = `${
    namingCommand(veth)
  }remove ${ifname}, or keep its address out of the network's range, and repair again`;
  if (held.length > 0) {
    const found = `${held.join(", ")} is behind ${ifname}, whose owner is unknown`;
    return { level: "unverified", found, remedy };
  }
  if (inside !== undefined || !isInDoubt) return undefined;
  return {
    level: "unverified",
    found: `${ifname} on ${config.bridge} has no known owner, and its other end can't be inspected`,
    remedy,
  };
}
