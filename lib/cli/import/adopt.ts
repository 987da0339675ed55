import { contains, formatCidr, type Ip } from "../../base/address.ts";
import { isHostVethName } from "../../base/attachment.ts";
import { CniError } from "../../base/errors.ts";
import { subnetsOf } from "../../base/range.ts";
import type { NetworkConfig } from "../../config.ts";
import { type Adoption, now } from "../../ipam.ts";
import type { Inside, Link } from "../../netops.ts";
import { type Effects, evidenceOf } from "../../plugin.ts";
import type { FoundLease, LeaseFolder } from "./lease_folder.ts";

/** What became of each lease of the folder. */
export interface ImportReport {
  /** Held now: its container was found. */
  readonly proved: readonly Adoption[];
  /** Held now: its container may be behind any of several host veths. */
  readonly possible: readonly Adoption[];
  /** Not imported: no container has the address. */
  readonly dead: readonly FoundLease[];
}

/**
 * Holds the leases of host-local, so that no live container's address is given a second time. Which host veth
 * belongs to a lease is read from the kernel: the one behind which an interface has its address. Throws
 * InvalidNetworkConfig, AddressUnavailable.
 */
export async function importLeases(
  folder: LeaseFolder,
  config: NetworkConfig,
  effects: Effects,
): Promise<ImportReport> {
  folder.leases.forEach(({ ips }) => ips.forEach((ip) => mustBeInside(config, ip)));
  const { kernel, leases } = effects;
  const evidence = evidenceOf(config, effects);
  const veths = [...(await kernel.veths()).values()].filter(({ ifname, master, netnsId }) =>
    !isHostVethName(ifname) && netnsId !== undefined && ["", config.bridge].includes(master)
  );
  const inside = await kernel.lookInside(veths);
  const report = { proved: [] as Adoption[], possible: [] as Adoption[], dead: [] as FoundLease[] };
  for (const lease of folder.leases) {
    const hosts = candidates(lease, config, veths, inside);
    const [only, ...more] = hosts;
    if (only === undefined) report.dead.push(lease);
    else if (more.length === 0 && inside.has(only.ifname)) {
      report.proved.push(adoption(lease, hosts, inside.get(only.ifname)?.peer));
    } else report.possible.push(adoption(lease, hosts, undefined));
  }
  const { proved, possible } = report;
  await leases.adopt([...proved, ...possible], config.sets, folder.lastReserved, evidence);
  return report;
}

function mustBeInside({ sets, name }: NetworkConfig, ip: Ip): void {
  const subnets = subnetsOf(sets);
  const found = !subnets.some((subnet) => contains(subnet, ip))
    ? `it is outside ${subnets.map(formatCidr).join(", ")}`
    : sets.flat().some(({ gateway }) => gateway === ip)
    ? "it is the gateway"
    : undefined;
  if (found === undefined) return;
  throw new CniError(
    "InvalidNetworkConfig",
    `Cannot import "${ip}" into network "${name}": ${found}`,
    { details: "give the configuration that these leases were made with, with its type changed" },
  );
}

/**
 * The host veths that may be the lease's: those behind which its address is, on the bridge rather than on its way there;
 * where none is seen, those that can't be looked into.
 */
function candidates(
  { ips }: FoundLease,
  { bridge }: NetworkConfig,
  veths: readonly Link[],
  inside: ReadonlyMap<string, Inside>,
): readonly Link[] {
  const fitting = veths.filter(({ ifname }) =>
    inside.get(ifname)?.peer.addresses.some(({ ip }) => ips.includes(ip))
  );
  const attached = fitting.filter(({ master }) => master === bridge);
  if (attached.length > 0) return attached;
  return fitting.length > 0 ? fitting : veths.filter(({ ifname }) => !inside.has(ifname));
}

function adoption(
  { ips, containerId, ifname }: FoundLease,
  hosts: readonly Link[],
  peer: Link | undefined,
): Adoption {
  const [only, ...more] = hosts;
  return {
    owner: { containerId, ifname: ifname ?? (peer?.ifname as FoundLease["ifname"]) },
    ips,
    record: {
      since: now(),
      // By it DEL and GC know the veth, so long as it was seen to be the one.
      hostMac: peer !== undefined && more.length === 0 ? only?.mac ?? "" : "",
      hosts: hosts.map((it) => it.ifname).join(" "),
      // Not the one that belongs to the address, so that its neighbours must forget it on DEL.
      ...(peer !== undefined && { mac: peer.mac }),
    },
  };
}
