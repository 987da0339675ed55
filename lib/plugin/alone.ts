/** Checks that no other network or plugin uses the addresses of a network. An ADD does not see those. */
import { formatCidr, formatInterfaceAddress, networkOf } from "../base/address.ts";
import { attachmentIn, ownerKey } from "../base/attachment.ts";
import { CniError, quote } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import { allocatingRange, formatSet, overlapping, subnetsOf } from "../base/range.ts";
import type { NetworkConfig } from "../config.ts";
import {
  AddMarks,
  findLease,
  type Held,
  type Lease,
  listLeases,
  othersThan,
  readNetworks,
  statePath,
} from "../ipam.ts";
import type { Link } from "../netops.ts";
import type { Claim } from "../ownership.ts";
import type { Effects } from "./effects.ts";
import { observe } from "./observe.ts";

/** Throws InvalidNetworkConfig if a live container of another network may have these addresses: an ADD does not see it. */
export async function checkNotShared(
  config: NetworkConfig,
  links: readonly Link[],
  { kernel }: Pick<Effects, "kernel">,
): Promise<void> {
  const { held } = readNetworks();
  const ranges = config.configuredSets.flat();
  for (const { network, dataDir, state } of othersThan(config, held)) {
    const given = state.ranges?.flat() ?? [];
    const shared = ranges.find((range) => given.some((it) => overlapping(range, it)));
    const all = listLeases(state);
    // After a split, a lease may be outside of the present ranges of its network.
    const isIn = ({ ips }: Lease) => ips.some((ip) => allocatingRange(ranges, ip) !== undefined);
    const leases = new Set(shared === undefined ? all.filter(isIn) : all);
    if (leases.size === 0) continue;
    const subject = { name: network, bridge: undefined };
    const marks = new AddMarks(dataDir, network);
    const { claims: found } = await observe(subject, all, { kernel, marks });
    // A lease without a host veth does not use its address.
    const user = found.filter(({ kind }) => kind !== "stale").flatMap(({ lease }) => lease ?? [])
      .find((lease) => leases.has(lease));
    if (user === undefined) continue;
    const [what, why, remedy] = shared === undefined
      ? [
        user.ips.join(" and "),
        `"${network}/${ownerKey(user.owner)}" has it`,
        "remove that container first, or leave its address out of the ranges",
      ]
      : [
        formatSet([shared]),
        `network "${network}" allocates it too, and has live containers`,
        "set a separate subnet for each network, or parts of one subnet that do not overlap (rangeStart, rangeEnd)",
      ];
    throw new CniError(
      "InvalidNetworkConfig",
      `Cannot use ${what} for network "${config.name}" alone: ${why} (${
        statePath(dataDir, network)
      })`,
      `two containers would get one address: ${remedy}`,
    );
  }
  for (const network of networksWithoutLease(config, links, held)) {
    const dataDir = held.find((it) => it.network === network)?.dataDir ?? config.dataDir;
    const subject = { name: network, bridge: config.bridge };
    const marks = new AddMarks(dataDir, network);
    const { claims } = await observe(subject, [], { kernel, marks });
    checkNoneHeld(config, network, claims.filter((it) => !isLeased(held, config, it)));
  }
}

/** The other networks that have a port on the bridge, or a veth whose bridge is gone, and no lease for it; by its alias. */
function networksWithoutLease(
  { name, bridge }: NetworkConfig,
  links: readonly Link[],
  held: readonly Held[],
): ReadonlySet<NetworkName> {
  const networks = new Set<NetworkName>();
  for (const { alias, master } of links) {
    const said = attachmentIn(alias);
    if (said === undefined || said.network === name || !["", bridge].includes(master)) continue;
    if (!isLeased(held, { name }, { attachment: said })) networks.add(said.network);
  }
  return networks;
}

/** Whether the attachment has a lease: in its own network, or in network `name` after a rename. */
function isLeased(
  held: readonly Held[],
  { name }: Pick<NetworkConfig, "name">,
  { attachment }: Pick<Claim, "attachment">,
): boolean {
  return attachment !== undefined &&
    held.some(({ network, state }) =>
      [name, attachment.network].includes(network) && findLease(state, attachment) !== undefined
    );
}

/** Throws InvalidNetworkConfig if a container of `network`, which has lost its state, has one of the addresses. */
function checkNoneHeld(config: NetworkConfig, network: NetworkName, claims: readonly Claim[]) {
  const ranges = config.configuredSets.flat();
  for (const { kind, veths: [veth], attachment } of claims) {
    if (kind !== "unleased" || veth === undefined) continue;
    const ip = veth.inside?.peer.addresses.map(({ ip }) => ip).find((ip) =>
      allocatingRange(ranges, ip) !== undefined
    );
    if (ip === undefined) continue;
    const { ifname } = veth.link;
    const who = attachment === undefined ? ifname : `${network}/${ownerKey(attachment)}`;
    throw new CniError(
      "InvalidNetworkConfig",
      `Cannot use "${ip}" for network "${config.name}" alone: "${who}" has it, and network ` +
        `"${network}" has no lease of it`,
      "two containers would get one address: run atomicni repair with the " +
        `configuration of "${network}", or remove that container (its host veth is ${ifname})`,
    );
  }
}

/**
 * Throws InvalidNetworkConfig if another interface has an address in a subnet of the bridge. That interface may be the bridge of
 * another plugin (`cni0` of flannel or of the reference). An ADD would succeed and allocate addresses of its containers.
 */
export function checkSoleCarrier(config: NetworkConfig, links: readonly Link[]): void {
  if (!config.gatewayOnBridge) return;
  const subnets = subnetsOf(config.sets).map(formatCidr);
  for (const { ifname, addresses } of links) {
    if (ifname === config.bridge) continue;
    const found = addresses.find(({ ip, prefix }) =>
      subnets.includes(formatCidr(networkOf(ip, prefix)))
    );
    if (found === undefined) continue;
    const subnet = formatCidr(networkOf(found.ip, found.prefix));
    const address = formatInterfaceAddress(found);
    throw new CniError(
      "InvalidNetworkConfig",
      `Cannot use ${subnet} for network "${config.name}" alone: ${
        quote(ifname)
      } carries it too (${address})`,
      "containers of another plugin may have its addresses: choose another subnet, or move them " +
        `over and remove that interface (ip link del dev ${ifname})`,
    );
  }
}
