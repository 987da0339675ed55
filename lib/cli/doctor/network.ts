import type { Ip } from "../../base/address.ts";
import { ownerKey } from "../../base/attachment.ts";
import { allocatingRange, formatSet, isInSubnets } from "../../base/range.ts";
import { isRunning, listLeases } from "../../ipam.ts";
import type { Claim } from "../../ownership.ts";
import { hasIpv6Gateway, lostGateways, portOf, UNVERIFIED_MAC } from "../../plugin.ts";
import type { ShownAttachment } from "../attachments.ts";
import { withoutBackquotes } from "../codes.ts";
import { STATE_WORDS } from "../state_words.ts";
import { useOf } from "../status.ts";
import { counted, firstThree } from "../wording.ts";
import { type Finding, finding, type Scene, warning } from "./finding.ts";

/** doctor warns if a smaller share of the pool is free. */
const SHORT = 0.1;

/** The network's attachments as `list` shows them, and its pools. */
export function examineLeases({ config, overview, isServed }: Scene): Finding[] {
  const { name, dataDir, bridge, sets } = config;
  const { networks, unreadable } = overview;
  const seen = networks.find(({ network }) => network === name);
  const damage = unreadable.find((it) => it.network === name && it.dataDir === dataDir)?.error;
  if (damage !== undefined) {
    if (!isServed) return []; // the checks of ADD reported it
    const { message, details } = damage;
    return [
      sets.length === 0
        ? warning("state", `${message}; an ADD without addresses needs none`, details)
        : warning(
          "state",
          `${message}; no host veth exists, so the next ADD starts from scratch`,
          "nothing has to be done; the damaged file is kept with the new one",
        ),
    ];
  }
  const rows = seen?.rows ?? [];
  const state = seen?.held.find((it) => it.dataDir === dataDir)?.state;
  const held = state === undefined ? [] : listLeases(state).flatMap(({ ips }) => ips);
  const reclaimable = rows.filter((it) => it.state === "stale").flatMap(({ ips }) => ips);
  const pools = sets.map((set) => {
    const { size, held: used, stale = 0, free } = useOf(set, held, reclaimable);
    const numbers = `${
      formatSet(set)
    }: ${size} addresses, ${used} held, ${stale} of them stale, ${free} free`;
    if (Number(free) + stale >= Number(size) * SHORT) return finding("ok", "pool", numbers);
    return warning(
      "pool",
      numbers,
      "before it is full: widen the range inside the subnet, or use another network for further containers",
    );
  });
  return [...pools, ...amiss(rows, bridge), ...unownedVeths(seen?.claims ?? [], held, config)];
}

/** A warning about veths of other programs on the bridge whose containers have addresses of the pool. */
function unownedVeths(
  claims: readonly Claim[],
  held: readonly Ip[],
  { sets, bridge }: Scene["config"],
): Finding[] {
  const found = claims.flatMap(({ kind, veths: [veth] }) => {
    if (kind !== "unowned" || veth?.inside === undefined) return [];
    const all = veth.inside.peer.addresses.map(({ ip }) => ip);
    const ips = all.filter((ip) =>
      allocatingRange(sets.flat(), ip) !== undefined && !held.includes(ip)
    );
    return ips.length === 0 ? [] : `${veth.link.ifname} (${ips.join(", ")})`;
  });
  if (found.length === 0) return [];
  return [warning(
    "veths",
    `another program made ${
      firstThree(found)
    } on "${bridge}", with an address that an ADD may allocate again`,
    "import its lease (atomicni help import), remove that container, or keep the address out of the range",
  )];
}

/** A warning for each state of an attachment that needs a look, and for each other bridge with a host veth. */
function amiss(rows: readonly ShownAttachment[], bridge: string): Finding[] {
  // repair leaves a veth in another bridge, because root may have moved it.
  const isElsewhere = ({ state, link }: ShownAttachment) =>
    state === "cut off" && !["", bridge].includes(link?.master ?? "");
  const others = rows.filter((row) => !isElsewhere(row));
  const found = Object.entries(STATE_WORDS).flatMap(([word, [about, subject, remedy]]) => {
    const own = others.filter(({ state }) => state === word);
    if (own.length === 0 || subject === undefined) return [];
    const found = `${own.length} ${word}: ${attachmentNames(own)}: ${withoutBackquotes(about)}`;
    return [warning(subject, found, remedy)];
  });
  const moved = Map.groupBy(rows.filter(isElsewhere), ({ link }) => link?.master ?? "");
  for (const [there, own] of moved) {
    const commands = firstThree(own.map(({ veth }) => `ip link set dev ${veth} nomaster`));
    found.push(warning(
      "ports",
      `${own.length} cut off, in "${there}" instead of "${bridge}": ${attachmentNames(own)}`,
      `${commands}; then atomicni repair < CONFIGURATION`,
    ));
  }
  return found;
}

function attachmentNames(rows: readonly ShownAttachment[]): string {
  return firstThree(
    rows.map(({ containerId, ifname, ips, veth }) =>
      `"${containerId}${ifname === "" ? "" : `/${ifname}`}" (${[...ips, veth].join(", ")})`
    ),
  );
}

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
  const unverified = claims.flatMap(({ kind, veths }) => kind === "unleased" ? veths : [])
    .filter(({ link, add }) =>
      link.master === "" && !isRunning(add) && portOf(config, link, undefined) === undefined
    )
    .map(({ link }) => link.ifname);
  if (unverified.length > 0) {
    found.push(guardWarning(
      `${firstThree(unverified)} is in no bridge, and no ADD puts it there: ${UNVERIFIED_MAC}`,
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
async function faultyPorts(claims: readonly Claim[], scene: Scene): Promise<Finding[]> {
  const { config, kernel } = scene;
  const kinds = config.sets.length > 0 ? ["live"] : ["live", "unleased"];
  const ports = claims.flatMap(({ kind, lease, veths }) =>
    !kinds.includes(kind) || veths.some(({ add }) => isRunning(add)) ? [] : veths
      .filter(({ link }) => link.master === config.bridge || link.master === "")
      .flatMap(({ link }) => portOf(config, link, lease) ?? [])
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

/**
 * Guarded containers never resolve their gateway again, so a bridge with another MAC cuts them off from it. Containers of an
 * earlier subnet have another gateway.
 */
async function unreachedGateways(claims: readonly Claim[], bridgeMac: string, scene: Scene) {
  const { config, kernel } = scene;
  const guarded = claims.flatMap(({ kind, lease, veths: [veth] }) =>
    kind === "live" && lease?.record?.guarded === true && veth?.link.master === config.bridge &&
      veth.add === "none" && lease.ips.every((ip) => isInSubnets(config.sets, ip))
      ? [{ link: veth.link, ifname: lease.owner.ifname, name: ownerKey(lease.owner) }]
      : []
  );
  const lost = await lostGateways(config, kernel, { guarded, bridgeMac, sample: SAMPLE }, true);
  if (lost.length === 0) return [];
  const names = firstThree(lost.map(({ name }) => `"${name}"`));
  return [guardWarning(
    `${names} can't reach a gateway: the permanent neighbour in the container is not "${config.bridge}" with ${bridgeMac}`,
    "atomicni repair < CONFIGURATION; start a container again if its namespace has no name below /run/netns",
  )];
}
