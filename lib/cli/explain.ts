import type { Pool } from "../pool.ts";
import { broadcastOf, contains, formatCidr, inRange, type Ipv4, tryIpv4 } from "../ipv4.ts";
import type { Link } from "../links.ts";
import { attachmentOf, isHostVethName } from "../names.ts";
import { poolOf } from "../pool.ts";
import { statePath } from "../statefile.ts";
import { type Attached, attachments, type Held, survey } from "./attachments.ts";
import { ago } from "./ago.ts";
import { type Call, type Command, type Report, UsageError } from "./command.ts";
import { explainCode } from "./explain_code.ts";
import { problems } from "./problems.ts";
import { type Line, textOf } from "./screen.ts";
import { useOf } from "./status.ts";

export const explain: Command = {
  name: "explain",
  takes: "ADDRESS | NAME | CODE",
  about:
    "all that is known of an address, of a network, host veth, container or pod, or of an error code",
  example: "atomicni explain 10.88.0.2",
  options: {},
  mostWords: 1,
  run: report,
};

async function report({ words: [what] }: Call): Promise<Report> {
  if (what === undefined) {
    throw new UsageError("Cannot explain nothing", "atomicni explain 10.88.0.2");
  }
  if (/^\d{1,3}$/.test(what)) return explainCode(what);
  const { held, errors, veths } = await survey("-d");
  const all = (await Promise.all(held.map((it) => attachments(it, veths)))).flat();
  const found = all.filter((it) => matches(it, what));
  const networks = held.filter(({ network }) => network === what);
  const known = [
    ...(await Promise.all(networks.map((it) => inUse(it, veths)))).flat(),
    ...found.flatMap(sentences),
  ];
  const lines = known.length > 0 ? known : [
    ...absent(what, held, errors.length > 0 ? " that can be read" : ""),
    ...(veths === undefined ? [] : leftover(what, veths.get(what))),
  ];
  return {
    lines: [...lines, ...problems(errors)],
    json: {
      attachments: found.map(({ ip: _, ...row }) => row),
      errors: errors.map(({ code, message, details }) => ({ code, msg: message, details })),
      text: lines.map(textOf),
    },
    exit: errors.length > 0 ? 2 : known.length > 0 ? 0 : 1,
  };
}

/** An address, a veth, a pod, or a container ID by its first characters. */
function matches({ address, veth, pod, containerId }: Attached, what: string): boolean {
  return [address, veth, pod, pod?.split("/")[1]].includes(what) ||
    (tryIpv4(what) === undefined && containerId.startsWith(what));
}

/** A network: what it gives, how much of that is held, and where to look further. */
async function inUse(it: Held, veths: ReadonlyMap<string, Link> | undefined): Promise<Line[]> {
  const { network, subnet, range, held, stale, free } = await useOf(it, veths);
  return [
    [
      { text: network, tone: "strong" },
      range === undefined
        ? " is a network; the next ADD notes what it gives."
        : ` is a network: it gives ${range} of ${subnet}.`,
    ],
    `Held: ${held}${stale === undefined ? "" : `, of which ${stale} stale`}${
      free === undefined ? "" : `; free: ${free}`
    }.`,
    `Its state file is ${statePath(it.dataDir, it.network)}.`,
    `Whose its addresses are: atomicni list ${network}; its pool: atomicni status ${network}`,
  ];
}

function sentences(it: Attached): Line[] {
  const { address, network, containerId, ifname, pod, mac, veth, since, live, link } = it;
  const owner = `container ${containerId}${pod === undefined ? "" : ` (pod ${pod})`}`;
  const on = ifname === "" ? "" : `, interface ${ifname}`;
  return [
    [{ text: address, tone: "strong" }, ` in network "${network}" belongs to ${owner}${on}.`],
    since === undefined
      ? "It was given by the plugin's predecessor, which did not note when."
      : `It was given at ${since}, ${ago(since, Date.now())}${
        mac === undefined ? "" : `, with MAC ${mac}`
      }.`,
    live === undefined
      ? "Whether it is live, only ip could tell."
      : live
      ? [{ text: "It is live", tone: "good" }, `: ${plugged(veth, link)}`]
      : [
        { text: "It is stale", tone: "warning" },
        `: its host veth ${veth} is gone, and with it the container's interface. An ADD that finds no free ` +
        `address takes it back; atomicni repair < CONFIGURATION does so now.`,
      ],
  ];
}

function plugged(veth: string, link: Link | undefined): string {
  if (link === undefined) return `plugged in by ${veth}.`;
  const { master, up, netnsId, peerIndex, mtu } = link;
  const where = master === "" ? "in no bridge, so it reaches nothing" : `plugged into ${master}`;
  const peer = netnsId === undefined
    ? "Its other end is in the host's own namespace."
    : `Its other end is interface ${peerIndex} of namespace ${netnsId} (ip netns list-id).`;
  return `its host veth ${veth} is ${where}, ${up ? "up" : "down"}, MTU ${mtu}. ${peer}`;
}

function absent(what: string, held: readonly Held[], which: string): string[] {
  const ip = tryIpv4(what);
  if (ip === undefined) return [`No network${which} has an attachment of "${what}".`];
  return [
    `No network${which} has given ${what}.`,
    ...held.flatMap(({ network, ledger }) => {
      const pool = poolOf(ledger.pool);
      return pool === undefined || !contains(pool.subnet, ip)
        ? []
        : [`In network "${network}" (${formatCidr(pool.subnet)}) it is ${roleOf(ip, pool)}.`];
    }),
  ];
}

function roleOf(ip: Ipv4, { subnet, range, gateway }: Pool): string {
  if (ip === gateway) return "the gateway, which the bridge carries";
  if (ip === subnet.base) return "the network address";
  if (ip === broadcastOf(subnet)) return "the broadcast address";
  return inRange(range, ip) ? "free" : "outside the range that is given";
}

/** A veth of ours without a lease. */
function leftover(what: string, link: Link | undefined): string[] {
  if (!isHostVethName(what)) return [];
  if (link === undefined) return ["No interface of that name is there."];
  const owner = attachmentOf(link.alias);
  const whose = owner === undefined
    ? "It does not say whose it is."
    : `It says that it belongs to container ${owner.containerId}, interface ${owner.ifname}, in network "${owner.network}".`;
  return [
    `The host veth ${what} is there without a lease: an ADD or DEL is at work, or was killed. ${whose}`,
    `If it stays: ip link del dev ${what}`,
  ];
}
