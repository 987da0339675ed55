import { contains, formatCidr, formatInterfaceAddress, type Ip } from "../base/address.ts";
import { attachmentIn, isHostVethName } from "../base/attachment.ts";
import { inRange, reservedAs } from "../base/range.ts";
import { statePath } from "../ipam.ts";
import type { Link } from "../netops.ts";
import { ago } from "./ago.ts";
import type { ShownAttachment } from "./attachments.ts";
import { withoutBackquotes } from "./codes.ts";
import { toneOf } from "./list.ts";
import type { NetworkSeen, Overview } from "./overview.ts";
import type { Segment } from "./screen.ts";
import { STATE_WORDS, type StateWord } from "./state_words.ts";
import { usesOf } from "./status.ts";

/** One line of output, with or without tones. */
export type Sentence = string | readonly Segment[];

/** The remedy for each state that needs one. */
const REMEDIES: Readonly<Partial<Record<StateWord, string>>> = {
  "cut off": "It reaches nothing. Put it back: atomicni repair < CONFIGURATION",
  unguarded: "Guard it again: atomicni repair < CONFIGURATION",
  superseded:
    "Its DEL, or a GC, removes both. If the container lives: atomicni repair < CONFIGURATION",
  undecided: "See what is in the way: atomicni repair --dry-run < CONFIGURATION",
  stale:
    "An ADD that finds no free address reclaims it; atomicni repair < CONFIGURATION does so now.",
  "no lease":
    "If its container is gone: its DEL, or a GC, removes it. If it lives: atomicni repair < CONFIGURATION",
  unknown: "See the error below.",
};

/** Describes an attachment: owner, addresses, age, state and host veth. */
export function about(it: ShownAttachment): Sentence[] {
  const { ips, network, containerId, ifname, pod, mac, since, guarded, state } = it;
  const container = containerId === "" ? "an unknown container" : `container ${containerId}`;
  const owner = `${container}${pod === undefined ? "" : ` (pod ${pod})`}`;
  const on = ifname === "" ? "" : `, interface ${ifname}`;
  const subject: Segment = ips.length > 0
    ? { text: ips.join(" and "), tone: "strong" }
    : { text: `The host veth ${it.veth}`, tone: "strong" };
  const given = since === undefined
    ? "The Go original allocated it, and did not record when."
    : `It was allocated at ${since}, ${ago(since, Date.now())}${
      mac === undefined ? "" : `, with MAC ${mac}`
    }.`;
  const remedy = REMEDIES[state];
  return [
    [subject, ` in network "${network}" belong${ips.length > 1 ? "" : "s"} to ${owner}${on}.`],
    ...(ips.length > 0 ? [given] : []),
    ...(guarded ? ["It is guarded (macspoofchk): no other container can use its MAC."] : []),
    [
      "Its state is ",
      { text: state, tone: toneOf(state) },
      `: ${withoutBackquotes(STATE_WORDS[state].about)}.`,
    ],
    place(it),
    ...(remedy === undefined ? [] : [remedy]),
  ];
}

function place({ veth, link, state }: ShownAttachment): string {
  if (link === undefined) {
    return state === "unknown"
      ? `Its host veth is called ${veth}.`
      : `Its host veth ${veth} is gone, and with it the container's interface.`;
  }
  const { master, up, netnsId, peerIndex, mtu, mac } = link;
  const where = master === "" ? "in no bridge" : `a port of ${master}`;
  const peer = netnsId === undefined
    ? "Its other end is in the host's own namespace."
    : `Its other end is interface ${peerIndex} of namespace ${netnsId} (ip netns list-id).`;
  return `Its host veth ${veth} is ${where}, ${
    up ? "up" : "down"
  }, MTU ${mtu}, MAC ${mac}. ${peer}`;
}

/** Describes a network: its bridge, ranges and state files, and the commands that show more. */
export function networkLines(seen: NetworkSeen): Sentence[] {
  const { network, held, bridge, file } = seen;
  return [
    [
      { text: network, tone: "strong" },
      bridge === undefined ? " is a network." : ` is a network on the bridge ${bridge}.`,
    ],
    ...usesOf(seen).map((use) => `${sizes(use)}State: ${use.state}.`),
    ...held.map((it) => `Its state file is ${statePath(it.dataDir, network)}.`),
    ...(file === "lost" ? ["Its state file is gone: atomicni repair < CONFIGURATION"] : []),
    `The owners of its addresses: atomicni list ${network}; its pools: atomicni status ${network}`,
  ];
}

function sizes({ range, subnet, held, stale, free }: ReturnType<typeof usesOf>[number]): string {
  if (held === undefined) return "";
  const from = range === undefined
    ? "The next ADD records its ranges."
    : `It allocates ${range} of ${subnet}.`;
  return `${from} Held: ${held}${stale === undefined ? "" : `, of which ${stale} stale`}${
    free === undefined ? "" : `; free: ${free}`
  }. `;
}

/** Describes a bridge of this host: its addresses, ports and networks. */
export function bridgeLines(what: string, { networks, links }: Overview): Sentence[] {
  const bridge = links?.find(({ ifname, kind }) => ifname === what && kind === "bridge");
  if (links === undefined || bridge === undefined) return [];
  const ports = links.filter(({ master }) => master === what).length;
  const on = networks.filter((it) =>
    it.bridge === what || it.rows.some(({ link }) => link?.master === what)
  ).map(({ network }) => network);
  return [
    [
      { text: what, tone: "strong" },
      ` is a bridge, ${
        bridge.up ? "up" : "down"
      }, MTU ${bridge.mtu}, MAC ${bridge.mac}, with ${ports} ports and ${
        bridge.addresses.map(formatInterfaceAddress).join(", ") || "no address"
      }.`,
    ],
    on.length === 0
      ? "No network has an attachment on it."
      : `Networks on it: ${on.join(", ")} (atomicni list ${on[0]}).`,
  ];
}

/** The lines if no attachment, network or bridge has the name or the address. */
export function absent(what: string, ip: Ip | undefined, overview: Overview): Sentence[] {
  const { networks, errors, links } = overview;
  const which = errors.length > 0 ? " that can be read" : "";
  if (ip === undefined) {
    const link = links?.find(({ ifname }) => ifname === what);
    return [
      `No network${which} has an attachment of "${what}".`,
      ...(links === undefined ? [] : interfaceLines(what, link, errors.length > 0)),
    ];
  }
  return [
    `No network${which} has allocated ${what}.`,
    ...networks.flatMap(({ network, held }) =>
      held.flatMap(({ state }) => {
        const sets = state.ranges ?? [];
        const range = sets.flat().find(({ subnet }) => contains(subnet, ip));
        if (range === undefined) return [];
        const { subnet, gateway } = range;
        const role = ip === gateway
          ? "the gateway, which the bridge carries"
          : reservedAs(subnet, ip) ??
            (sets.flat().some((it) => inRange(it, ip))
              ? "free"
              : "outside the range of its addresses");
        return [`In network "${network}" (${formatCidr(subnet)}) it is ${role}.`];
      })
    ),
  ];
}

/** Describes an interface without an attachment. `isBlind`: a state file can't be read, and may have its lease. */
function interfaceLines(what: string, link: Link | undefined, isBlind: boolean): string[] {
  if (link === undefined) {
    return isHostVethName(what) ? ["No interface of that name exists."] : [];
  }
  const said = link.kind === "veth" ? attachmentIn(link.alias) : undefined;
  const owner = said === undefined
    ? ""
    : ` Its alias names container ${said.containerId}, interface ${said.ifname}, in network "${said.network}".`;
  const lease = isBlind && said !== undefined
    ? " A state file that can't be read may have its lease."
    : "";
  return [`It is an interface of this host (${link.kind || "not a veth"}).${owner}${lease}`];
}
