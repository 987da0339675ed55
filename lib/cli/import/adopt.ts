import { contains, formatCidr, type Ip } from "../../base/address.ts";
import { isHostVethName } from "../../base/attachment.ts";
import { CniError } from "../../base/errors.ts";
import { subnetsOf } from "../../base/range.ts";
import type { NetworkConfig } from "../../config.ts";
import { addLease, type Adoption, checkFit, listLeases, mayAdopt, now } from "../../ipam.ts";
import type { Link } from "../../netops.ts";
import { type Claim, claims, type HostVeth, type HostView, mayHold } from "../../ownership.ts";
import { checkConsistent, type Effects, transactClaims } from "../../plugin.ts";
import type { FoundLease, LeaseFolder } from "./lease_folder.ts";

/** The outcome for each lease of the folder. */
export interface ImportReport {
  /** Imported: the container was found. */
  readonly proved: readonly Adoption[];
  /** Imported: the container is behind one of several host veths. */
  readonly possible: readonly Adoption[];
  /** Not imported: no container has the address, and every container was inspected. */
  readonly dead: readonly FoundLease[];
  /** Host veths on the bridge that match none of the leases. While one exists, an ADD allocates nothing. */
  readonly unexplained: readonly HostVeth[];
}

/**
 * Imports the leases of host-local, so that no live container's address is allocated twice. The host veth of a lease is the
 * one on any bridge whose peer has the address. Imports all leases or throws InvalidNetworkConfig, AddressUnavailable or
 * StateDamaged.
 */
export async function importLeases(
  folder: LeaseFolder,
  config: NetworkConfig,
  effects: Effects,
): Promise<ImportReport> {
  folder.leases.forEach(({ ips }) => ips.forEach((ip) => checkInside(config, ip)));
  const everywhere = { name: config.name, bridge: undefined };
  const { result } = await transactClaims(everywhere, effects, async (moment) => {
    const { state, provenance, view } = moment;
    checkConsistent({ ...moment, claims: moment.claims.filter(isOwn) }, config, config.sets);
    checkFit(state, config, config.name, provenance === "written");
    const sorted = sort(folder, config, view);
    const fresh = [...sorted.proved, ...sorted.possible].filter((lease) => mayAdopt(state, lease));
    for (const lease of fresh) addLease(state, lease);
    state.ranges = config.configuredSets;
    if (state.lastReserved.length === 0) state.lastReserved.push(...folder.lastReserved);
    const left = (await claims(config, listLeases(state), view)).filter((it) =>
      it.kind === "unowned" && mayHold(it, config.sets)
    );
    const result = { ...sorted, unexplained: left.flatMap(({ veths }) => veths) };
    if (fresh.length === 0 && provenance === "written") return { result };
    return { result, write: left.length > 0 ? "unverified" as const : "verified" as const };
  }, { isThorough: true });
  return result;
}

/** Excludes the veths of other plugins. A host veth of this network without a lease means that the state is damaged. */
function isOwn({ kind }: Claim): boolean {
  return kind !== "unowned";
}

function sort(
  { leases }: LeaseFolder,
  config: NetworkConfig,
  view: HostView,
): Omit<ImportReport, "unexplained"> {
  const veths = view.filter(({ link }) =>
    link.netnsId !== undefined && !isHostVethName(link.ifname)
  );
  const report = { proved: [] as Adoption[], possible: [] as Adoption[], dead: [] as FoundLease[] };
  for (const lease of leases) {
    const hosts = candidates(lease, config, veths);
    const [only, ...more] = hosts;
    if (only === undefined) report.dead.push(lease);
    else if (more.length === 0 && only.inside !== undefined) {
      report.proved.push(adoption(lease, config, hosts, only.inside.peer));
    } else report.possible.push(adoption(lease, config, hosts, undefined));
  }
  return report;
}

function checkInside({ sets, name }: NetworkConfig, ip: Ip): void {
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
    { details: "pass the configuration that these leases were made with, with its type changed" },
  );
}

/**
 * The host veths that may belong to the lease: those whose peer has its address, on the network's bridge if there are any.
 * If there are none, the veths that can't be inspected.
 */
function candidates(
  { ips }: FoundLease,
  { bridge }: NetworkConfig,
  veths: readonly HostVeth[],
): readonly HostVeth[] {
  const fitting = veths.filter(({ inside }) =>
    inside?.peer.addresses.some(({ ip }) => ips.includes(ip))
  );
  const attached = fitting.filter(({ link }) => link.master === bridge);
  if (attached.length > 0) return attached;
  return fitting.length > 0 ? fitting : veths.filter(({ inside }) => inside === undefined);
}

function adoption(
  { ips, containerId, ifname }: FoundLease,
  { bridge }: NetworkConfig,
  hosts: readonly HostVeth[],
  peer: Link | undefined,
): Adoption {
  const [only, ...more] = hosts;
  return {
    owner: { containerId, ifname: ifname ?? (peer?.ifname as FoundLease["ifname"]) },
    ips,
    record: {
      since: now(),
      // DEL and GC recognise the veth by this MAC. It is empty if the veth is uncertain.
      hostMac: peer !== undefined && more.length === 0 ? only?.link.mac ?? "" : "",
      hosts: hosts.map(({ link }) => link.ifname).join(" "),
      // DEL flushes the neighbours of this bridge, because the MAC is not derived from the address.
      bridge: only?.link.master || bridge,
      ...(peer !== undefined && { mac: peer.mac }),
    },
  };
}
