import { contains, formatCidr, type Ip, parseInterfaceAddress, tryIp } from "../base/address.ts";
import { attachmentIn, isHostVethName } from "../base/attachment.ts";
import { Malformed } from "../base/errors.ts";
import { inRange, reservedAs } from "../base/range.ts";
import { type Held, statePath } from "../ipam.ts";
import type { Link } from "../netops.ts";
import { ago } from "./ago.ts";
import { type Attached, attachments, plainAttachment, plainErrors, survey } from "./attachments.ts";
import { type Call, type Command, type Report, UsageError } from "./command.ts";
import { explainCode, isCode } from "./explain_code.ts";
import { problems } from "./problems.ts";
import { type Segment, textOf } from "./screen.ts";
import { usesOf } from "./status.ts";

/** One line, with tones or without. */
type Sentence = string | readonly Segment[];

export const explain: Command = {
  name: "explain",
  takes: "ADDRESS | NETWORK | NAME | CODE",
  about:
    "all that is known of an address, of a network, host veth, container or pod, or of an error code",
  example: "atomicni explain 10.88.0.2",
  options: {},
  mostWords: 1,
  run: report,
};

async function report({ words: [word], kernel }: Call): Promise<Report> {
  if (word === undefined || word.trim() === "") {
    throw new UsageError("Cannot explain nothing", "atomicni explain 10.88.0.2");
  }
  if (isCode(word)) return explainCode(word);
  const ip = addressIn(word);
  const what = ip ?? word;
  const { held, errors, veths } = await survey(kernel);
  const all = (await Promise.all(held.map((it) => attachments(it, veths)))).flat();
  const found = all.filter((it) => matches(it, what, ip));
  const networks = held.filter(({ network }) => network === what);
  const known = [
    ...(await Promise.all(networks.map((it) => inUse(it, veths)))).flat(),
    ...found.flatMap(sentences),
  ];
  if (known.length === 0 && /^\d{1,3}$/.test(word)) return explainCode(word);
  const lines = known.length > 0 ? known : [
    ...absent(what, ip, held, errors.length > 0 ? " that can be read" : ""),
    ...(veths === undefined ? [] : leftover(what, veths.get(what), errors.length > 0)),
  ];
  return {
    lines: [...lines, ...problems(errors)],
    json: {
      attachments: found.map(plainAttachment),
      errors: plainErrors(errors),
      text: lines.map(textOf),
    },
    exit: errors.length > 0 ? 2 : known.length > 0 ? 0 : 1,
  };
}

/** An address, with or without a prefix length. */
function addressIn(word: string): Ip | undefined {
  try {
    return tryIp(word) ?? (word.includes("/") ? parseInterfaceAddress(word).ip : undefined);
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** An address, a veth, a pod, or a container ID by its first characters. */
function matches(
  { ips, veth, pod, containerId }: Attached,
  what: string,
  ip: Ip | undefined,
): boolean {
  if (ip !== undefined) return ips.includes(ip);
  return [veth, pod, pod?.split("/")[1]].includes(what) || containerId.startsWith(what);
}

/** A network: what it gives, how much of that is held, and where to look further. */
async function inUse(it: Held, veths: ReadonlyMap<string, Link> | undefined): Promise<Sentence[]> {
  const { network, dataDir } = it;
  const uses = await usesOf(it, veths);
  return [
    [{ text: network, tone: "strong" }, " is a network."],
    ...uses.map(({ subnet, range, held, stale, free }) =>
      `${
        range === undefined
          ? "What it gives is written down by the next ADD."
          : `It gives ${range} of ${subnet}.`
      } Held: ${held}${stale === undefined ? "" : `, of which ${stale} stale`}${
        free === undefined ? "" : `; free: ${free}`
      }.`
    ),
    `Its state file is ${statePath(dataDir, network)}.`,
    `Whose its addresses are: atomicni list ${network}; its pools: atomicni status ${network}`,
  ];
}

function sentences(it: Attached): Sentence[] {
  const { ips, network, containerId, ifname, pod, mac, veth, since, live, link, guarded } = it;
  const owner = `container ${containerId}${pod === undefined ? "" : ` (pod ${pod})`}`;
  const on = ifname === "" ? "" : `, interface ${ifname}`;
  const belongs = ips.length > 1 ? "belong" : "belongs";
  return [
    [
      { text: ips.join(" and "), tone: "strong" },
      ` in network "${network}" ${belongs} to ${owner}${on}.`,
    ],
    since === undefined
      ? "It was given by the plugin's predecessor, which did not note when."
      : `It was given at ${since}, ${ago(since, Date.now())}${
        mac === undefined ? "" : `, with MAC ${mac}`
      }.`,
    ...(guarded ? ["It is guarded: nobody else can speak for it (macspoofchk)."] : []),
    live === undefined
      ? "Whether it is live, only ip could tell."
      : live
      ? [{ text: "It is live", tone: "good" }, `: ${attached(veth, link)}`]
      : [
        { text: "It is stale", tone: "warning" },
        `: its host veth ${veth} is gone, and with it the container's interface. An ADD that finds no free ` +
        `address takes it back; atomicni repair < CONFIGURATION does so now.`,
      ],
  ];
}

function attached(veth: string, link: Link | undefined): string {
  if (link === undefined) return `attached by ${veth}.`;
  const { master, up, netnsId, peerIndex, mtu } = link;
  const where = master === "" ? "in no bridge, so it reaches nothing" : `a port of ${master}`;
  const peer = netnsId === undefined
    ? "Its other end is in the host's own namespace."
    : `Its other end is interface ${peerIndex} of namespace ${netnsId} (ip netns list-id).`;
  return `its host veth ${veth} is ${where}, ${up ? "up" : "down"}, MTU ${mtu}. ${peer}`;
}

function absent(
  what: string,
  ip: Ip | undefined,
  held: readonly Held[],
  which: string,
): string[] {
  if (ip === undefined) return [`No network${which} has an attachment of "${what}".`];
  return [
    `No network${which} has given ${what}.`,
    ...held.flatMap(({ network, state }) => {
      const sets = state.ranges ?? [];
      const range = sets.flat().find(({ subnet }) => contains(subnet, ip));
      if (range === undefined) return [];
      const { subnet, gateway } = range;
      const reserved = reservedAs(subnet, ip);
      const role = ip === gateway ? "the gateway, which the bridge carries" : reserved ??
        (sets.flat().some((it) => inRange(it, ip)) ? "free" : "outside the range that is given");
      return [`In network "${network}" (${formatCidr(subnet)}) it is ${role}.`];
    }),
  ];
}

/** A veth of ours without a lease; where a state can't be read, it may well have one. */
function leftover(what: string, link: Link | undefined, isBlind: boolean): string[] {
  if (!isHostVethName(what)) return [];
  if (link === undefined) return ["No interface of that name is there."];
  const owner = attachmentIn(link.alias);
  const whose = owner === undefined
    ? "It does not say whose it is."
    : `It says that it belongs to container ${owner.containerId}, interface ${owner.ifname}, in network "${owner.network}".`;
  if (isBlind) {
    return [`The host veth ${what} is there; whether it has a lease can't be read. ${whose}`];
  }
  return [
    `The host veth ${what} is there without a lease: its network gives no addresses, or an ADD or DEL is at work or was ` +
    `killed, or the state file is gone or an older one. ${whose}`,
    "If its container is gone: its DEL, or a GC, removes it. If it lives: atomicni repair < CONFIGURATION",
  ];
}
