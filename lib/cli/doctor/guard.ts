import { ownerKey } from "../../base/attachment.ts";
import type { InterfaceName } from "../../base/names.ts";
import type { Claim } from "../../ownership.ts";
import { lostGateways, portOf, portSpec, UNVERIFIED_MAC } from "../../plugin.ts";
import { counted, firstThree } from "../wording.ts";
import { type Finding, type Scene, warning } from "./finding.ts";
import { hasIpv6Gateway } from "./host.ts";

/** Warnings about ports that differ from their leases, and about a bridge that weakens the guard. */
export async function examineGuard(scene: Scene): Promise<Finding[]> {
  const { config, links, overview } = scene;
  const { name, bridge, guarded } = config;
  const own = links.find(({ ifname }) => ifname === bridge);
  if (own?.kind !== "bridge") return [];
  const claims = overview.networks.find(({ network }) => network === name)?.claims ?? [];
  const found = [
    ...await faultyPorts(claims, scene),
    ...await unreachedGateways(claims, own.mac, scene),
  ];
  const unproven = claims.flatMap(({ kind, veths }) => kind === "unleased" ? veths : [])
    .filter(({ link }) => link.master === "" && portOf(config, link, undefined) === undefined)
    .map(({ link }) => link.ifname);
  if (unproven.length > 0) {
    found.push(guardWarning(
      `${firstThree(unproven)} is in no bridge, and no ADD puts it there: ${UNVERIFIED_MAC}`,
      "atomicni repair < CONFIGURATION; if that does not find a lease: start the container again",
    ));
  }
  // A frame from a port with learning can move the static entry of a guarded port.
  const learning = links.filter(({ master, kind, port }) =>
    guarded && master === bridge && kind === "veth" && port.learning
  ).map(({ ifname }) => ifname);
  if (learning.length > 0) {
    const ports = `${counted(learning.length, "port")} of "${bridge}"`;
    found.push(guardWarning(
      `${ports} ${learning.length === 1 ? "is" : "are"} not guarded (${
        firstThree(learning)
      }): a container behind such a port can cut off a guarded container`,
      "start those containers again under this configuration, or give them another bridge",
    ));
  }
  // Snooping is on if another program or an earlier version made the bridge.
  if (own.bridge.snoops && hasIpv6Gateway(config)) {
    found.push(guardWarning(
      `"${bridge}" does multicast snooping: a container that sends one query stops IPv6 for the others`,
      `ip link set dev ${bridge} type bridge mcast_snooping 0`,
    ));
  }
  return found;
}

function guardWarning(found: string, remedy: string): Finding {
  return warning("guard", found, remedy);
}

/** Ports that differ from their leases: unlocked, without static entry or neighbours, or outside their link group. */
async function faultyPorts(
  claims: readonly Claim[],
  { config, kernel }: Scene,
): Promise<Finding[]> {
  const ports = claims.flatMap(({ kind, lease, veths }) =>
    kind !== "live" || veths.some(({ add }) => add === "running") ? [] : veths
      .filter(({ link }) => link.master === config.bridge || link.master === "")
      .map(({ link }) => portSpec(config, link.ifname as InterfaceName, lease))
  );
  const faults = ports.length === 0 ? [] : await kernel.portFaults(config.bridge, ports);
  if (faults.length === 0) return [];
  const said = firstThree(faults.map(({ host, found }) => `${host}: ${found}`));
  const are = `${counted(faults.length, "port")} ${faults.length === 1 ? "is" : "are"}`;
  return [guardWarning(
    `${are} not what the network's containers need (${said})`,
    "atomicni repair < CONFIGURATION",
  )];
}

/** How many guarded containers show whether the bridge has the MAC that they know. */
const SAMPLE = 8;

/** Guarded containers never resolve their gateway again, so a bridge with another MAC cuts them off from it. */
async function unreachedGateways(
  claims: readonly Claim[],
  bridgeMac: string,
  { config, kernel }: Scene,
): Promise<Finding[]> {
  const guarded = claims.flatMap(({ kind, lease, veths: [veth] }) =>
    kind === "live" && lease?.record?.guarded === true && veth?.link.master === config.bridge &&
      veth.add === "none"
      ? [{ link: veth.link, ifname: lease.owner.ifname, name: ownerKey(lease.owner) }]
      : []
  );
  const sample = { guarded: guarded.slice(0, SAMPLE), bridgeMac };
  const lost = await lostGateways(config, kernel, sample, true);
  if (lost.length === 0) return [];
  const names = firstThree(lost.map(({ name }) => `"${name}"`));
  return [guardWarning(
    `${names} can't reach a gateway: the permanent neighbour in the container is not "${config.bridge}" with ${bridgeMac}`,
    "atomicni repair < CONFIGURATION; start a container again if its namespace has no name below /run/netns",
  )];
}
