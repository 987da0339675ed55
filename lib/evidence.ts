import type { NetworkConfig } from "./config.ts";
import { hostsOf, type Lease, SUBNET_CHANGED, vethOf } from "./ipam.ts";
import { contains, formatCidr, formatIpv4, inRange, type Ipv4, tryIpv4 } from "./ipv4.ts";
import type { LeaseNote } from "./ledger.ts";
import type { Link } from "./links.ts";
import { attachmentOf, hostVethName, isHostVethName, leaseKey, macOf } from "./names.ts";
import type { Inside, Kernel } from "./netops.ts";

/** What could not be proved, or is not as it should be. */
export interface RepairFinding {
  /** `unproved` keeps the state from being written: an address might be given a second time. */
  readonly level: "unproved" | "wrong" | "note";
  readonly found: string;
  readonly remedy?: string;
}

/** A host veth, and what of it is known. */
export interface Owned {
  readonly key: string;
  readonly pod?: string;
  readonly link: Link;
  readonly inside: Inside | undefined;
  readonly old: Lease | undefined;
}

export interface Look {
  readonly owned: readonly Owned[];
  /** On the bridge or of a name of ours, but nothing says whose they are. */
  readonly strange: readonly { readonly link: Link; readonly inside: Inside | undefined }[];
  /** Leases taken over from another plugin that may belong to any of several host veths, one of which stands. */
  readonly possible: readonly Lease[];
}

export async function look(
  config: NetworkConfig,
  kernel: Kernel,
  leases: readonly Lease[],
): Promise<Look> {
  const { name, bridge } = config;
  const veths = await kernel.veths();
  const byHost = new Map<string, Lease>();
  const possible: Lease[] = [];
  for (const lease of leases) {
    const hosts = hostsOf(lease) ?? [await vethOf(lease.key, name)];
    if (hosts.length === 1) byHost.set(hosts[0] ?? "", lease);
    else if (hosts.some((host) => veths.has(host))) possible.push(lease);
  }
  const listed = [...veths.values()].filter((it) => it.netnsId !== undefined);
  const inside = await kernel.lookInside(listed);
  // One that went meanwhile is none that can't be looked into: a DEL removed it, or an ADD took it back.
  const standing = listed.every(({ ifname }) => inside.has(ifname)) ? veths : await kernel.veths();
  const links = listed.filter(({ ifname, ifindex }) =>
    inside.has(ifname) || standing.get(ifname)?.ifindex === ifindex
  );
  const owned: Owned[] = [];
  const strange: { link: Link; inside: Inside | undefined }[] = [];
  for (const link of links) {
    const there = inside.get(link.ifname);
    const candidates = possible.filter((lease) => hostsOf(lease)?.includes(link.ifname));
    const old = byHost.get(link.ifname) ??
      candidates.find(({ ip }) => addressesIn(config, there).includes(ip));
    const owner = attachmentOf(link.alias);
    const isOwn = owner !== undefined && await hostVethName(owner) === link.ifname;
    if (isOwn && owner.network === name) {
      const pod = link.alias.includes(" ") ? { pod: link.alias.split(" ")[0] ?? "" } : {};
      owned.push({ key: leaseKey(owner), ...pod, link, inside: there, old });
    } else if (!isOwn && old !== undefined) {
      owned.push({ key: old.key, link, inside: there, old });
    } else if (
      !isOwn && link.master === bridge && (there !== undefined || candidates.length === 0)
    ) {
      strange.push({ link, inside: there });
    }
  }
  return { owned, strange, possible };
}

/** The addresses of the network that the container's end has. */
export function addressesIn({ subnet }: NetworkConfig, inside: Inside | undefined): Ipv4[] {
  return (inside?.peer.addresses ?? []).flatMap((it) => tryIpv4(it.split("/")[0] ?? "") ?? [])
    .filter((ip) => contains(subnet, ip));
}

/** The lease that a host veth proves; a finding where it proves none. */
export function leaseOf(
  config: NetworkConfig,
  { key, pod, link, inside, old }: Owned,
  isReadable: boolean,
): Lease | RepairFinding | undefined {
  const addresses = addressesIn(config, inside);
  const [ip] = addresses;
  const state = old?.key === key ? old : undefined;
  if (addresses.length > 1) {
    return {
      level: "unproved",
      found: `"${key}" has ${addresses.map(formatIpv4).join(" and ")}: which is its lease?`,
      remedy: "take all but one from the container, or remove it, and repair again",
    };
  }
  if (ip === undefined) {
    // In the middle of its ADD, or out of reach: the lease that can be read holds as long as the veth stands.
    if (state !== undefined) return state;
    if (inside === undefined) {
      return {
        level: "unproved",
        found: `the container of "${key}" (${link.ifname}) can't be looked into`,
        remedy: `remove it (its DEL takes ${link.ifname} away), and repair again`,
      };
    }
    const found = `"${key}" has no address`;
    return isReadable
      ? { level: "note", found: `${found}: in the middle of its ADD, or left over` }
      : { level: "wrong", found, remedy: "DEL it; what a killed ADD left is garbage" };
  }
  if (state?.ip === ip) return state;
  const mac = inside?.peer.mac;
  const note: LeaseNote = {
    since: `${new Date().toISOString().slice(0, 19)}Z`,
    veth: link.mac,
    ...(pod !== undefined && { pod }),
    ...(mac !== undefined && mac !== macOf(ip) && { mac }),
    ...(!isHostVethName(link.ifname) && { hosts: link.ifname }),
  };
  return { key, ip, note };
}

export function heldTwice(second: Lease, first: Lease): RepairFinding {
  return {
    level: "wrong",
    found:
      `${formatIpv4(second.ip)} is in two containers: "${first.key}", which keeps the lease, ` +
      `and "${second.key}"`,
    remedy: `remove "${second.key}" and add it again`,
  };
}

/** Leases that containers hold in another subnet: beside them an ADD gives nothing, and there is nothing to rebuild. */
export function outsideFinding(
  { name, subnet }: NetworkConfig,
  leases: readonly Lease[],
): RepairFinding | undefined {
  const outside = leases.filter(({ ip }) => !contains(subnet, ip));
  if (outside.length === 0) return undefined;
  const count = outside.length === 1 ? "1 lease is" : `${outside.length} leases are`;
  const whose = outside.slice(0, 3).map(({ key, ip }) => `${formatIpv4(ip)} of "${key}"`);
  return {
    level: "wrong",
    found: `${count} outside of ${formatCidr(subnet)}: ${whose.join(", ")}${
      outside.length > 3 ? ", …" : ""
    }; the subnet was changed, which is no damage that repair can mend`,
    remedy: `${SUBNET_CHANGED}; see all: atomicni list ${name}`,
  };
}

/** A veth of nobody on the bridge: what matters is whether an address that could be given is behind it. */
export function strangeFinding(
  config: NetworkConfig,
  { link, inside }: Look["strange"][number],
): RepairFinding | undefined {
  const held = addressesIn(config, inside).filter((ip) => inRange(config.range, ip));
  const remedy =
    `remove ${link.ifname}, or keep its address out of rangeStart to rangeEnd, and repair again`;
  if (held.length > 0) {
    const found = `${
      held.map(formatIpv4).join(", ")
    } is behind ${link.ifname}, and nothing says whose`;
    return { level: "unproved", found, remedy };
  }
  if (inside !== undefined) return undefined;
  return {
    level: "unproved",
    found:
      `${link.ifname} on ${config.bridge} is nobody's, and what is behind it can't be looked into`,
    remedy,
  };
}
