import { attachmentIn, ownerKey } from "../../base/attachment.ts";
import type { InterfaceName } from "../../base/names.ts";
import type { NetworkConfig } from "../../config.ts";
import type { Lease } from "../../ipam.ts";
import type { Link, PortSpec } from "../../netops.ts";
import { type Effects, lostGateways, portOf, UNVERIFIED_MAC } from "../../plugin.ts";
import { firstThree } from "../first_three.ts";
import type { Placed } from "./examine.ts";
import { type RepairFinding, wrong } from "./finding.ts";

/** A host veth that may be moved into the bridge, and the wanted settings of its port. */
interface Port {
  /** Its owner and the veth, for messages. */
  readonly name: string;
  readonly ifname: InterfaceName | undefined;
  readonly link: Link;
  readonly port: PortSpec;
}

/** Restores ports that lost their bridge and guards that are missing or wrong. A dry run only reports them. */
export async function restore(
  config: NetworkConfig,
  { kernel }: Effects,
  placed: readonly Placed<Lease | undefined>[],
  dryRun: boolean,
): Promise<RepairFinding[]> {
  const { bridge } = config;
  const live: Port[] = [];
  const left: RepairFinding[] = [];
  for (const { lease, veth: { link } = {} } of placed) {
    if (link === undefined) continue;
    const owner = lease?.owner ?? attachmentIn(link.alias);
    const name = `"${owner === undefined ? link.alias : ownerKey(owner)}" (${link.ifname})`;
    const port = portOf(config, link, lease);
    if (link.master !== "" && link.master !== bridge) left.push(elsewhere(name, link, bridge));
    else if (port === undefined) left.push(unguarded(name, UNVERIFIED_MAC));
    else {
      live.push({ name, ifname: lease?.owner.ifname, link, port });
      if (!config.guarded || port.guard !== undefined) continue;
      left.push(unguarded(name, 'it has no guard, because it was added without "macspoofchk"'));
    }
  }
  const existing = await kernel.link(bridge);
  if (existing === undefined) return [...missingBridge(config, live), ...left];
  const restored = await restorePorts(bridge, kernel, live, dryRun);
  const guarded = live.filter(({ port }) => port.guard !== undefined);
  const { mac } = existing;
  for (const { name } of await lostGateways(config, kernel, { guarded, bridgeMac: mac }, dryRun)) {
    const is = dryRun ? "is to be" : "is";
    restored.push(note(name, `the guard of its gateways ${is} restored in the container`));
  }
  return [...restored, ...left];
}

/** A veth that is in another bridge stays there, because root may have moved it. */
function elsewhere(name: string, { ifname, master }: Link, bridge: string): RepairFinding {
  const found = `${name}: it is in "${master}", not in "${bridge}", and repair leaves it there`;
  return wrong(found, `ip link set dev ${ifname} nomaster, and repair again`);
}

function unguarded(name: string, why: string): RepairFinding {
  return wrong(`${name}: ${why}`, "start that container again under this configuration");
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
      const remedy = `look at what else changes "${bridge}", and repair again`;
      return wrong(`${it.name}: ${left.found}`, remedy);
    }
    const fixed = before.find(({ host }) => host === it.port.host);
    const done = dryRun ? "to be put right" : "put right";
    return fixed === undefined ? [] : note(it.name, `${done}: ${fixed.found}`);
  });
}

function note(name: string, what: string): RepairFinding {
  return { level: "note", found: `${name}: ${what}` };
}

/** The finding if the bridge does not exist, so no port can be restored. */
function missingBridge({ bridge }: NetworkConfig, live: readonly Port[]): RepairFinding[] {
  if (live.length === 0) return [];
  const names = firstThree(live.map(({ link }) => link.ifname));
  return [wrong(
    `"${bridge}" does not exist, and these live host veths are in no bridge: ${names}`,
    "start any container of the network, which makes the bridge again, and repair again",
  )];
}
