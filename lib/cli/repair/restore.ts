import { attachmentIn, ownerKey } from "../../base/attachment.ts";
import { asCniError } from "../../base/errors.ts";
import type { InterfaceName } from "../../base/names.ts";
import type { NetworkConfig } from "../../config.ts";
import type { Lease } from "../../ipam.ts";
import type { Link, PortSpec } from "../../netops.ts";
import {
  bridgeSpec,
  type Effects,
  lostGateways,
  outages,
  portOf,
  UNVERIFIED_MAC,
} from "../../plugin.ts";
import { firstThree } from "../wording.ts";
import { type RepairFinding, wrong } from "./make_lease.ts";

/** A host veth, and its lease unless the network has no addresses. */
export interface Placed {
  readonly lease: Lease | undefined;
  readonly link: Link;
}

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
  placed: readonly Placed[],
  dryRun: boolean,
): Promise<RepairFinding[]> {
  const { bridge } = config;
  const live: Port[] = [];
  const left: RepairFinding[] = [];
  const unguarded = (name: string, why: string) =>
    left.push(wrong(`${name}: ${why}`, "start that container again under this configuration"));
  for (const { lease, link } of placed) {
    const owner = lease?.owner ?? attachmentIn(link.alias);
    const name = `"${owner === undefined ? link.alias : ownerKey(owner)}" (${link.ifname})`;
    const port = portOf(config, link, lease);
    if (link.master !== "" && link.master !== bridge) {
      // Root may have moved it.
      left.push(wrong(
        `${name}: it is in "${link.master}", not in "${bridge}", and repair leaves it there`,
        `ip link set dev ${link.ifname} nomaster, and repair again`,
      ));
    } else if (port === undefined) unguarded(name, UNVERIFIED_MAC);
    else {
      live.push({ name, ifname: lease?.owner.ifname, link, port });
      if (!config.guarded || port.guard !== undefined) continue;
      unguarded(name, 'it has no guard, because it was added without "macspoofchk"');
    }
  }
  if (live.length === 0) return left;
  const own = await kernel.link(bridge);
  if (own === undefined) {
    const names = firstThree(live.map(({ link }) => link.ifname));
    const found =
      `"${bridge}" does not exist, and these live host veths are in no bridge: ${names}`;
    const remedy =
      "start any container of the network, which makes the bridge again, and repair again";
    return [wrong(found, remedy), ...left];
  }
  if (own.kind !== "bridge") return [...await refusal(config, kernel), ...left];
  const ips = placed.flatMap(({ lease }) => lease?.ips ?? []);
  left.push(...outages(config, own, ips).map(({ found, remedy }) => wrong(found, remedy)));
  // Before its first port, as in an ADD.
  const { mac: bridgeMac } = dryRun ? own : await kernel.settleMac(bridgeSpec(config), own, own);
  const restored = await restorePorts(bridge, kernel, live, dryRun);
  const guarded = live.filter(({ port }) => port.guard !== undefined);
  const lost = await lostGateways(config, kernel, { guarded, bridgeMac }, dryRun);
  for (const { name, why } of lost) {
    const what = `${name}: the guard of its gateways`;
    const is = dryRun ? "is to be" : "is";
    restored.push(
      why === undefined
        ? { level: "note", found: `${what} ${is} restored in the container` }
        : wrong(`${what} can't be restored: ${why}`, "start that container again"),
    );
  }
  const all = [...restored, ...left];
  const isWrong = all.some(({ level }) => level === "wrong");
  return isWrong ? [...await refusal(config, kernel), ...all] : all;
}

/** Why an ADD can't use the bridge, for example IPv6 that is disabled: the cause of other findings, with its remedy. */
async function refusal(config: NetworkConfig, kernel: Effects["kernel"]): Promise<RepairFinding[]> {
  const links = await kernel.links();
  return await kernel.inspectBridge(bridgeSpec(config), links).then(() => [], (error) => {
    const { message, details } = asCniError(error);
    return [wrong(message, details)];
  });
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
  return placed.flatMap((it): RepairFinding | RepairFinding[] => {
    const left = after.find(({ host }) => host === it.port.host);
    if (left !== undefined) {
      const remedy = `look at what else changes "${bridge}", and repair again`;
      return wrong(`${it.name}: ${left.found}`, remedy);
    }
    const fixed = before.find(({ host }) => host === it.port.host);
    const done = dryRun ? "to be put right" : "put right";
    const found = `${it.name}: ${done}: ${fixed?.found}`;
    return fixed === undefined ? [] : { level: "note", found };
  });
}
