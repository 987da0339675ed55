import type { Ip } from "../../base/address.ts";
import {
  isHostVethName,
  isHostVethOf,
  type Owner,
  ownerKey,
  podIn,
} from "../../base/attachment.ts";
import { isLayer2HostMac, macOfAll, macProvenBy } from "../../base/mac.ts";
import { allocatingRange, isInSubnets } from "../../base/range.ts";
import type { NetworkConfig } from "../../config.ts";
import {
  containerMac,
  type Lease,
  listLeases,
  now,
  othersThan,
  readNetworks,
  recordedMac,
  recordOf,
} from "../../ipam.ts";
import type { Claim, HostVeth, HostView } from "../../ownership.ts";

/** A finding about an attachment that repair can't verify, or that is wrong. */
export interface RepairFinding {
  /** With `unverified` the state is not written, because an address might be allocated twice. */
  readonly level: "unverified" | "wrong" | "note";
  readonly found: string;
  readonly remedy?: string;
}

export function unverified(found: string, remedy: string): RepairFinding {
  return { level: "unverified", found, remedy };
}

export function wrong(found: string, remedy: string): RepairFinding {
  return { level: "wrong", found, remedy };
}

/** A container without a lease. */
interface Unleased {
  readonly veth: HostVeth;
  /** `undefined` if its alias does not name it, or the veth's name contradicts the alias. */
  readonly owner: Owner | undefined;
  /** The owner, or without one the host veth. */
  readonly name: string;
  /** The network's addresses in the container. It can forge them, so a lease outweighs them. */
  readonly ips: readonly Ip[];
}

/** The users of a network's addresses and MACs. */
export interface Taken {
  readonly config: NetworkConfig;
  /** The owners of leases, by their addresses. */
  readonly holders: ReadonlyMap<Ip, string>;
  /** The users of MACs on the bridge: the bridge itself, leases, and containers without addresses. */
  readonly macs: ReadonlyMap<string, string>;
  readonly unleased: readonly Unleased[];
}

/** `unleased` are claims without a lease, or with the lease of an earlier ADD. */
export async function collectTaken(
  config: NetworkConfig,
  kept: readonly Lease[],
  unleased: readonly Claim[],
  bridgeMac: string | undefined,
  view: HostView,
): Promise<Taken> {
  const macs = new Map<string, string>();
  const take = (mac: string | undefined, user: string) => mac && macs.set(mac, user);
  for (const lease of kept) take(containerMac(lease), `"${ownerKey(lease.owner)}"`);
  take(bridgeMac, `the bridge "${config.bridge}"`);
  // Other networks on the bridge, with and without addresses.
  for (const { network, state } of othersThan(config, readNetworks().held)) {
    for (const lease of listLeases(state)) {
      if (lease.record?.bridge !== config.bridge) continue;
      take(containerMac(lease), `"${ownerKey(lease.owner)}" of network "${network}"`);
    }
  }
  for (const { link } of view) {
    if (isLayer2HostMac(link.mac)) {
      take(macProvenBy(link.mac), `the container of "${link.ifname}"`);
    }
  }
  const holders = new Map<Ip, string>();
  kept.forEach(({ ips, owner }) => ips.forEach((ip) => holders.set(ip, ownerKey(owner))));
  const containers = unleased.flatMap((claim) =>
    claim.veths.map(async (veth) => {
      const { ifname } = veth.link;
      const owner = claim.lease?.owner ?? await ownerIn(config.name, claim, ifname);
      const name = owner === undefined ? ifname : ownerKey(owner);
      return { veth, owner, name, ips: addressesIn(config, veth) };
    })
  );
  return { config, holders, macs, unleased: await Promise.all(containers) };
}

/** The owner that the veth's alias names, unless the veth's name is that of another attachment. */
async function ownerIn(network: string, { attachment }: Claim, ifname: string) {
  if (attachment?.network !== network) return undefined;
  const isOther = isHostVethName(ifname) && !await isHostVethOf(attachment, ifname);
  return isOther ? undefined : attachment;
}

export function addressesIn({ sets }: NetworkConfig, { inside }: HostVeth): Ip[] {
  return (inside?.peer.addresses ?? []).map(({ ip }) => ip).filter((ip) => isInSubnets(sets, ip));
}

/**
 * The command that names a container's namespace: `ip` enters only named namespaces, and `ctr` makes them without a name. Empty
 * if the veth was inspected, or its other end is in the host's namespace.
 */
export function namingCommand({ link: { netnsId }, inside }: HostVeth): string {
  if (inside !== undefined || netnsId === undefined) return "";
  const pid = `$(lsns -nt net -o NETNSID,PID | awk '$1 == ${netnsId} { print $2 }')`;
  return `if a process lives in it, name its namespace and repair again: ip netns attach reach-${netnsId} ${pid}; else `;
}

/**
 * Makes a lease for a container without one, with one address of each set. Of several addresses of a set, the address from which
 * the container's MAC is derived counts. Returns a finding if no lease can be verified.
 */
export function makeLease(container: Unleased, taken: Taken): Lease | RepairFinding {
  const { config, holders, macs, unleased } = taken;
  const { veth, owner, name, ips: all } = container;
  const { link, inside } = veth;
  const removing = `${
    namingCommand(veth)
  }remove that container (its DEL removes ${link.ifname}), and repair again`;
  if (inside === undefined) {
    const user = owner === undefined ? link.alias : name;
    return unverified(`the container of "${user}" (${link.ifname}) can't be inspected`, removing);
  }
  if (owner === undefined) {
    const found = `the alias of ${link.ifname} does not name its container: "${link.alias}"`;
    return unverified(found, removing);
  }
  const free = all.filter((ip) => !holders.has(ip));
  if (free.length === 0) return noFreeAddress(name, all[0], all[0] && holders.get(all[0]));
  const others = unleased.filter((it) => it !== container);
  for (const ip of free) {
    const rival = others.find(({ ips }) => ips.includes(ip))?.name;
    if (rival === undefined) continue;
    const found = `${ip} is in two containers without a lease: "${name}" and "${rival}"`;
    return unverified(found, "remove one of the two, and repair again");
  }
  const { mac } = inside.peer;
  const choices = config.sets.map((set) => free.filter((ip) => allocatingRange(set, ip)))
    .filter((choice) => choice.length > 0);
  const ips = choices.flatMap((choice) =>
    (choice.length === 1 ? choice[0] : choice.find((ip) => macOfAll([ip]) === mac)) ?? []
  );
  if (ips.length === 0 || ips.length < choices.length) {
    return unverified(
      `"${name}" has ${free.join(" and ")}: which is its lease?`,
      "delete all but one address of each range in the container, or remove the container, and repair again",
    );
  }
  const rival = others.find((it) => it.veth.inside?.peer.mac === mac)?.name;
  const user = macs.get(mac) ?? (rival && `"${rival}"`);
  if (mac !== macOfAll(ips) && user !== undefined) {
    const found = `"${name}" has the MAC ${mac} of ${user}: which of the two may use it?`;
    return unverified(found, removing);
  }
  const evidence = { hostMac: link.mac, pod: podIn(link.alias), mac: recordedMac(ips, mac) };
  return { owner: { ...owner }, ips, record: recordOf({ ...config, ...evidence, since: now() }) };
}

function noFreeAddress(name: string, held?: Ip, holder?: string): RepairFinding {
  if (held === undefined) {
    return wrong(
      `"${name}" has no address and no lease`,
      "if its container is gone, its DEL or a GC removes the host veth; if it lives, start it again",
    );
  }
  const found = `${held} is in two containers: "${holder}", which keeps the lease, and "${name}"`;
  return wrong(found, `remove "${name}" and add it again`);
}
