import { ownerKey } from "../../base/attachment.ts";
import type { InterfaceName } from "../../base/names.ts";
import type { NetworkConfig } from "../../config.ts";
import type { Lease } from "../../ipam.ts";
import type { Link, PortSpec } from "../../netops.ts";
import { type Effects, gatewayNeighbours, portSpec } from "../../plugin.ts";
import { firstThree } from "../first_three.ts";
import type { RepairFinding } from "./evidence.ts";
import type { Placed } from "./examine.ts";

/** A lease, its host veth, and the wanted settings of the port. */
interface Port {
  readonly lease: Lease;
  readonly link: Link;
  readonly port: PortSpec;
}

/** Restores ports that lost their bridge and guards that are missing or wrong. A dry run only reports them. */
export async function restore(
  config: NetworkConfig,
  { kernel }: Effects,
  placed: readonly Placed[],
  dryRun: boolean,
): Promise<RepairFinding[]> {
  const { bridge } = config;
  const live = placed.flatMap(({ lease, veth }): Port[] => {
    const { link } = veth ?? {};
    const isMovable = link?.master === "" || link?.master === bridge;
    if (link === undefined || !isMovable) return [];
    return [{ lease, link, port: portSpec(config, link.ifname as InterfaceName, lease) }];
  });
  const existing = await kernel.link(bridge);
  if (existing === undefined) return missingBridge(config, live);
  const restored = await restorePorts(bridge, kernel, live, dryRun);
  const guarded = dryRun ? [] : live.filter(({ port }) => port.guard !== undefined);
  for (const it of await withLostGateway(config, kernel, guarded, existing)) {
    restored.push(note(it, "the guard of its gateways is restored in the container"));
  }
  for (const it of live.filter(({ port }) => config.guarded && port.guard === undefined)) {
    restored.push({
      level: "wrong",
      found: `${portName(it)}: it has no guard, because it was added without "macspoofchk"`,
      remedy: "start that container again under this configuration",
    });
  }
  return restored;
}

/** Restores all ports if one is wrong, because its container may have moved the static entry of another port. */
async function restorePorts(
  bridge: InterfaceName,
  kernel: Effects["kernel"],
  placed: readonly Port[],
  dryRun: boolean,
): Promise<RepairFinding[]> {
  const ports = placed.map(({ port }) => port);
  const before = await kernel.portFaults(bridge, ports);
  const after = dryRun || before.length === 0 ? [] : await kernel.reattach(bridge, ports);
  return placed.flatMap((it) => {
    const left = after.find(({ host }) => host === it.port.host);
    if (left !== undefined) {
      const found = `${portName(it)}: ${left.found}`;
      const remedy = `look at what else changes "${bridge}", and repair again`;
      return { level: "wrong" as const, found, remedy };
    }
    const fixed = before.find(({ host }) => host === it.port.host);
    const done = dryRun ? "to be put right" : "put right";
    return fixed === undefined ? [] : note(it, `${done}: ${fixed.found}`);
  });
}

function portName({ lease, link }: Port): string {
  return `"${ownerKey(lease.owner)}" (${link.ifname})`;
}

function note(placed: Port, what: string): RepairFinding {
  return { level: "note", found: `${portName(placed)}: ${what}` };
}

/** The finding if the bridge does not exist, so no port can be restored. */
function missingBridge({ bridge }: NetworkConfig, live: readonly Port[]): RepairFinding[] {
  if (live.length === 0) return [];
  const names = firstThree(live.map(({ link }) => link.ifname));
  return [{
    level: "wrong",
    found: `"${bridge}" does not exist, and these live host veths are in no bridge: ${names}`,
    remedy: "start any container of the network, which makes the bridge again, and repair again",
  }];
}

/** Restores gateway neighbours that are missing or wrong, for example after the bridge's MAC changed. Returns their ports. */
async function withLostGateway(
  config: NetworkConfig,
  kernel: Effects["kernel"],
  guarded: readonly Port[],
  { mac }: Link,
): Promise<Port[]> {
  const wanted = gatewayNeighbours(config, mac);
  if (wanted.length === 0) return [];
  const ports = new Set(guarded.map(({ link }) => link.ifname));
  const seen = await kernel.view(({ ifname }) => ports.has(ifname));
  const insides = new Map(seen.map(({ link, inside }) => [link.ifname, inside]));
  const fixed: Port[] = [];
  for (const placed of guarded) {
    const { ifname } = placed.lease.owner;
    const inside = insides.get(placed.link.ifname);
    // An interface with another name is not the interface of the lease.
    if (ifname === undefined || inside?.peer.ifname !== ifname) continue;
    if (await kernel.pinInside(inside.netns, ifname, wanted)) fixed.push(placed);
  }
  return fixed;
}
