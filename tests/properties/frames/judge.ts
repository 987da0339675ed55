import type { Frame } from "../../guard/frames.ts";
import type { Complaint } from "../property.ts";
import { type Kernel, linkLocalOf, lookAt } from "./kernel.ts";
import type { Flow, Seen } from "./lab.ts";
import { BRIDGE, GATEWAY, type Network, OUTSIDE } from "./network.ts";
import { type Wrong, wrongs } from "./faults.ts";
import { stopped } from "./promises.ts";
import { isNeighbourClaim, type Spec } from "./spec.ts";
import { tally, tallyEffects } from "./tally.ts";
import { EVE, type Stage, type StageAttachment } from "./stage.ts";
import { latest } from "../../until.ts";

export interface Sent {
  readonly spec: Spec;
  readonly mark: string;
  readonly frame: Frame;
}

/** At least this many datagrams of each flow have to arrive. */
const TIMES = 2;
const PATIENCE_MS = 10_000;

/** The most significant fault after a round, whose frames were sent in the network `during`. */
export async function judge(
  stage: Stage,
  during: Network,
  sent: readonly Sent[],
  round: string,
  takesPortsOut: boolean,
): Promise<Complaint | undefined> {
  const { network } = stage;
  const before = await lookAt(stage.host);
  const flows = honestFlows(stage, before, sent).map((it, at) => ({
    ...it,
    mark: `h${round}.${at}`,
  }));
  await stage.lab.talk(flows, TIMES);
  const seen = await awaited(stage, flows);
  const kernel = await lookAt(stage.host);
  tally(during, sent, seen, takesPortsOut);
  tallyEffects(network, wrongs(stage, kernel, { ...network, guard: true, rules: true }));
  const [first] = [
    ...wrongs(stage, kernel),
    ...lost(flows, seen),
    ...arrived(during, sent, seen),
  ];
  if (first === undefined) return await checked(stage);
  return { kind: first[0], about: JSON.stringify(first[1]) };
}

interface Honest extends Flow {
  /** The place where the datagram belongs. */
  readonly at: string;
  readonly about: string;
}

/** Traffic that the attacker may not keep from its destination. */
function honestFlows(stage: Stage, kernel: Kernel, sent: readonly Sent[]): Honest[] {
  const { network, attached } = stage;
  if (!network.guard) return [];
  const people = ["bob", "ann"].flatMap((id) => attached.get(`${id}/eth0`) ?? []);
  const bridge = linkLocalOf(kernel.links, BRIDGE);
  const flows = people.flatMap(({ id, ips }: StageAttachment) => {
    const own = linkLocalOf(kernel.inside.get(id)?.links ?? [], "eth0");
    const has6 = network.families.includes(6);
    return [
      ...ips.map((to) => ({ from: "", to, at: id, about: "host → container" })),
      ...network.families.map((it) => ({
        ...{ from: id, to: GATEWAY[it], at: "", about: "container → gateway" },
      })),
      ...(!has6 ? [] : [
        { from: "", to: `${own}%${BRIDGE}`, at: id, about: "host → container, link-local" },
        { from: id, to: `${bridge}%eth0`, at: "", about: "container → host, link-local" },
      ]),
      ...(!network.rules ? [] : network.families.map((it) => ({
        ...{ from: id, to: OUTSIDE[it], at: "outside", about: "container → outside" },
      }))),
    ];
  });
  const [bob, ann] = people;
  // A container manages its own entries for neighbours, and believes what it receives.
  stage.isDeceived ||= sent.some(({ spec }) => spec.from === "own" && isNeighbourClaim(spec.kind));
  if (!network.isolated && !stage.isDeceived && bob !== undefined && ann !== undefined) {
    flows.push(...bob.ips.map((to) => ({ from: "ann", to, at: "bob", about: "neighbours" })));
  }
  return flows.map((it) => ({ ...it, mark: "" }));
}

/** All marks that were seen, after every honest datagram arrived or a time limit passed. */
async function awaited(stage: Stage, flows: readonly Honest[]): Promise<Seen> {
  const all = (seen: Seen) => flows.every((it) => cameOf(it, seen) >= TIMES);
  return await latest(() => stage.lab.seen(), all, PATIENCE_MS / 1000);
}

const cameOf = ({ at, mark }: Honest, seen: Seen) =>
  seen[at]?.ip?.[mark] ?? seen[at]?.link?.[mark] ?? 0;

function* lost(flows: readonly Honest[], seen: Seen): Iterable<Wrong> {
  for (const flow of flows) {
    const [came, stolen] = [cameOf(flow, seen), seen[EVE]?.link?.[flow.mark] ?? 0];
    if (stolen > 0) yield [`stolen: ${flow.about}`, flow];
    if (came < TIMES) yield [`lost: ${flow.about}`, { came, of: TIMES, ...flow }];
  }
}

/** Frames that arrived at a place that frames of their sort may not reach. */
function arrived(network: Network, sent: readonly Sent[], seen: Seen): Wrong[] {
  const found = sent.flatMap(({ spec, mark, frame }) =>
    stopped(spec, network).filter(({ place, layer }) => (seen[place]?.[layer]?.[mark] ?? 0) > 0)
      .map(({ place, why }) => ({ rank: rank(spec, why), place, why, spec, frame }))
  );
  return found.sort((a, b) => a.rank - b.rank).map(({ place, why, spec, frame }) => {
    const by = typeof spec.to === "number" ? " via a reserved group address" : "";
    return [`${NAMES[place] ?? "a neighbour"} gets ${why}${by}`, { spec, frame }];
  });
}

const NAMES: Readonly<Record<string, string>> = { "": "the host", outside: "a machine outside" };

/** A reserved group address is a separate cause. Many frames have one, so it is named last. */
function rank({ to }: Spec, why: string): number {
  return typeof to === "number" ? 2 : why.includes("isolated") ? 0 : 1;
}

/** CHECK finds no fault in an honest container. */
async function checked(stage: Stage): Promise<Complaint | undefined> {
  if (stage.stateIsLost) return undefined;
  const answers = await Promise.all(["bob", "ann"].map((id) => stage.check(id)));
  const bad = answers.find(({ code }) => code !== 0);
  if (bad === undefined) return undefined;
  return { kind: "CHECK of an honest container fails", about: bad.stdout + bad.stderr };
}
