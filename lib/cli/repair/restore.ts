import { ownerKey } from "../../base/attachment.ts";
import type { InterfaceName } from "../../base/names.ts";
import type { NetworkConfig } from "../../config.ts";
import { hostsOf, type Lease } from "../../ipam.ts";
import type { Link, PortSpec } from "../../netops.ts";
import { type Effects, gatewayNeighbours, portSpec } from "../../plugin.ts";
import { few } from "../few.ts";
import type { RepairFinding } from "./evidence.ts";

/** A lease, its host veth, and the port that this is to be. */
interface Placed {
  readonly lease: Lease;
  readonly link: Link;
  readonly port: PortSpec;
}

/** Puts back ports that have lost their bridge, and guards that are gone or wrong; says what is wrong in the end. */
export async function restore(
  config: NetworkConfig,
  { kernel }: Effects,
  leases: readonly Lease[],
): Promise<RepairFinding[]> {
  const { name, bridge } = config;
  const veths = await kernel.veths();
  const standing = await kernel.link(bridge);
  if (standing === undefined) return await lost(config, leases, veths);
  const placed: Placed[] = [];
  for (const lease of leases) {
    const link = (await hostsOf(lease, name)).flatMap((host) => veths.get(host) ?? []).at(0);
    if (link === undefined || (link.master !== "" && link.master !== bridge)) continue;
    placed.push({ lease, link, port: portSpec(config, link.ifname as InterfaceName, lease) });
  }
  const restored = await restorePorts(bridge, kernel, placed);
  const guarded = placed.filter(({ port }) => port.guard !== undefined);
  for (const it of await withLostGateway(config, kernel, guarded, standing)) {
    restored.push(note(it, "the guard of its gateways is put back in the container"));
  }
  for (const it of placed.filter(({ port }) => config.guarded && port.guard === undefined)) {
    restored.push({
      level: "wrong",
      found: `${named(it)}: it has no guard, for it was added without "macspoofchk"`,
      remedy: "start that container again under this configuration",
    });
  }
  return restored;
}

/** If one is wrong, all are restored: the container behind it may have moved the entry of another since. */
async function restorePorts(
  bridge: InterfaceName,
  kernel: Effects["kernel"],
  placed: readonly Placed[],
): Promise<RepairFinding[]> {
  const ports = placed.map(({ port }) => port);
  const before = await kernel.portFaults(bridge, ports);
  const after = before.length === 0 ? [] : await kernel.reattach(bridge, ports);
  return placed.flatMap((it) => {
    const left = after.find(({ host }) => host === it.port.host);
    if (left !== undefined) {
      const found = `${named(it)}: ${left.found}`;
      const remedy = `look at what else changes "${bridge}", and repair again`;
      return { level: "wrong" as const, found, remedy };
    }
    const fixed = before.find(({ host }) => host === it.port.host);
    return fixed === undefined ? [] : note(it, `put right: ${fixed.found}`);
  });
}

function named({ lease, link }: Placed): string {
  return `"${ownerKey(lease.owner)}" (${link.ifname})`;
}

function note(placed: Placed, what: string): RepairFinding {
  return { level: "note", found: `${named(placed)}: ${what}` };
}

/** Without the bridge nothing can be put back. */
async function lost(
  { name, bridge }: NetworkConfig,
  leases: readonly Lease[],
  veths: ReadonlyMap<string, Link>,
): Promise<RepairFinding[]> {
  const hosts = (await Promise.all(leases.map((lease) => hostsOf(lease, name)))).flat();
  const live = hosts.filter((host) => veths.has(host));
  if (live.length === 0) return [];
  return [{
    level: "wrong",
    found: `"${bridge}" is gone, and ${live.length} live in no bridge: ${few(live)}`,
    remedy: "start any container of the network, which makes the bridge anew, and repair again",
  }];
}

/** Those whose neighbour for a gateway was gone or wrong, as where the bridge has another MAC than it had; it is put back. */
async function withLostGateway(
  config: NetworkConfig,
  kernel: Effects["kernel"],
  guarded: readonly Placed[],
  { mac }: Link,
): Promise<Placed[]> {
  if (!config.gatewayOnBridge) return [];
  const wanted = gatewayNeighbours(config, mac);
  const insides = await kernel.lookInside(guarded.map(({ link }) => link));
  const fixed: Placed[] = [];
  for (const placed of guarded) {
    const { ifname } = placed.lease.owner;
    const inside = insides.get(placed.link.ifname);
    // Under another name it is not what the lease is for.
    if (ifname === undefined || inside?.peer.ifname !== ifname) continue;
    if (await kernel.pinInside(inside.netns, ifname, wanted)) fixed.push(placed);
  }
  return fixed;
}
