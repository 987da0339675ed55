import { contains, formatCidr, formatInterfaceAddress, type Ip } from "../base/address.ts";
import { attachmentIn, isHostVethName } from "../base/attachment.ts";
import { type AddressRange, inRange, reservedAs } from "../base/range.ts";
import { statePath } from "../ipam.ts";
import type { Link } from "../netops.ts";
import type { ShownAttachment } from "./attachments.ts";
import { withoutBackquotes } from "./codes.ts";
import type { NetworkSeen, Overview } from "./overview.ts";
import { type Sentence, strong } from "./screen.ts";
import { STATE_WORDS, toneOf } from "./state_words.ts";
import { poolsOf, type ShownPool } from "./status.ts";
import { ago } from "./wording.ts";

export function about(it: ShownAttachment): Sentence[] {
  const { ips, network, containerId, ifname, pod, mac, since, guarded, state } = it;
  const container = containerId === "" ? "an unknown container" : `container ${containerId}`;
  const owner = `${container}${pod === undefined ? "" : ` (pod ${pod})`}${
    ifname === "" ? "" : `, interface ${ifname}`
  }`;
  const given = since === undefined
    ? "The Go original allocated it, and did not record when."
    : `It was allocated at ${since}, ${ago(since, Date.now())}${mac ? `, with MAC ${mac}` : ""}.`;
  const [about, , remedy] = STATE_WORDS[state];
  return [
    [
      strong(ips.length > 0 ? ips.join(" and ") : `The host veth ${it.veth}`),
      ` in network "${network}" belong${ips.length > 1 ? "" : "s"} to ${owner}.`,
    ],
    ...(ips.length > 0 ? [given] : []),
    ...(guarded ? ["It is guarded (macspoofchk): no other container can use its MAC."] : []),
    ["Its state is ", { text: state, tone: toneOf(state) }, `: ${withoutBackquotes(about)}.`],
    place(it),
    ...(remedy === undefined ? [] : [`Remedy: ${remedy}.`]),
  ];
}

function place({ veth, link, state }: ShownAttachment): string {
  if (state === "unknown") return `Its host veth is called ${veth}.`;
  if (link === undefined) {
    return `Its host veth ${veth} is gone, and with it the container's interface.`;
  }
  const { master, netnsId, peerIndex } = link;
  const where = master === "" ? "in no bridge" : `a port of ${master}`;
  const peer = netnsId === undefined
    ? "Its other end is in the host's own namespace."
    : `Its other end is interface ${peerIndex} of namespace ${netnsId} (ip netns list-id).`;
  return `Its host veth ${veth} is ${where}, ${settings(link)}. ${peer}`;
}

function settings({ up, mtu, mac }: Link): string {
  return `${up ? "up" : "down"}, MTU ${mtu}, MAC ${mac}`;
}

export function networkLines(seen: NetworkSeen): Sentence[] {
  const { network, held, bridge, file } = seen;
  return [
    [strong(network), ` is a network${bridge === undefined ? "" : ` on the bridge ${bridge}`}.`],
    ...poolsOf(seen).map((it) => `${sizes(it)}State: ${it.state}.`),
    ...held.map((it) => `Its state file is ${statePath(it.dataDir, network)}.`),
    ...(file === "lost" ? ["Its state file is gone: atomicni repair < CONFIGURATION"] : []),
    `The owners of its addresses: atomicni list ${network}; its pools: atomicni status ${network}`,
  ];
}

function sizes({ range, subnet, held, stale, free }: ShownPool): string {
  if (held === undefined) return "";
  const from = range === undefined
    ? "The next ADD records its ranges."
    : `It allocates ${range} of ${subnet}.`;
  const some = stale === undefined ? "" : `, of which ${stale} stale`;
  return `${from} Held: ${held}${some}${free === undefined ? "" : `; free: ${free}`}. `;
}

export function bridgeLines(what: string, { networks, links = [] }: Overview): Sentence[] {
  const bridge = links.find(({ ifname, kind }) => ifname === what && kind === "bridge");
  if (bridge === undefined) return [];
  const ports = links.filter(({ master }) => master === what).length;
  const addresses = bridge.addresses.map(formatInterfaceAddress).join(", ") || "no address";
  const on = networks.filter((it) =>
    it.bridge === what || it.rows.some(({ link }) => link?.master === what)
  ).map(({ network }) => network);
  return [
    [strong(what), ` is a bridge, ${settings(bridge)}, with ${ports} ports and ${addresses}.`],
    on.length === 0
      ? "No network has an attachment on it."
      : `Networks on it: ${on.join(", ")} (atomicni list ${on[0]}).`,
  ];
}

/** The lines if no attachment, network or bridge has the name or the address. */
export function absent(what: string, ip: Ip | undefined, overview: Overview): Sentence[] {
  const isBlind = overview.errors.length > 0;
  const which = isBlind ? " that can be read" : "";
  if (ip === undefined) {
    const none = `No network${which} has an attachment of "${what}".`;
    return [none, ...interfaceLines(what, overview.links, isBlind)];
  }
  const roles = overview.networks.flatMap(({ network, held }) =>
    held.flatMap(({ state }) => {
      const ranges = state.ranges?.flat() ?? [];
      const own = ranges.find(({ subnet }) => contains(subnet, ip));
      if (own === undefined) return [];
      return [
        `In network "${network}" (${formatCidr(own.subnet)}) it is ${roleOf(ip, own, ranges)}.`,
      ];
    })
  );
  return [`No network${which} has allocated ${what}.`, ...roles];
}

/** The role of an address without a lease in the subnet of its own range. */
function roleOf(ip: Ip, { gateway, subnet }: AddressRange, all: readonly AddressRange[]): string {
  if (ip === gateway) return "the gateway, which the bridge carries";
  const isFree = all.some((it) => inRange(it, ip));
  return reservedAs(subnet, ip) ?? (isFree ? "free" : "outside the range of its addresses");
}

/** Describes an interface without an attachment. `isBlind`: a state file can't be read, and may have its lease. */
function interfaceLines(what: string, links: Overview["links"], isBlind: boolean): string[] {
  const link = links?.find(({ ifname }) => ifname === what);
  if (link === undefined) {
    return links && isHostVethName(what) ? ["No interface of that name exists."] : [];
  }
  const kind = `It is an interface of this host (${link.kind || "not a veth"}).`;
  const said = link.kind === "veth" ? attachmentIn(link.alias) : undefined;
  if (said === undefined) return [kind];
  const { containerId, ifname, network } = said;
  const lease = isBlind ? " A state file that can't be read may have its lease." : "";
  return [
    `${kind} Its alias names container ${containerId}, interface ${ifname}, in network "${network}".${lease}`,
  ];
}
