import { pause } from "../../lib/base/deadline.ts";
import type { Host } from "../integration/host.ts";
import { compose } from "./frames/compose.ts";
import { judge } from "./frames/judge.ts";
import { lookAt } from "./frames/kernel.ts";
import { Lab } from "./frames/lab.ts";
import { momentOf, MOMENTS, takesPortsOut } from "./frames/moments.ts";
import { type Network, someNetwork } from "./frames/network.ts";
import { someBias, someSpec, type Spec } from "./frames/spec.ts";
import { EVE, Stage } from "./frames/stage.ts";
import { limits } from "./limits.ts";
import { type Complaint, count, type Property, shorter } from "./property.ts";
import type { Random } from "../random.ts";

/** The attacker's frames, and what happens while it sends them. */
export interface Round {
  readonly moment: string;
  readonly wait: number;
  readonly frames: readonly Spec[];
}

export interface Attack {
  readonly network: Network;
  readonly rounds: readonly Round[];
}

const MOST_FRAMES = 60;

const seen = new Map<string, number>();

/** The common settings of all cases in a narrower search. */
export interface Focus {
  readonly network?: Partial<Network>;
  readonly moments?: RegExp;
  readonly frames?: Partial<Spec>;
}

function generate(random: Random, focus: Focus): Attack {
  const network = { ...someNetwork(random), ...focus.network };
  const moments = MOMENTS.filter(({ name, fits }) =>
    (focus.moments?.test(name) ?? true) && (fits?.(network) ?? true) &&
    // Outside of the bridge, the rules do not know such a port.
    !(network.ungrouped && takesPortsOut(name))
  );
  const rounds: Round[] = [];
  for (let left = random.between(1, 4); left > 0; left--) {
    const moment = random.one(moments);
    // If there are few frames, each is sent more often.
    const length = random.chance(0.4) ? random.between(3, 12) : MOST_FRAMES;
    const bias = { ...someBias(random), ...focus.frames };
    const frames = Array.from({ length }, () => someSpec(random, bias));
    rounds.push({ moment: moment.name, wait: random.between(0, 60), frames });
    if (moment.isLast) break;
  }
  return { network, rounds };
}

function* smaller(it: Attack): Iterable<Attack> {
  for (const rounds of shorter(it.rounds)) if (rounds.length > 0) yield { ...it, rounds };
  for (const [at, round] of it.rounds.entries()) {
    for (const frames of shorter(round.frames)) {
      yield { ...it, rounds: it.rounds.with(at, { ...round, frames }) };
    }
  }
}

async function complain(
  host: Host,
  { network, rounds }: Attack,
  under: readonly string[],
): Promise<Complaint | undefined> {
  await using lab = await Lab.start(host);
  const stage = new Stage(host, lab, network, under);
  await stage.build();
  for (const [index, round] of rounds.entries()) {
    const found = stage.complaint ?? await runRound(stage, round, index);
    if (found === undefined) continue;
    return {
      kind: `${found.kind} (${round.moment})`,
      about: `${found.about}\n${stage.lastRepair}`,
    };
  }
  return undefined;
}

/** One round: the attacker sends while something happens. Then honest traffic follows, and all is checked. */
async function runRound(stage: Stage, round: Round, index: number): Promise<Complaint | undefined> {
  const { lab } = stage;
  const before = stage.network;
  const moment = momentOf(round.moment);
  await moment.prepare?.(stage);
  const facts = stage.facts(await lookAt(stage.host));
  const sent = round.frames.map((spec, at) => {
    const mark = `${spec.kind.startsWith("redirect") ? "r" : "f"}${index}.${at}`;
    return { spec, mark, frame: compose(spec, facts, mark) };
  });
  const frames = sent.map(({ frame }) => frame);
  if (moment.run === undefined) {
    await lab.burst(EVE, "eth0", frames, 3);
  } else {
    if (!await lab.shoot(EVE, ["eth0", "net1"], frames)) throw new Error("no frame is sent");
    await moment.run(stage, round.wait);
    await pause(10);
    count(seen, "frames", await lab.stop());
  }
  count(seen, `rounds with ${round.moment}`);
  return stage.complaint ??
    await judge(stage, before, sent, `${index}`, takesPortsOut(round.moment));
}

/** SECURITY.md's table holds, whatever a container sends, and whenever. */
export function frames(focus: Focus = {}): Property<Attack> {
  return {
    name: "frames of an attacker",
    limits: limits({ short: { cases: 12, seconds: 300 }, full: { cases: 600, seconds: 3600 } }),
    generate: (random) => generate(random, focus),
    complain,
    smaller,
    seen,
  };
}

export const framesOfAnAttacker = frames();
