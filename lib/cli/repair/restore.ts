import { ownerKey } from "../../base/attachment.ts";
import type { InterfaceName } from "../../base/names.ts";
import type { NetworkConfig } from "../../config.ts";
import { hostsOf, type Lease } from "../../ipam.ts";
import { guardedIps, type Guards, type GuardSpec, type Link } from "../../netops.ts";
import { type Effects, gatewaysOf, guardOf, portSpec } from "../../plugin.ts";
import { few } from "../few.ts";
import type { RepairFinding } from "./evidence.ts";

/** Puts back ports that have lost their bridge, and guards that are gone or wrong. */
export async function restore(
  config: NetworkConfig,
  { kernel }: Effects,
  leases: readonly Lease[],
): Promise<RepairFinding[]> {
  const { name, bridge } = config;
  const restored: RepairFinding[] = [];
  const veths = await kernel.veths();
  const standing = await kernel.link(bridge);
  if (standing === undefined) return await lost(config, leases, veths);
  const guards = await kernel.guards(bridge);
  const pinned: [Lease, Link][] = [];
  const note = ({ owner }: Lease, host: string, what: string) =>
    restored.push({ level: "note", found: `"${ownerKey(owner)}" (${host}): ${what}` });
  for (const lease of leases) {
    const link = (await hostsOf(lease, name)).flatMap((host) => veths.get(host) ?? []).at(0);
    if (link === undefined) continue;
    const host = link.ifname as InterfaceName;
    const guard = guardOf(lease, host);
    const isIn = link.master === bridge;
    if (link.master !== "" && !isIn) continue;
    if (guard !== undefined) pinned.push([lease, link]);
    if (isIn && (guard === undefined || isGuarded(guard, link, guards))) continue;
    await kernel.reattach(bridge, [portSpec(config, host, lease)]);
    note(lease, host, isIn ? "its guard is put back" : `it is put into ${bridge} again`);
  }
  for (const [lease, link] of await withLostGateway(config, kernel, pinned, standing)) {
    note(lease, link.ifname, "the guard of its gateways is put back in the container");
  }
  return restored;
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

function isGuarded({ mac, ips, host }: GuardSpec, { port }: Link, guards: Guards): boolean {
  return port.locked === true && !port.learning &&
    guards.entries.some((it) => it.dev === host && it.mac === mac) &&
    guardedIps(ips, mac).every((ip) =>
      guards.neighbours.some((it) => it.ip === ip && it.mac === mac)
    );
}

/** Those whose neighbour for a gateway was gone or wrong, as where the bridge has another MAC than it had; it is put back. */
async function withLostGateway(
  config: NetworkConfig,
  kernel: Effects["kernel"],
  guarded: readonly [Lease, Link][],
  { mac }: Link,
): Promise<[Lease, Link][]> {
  if (!config.gatewayOnBridge) return [];
  const wanted = gatewaysOf(config).map(({ ip }) => ({ ip, mac }));
  const insides = await kernel.lookInside(guarded.map(([, link]) => link));
  const mended: [Lease, Link][] = [];
  for (const [lease, link] of guarded) {
    const { ifname } = lease.owner;
    const inside = insides.get(link.ifname);
    // Under another name it is not what the lease is for.
    if (ifname === undefined || inside?.peer.ifname !== ifname) continue;
    if (await kernel.pinInside(inside.netns, ifname, wanted)) mended.push([lease, link]);
  }
  return mended;
}
