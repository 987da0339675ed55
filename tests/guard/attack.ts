import { assertEquals } from "@std/assert";
import { pause } from "../../lib/base/deadline.ts";
import type { Frame } from "./frames.ts";
import { NETWORK, type Place, type Scene, type State } from "./scene.ts";
import { PATIENCE_S } from "./agent.ts";
import { latest } from "../until.ts";

/** The protections that can stop an attack. `mac` is also in the reference's `macspoofchk`; `guard` is the rest of our guard. */
export type Stop = "kernel" | "mac" | "guard" | "rules" | "isolation" | "isolation's rules";
export type Family = 4 | 6;

export const TRIES = 10;

/** The outcome of one attack with ten frames. */
export interface Result {
  readonly attack: string;
  /** Each of these protections stops the attack. */
  readonly stops: readonly Stop[];
  readonly got: number;
  /** The number of tries if it is not ten. */
  readonly of?: number;
  /** The victim's own frames: how many arrived, and how many were sent. */
  readonly own: readonly [number, number];
  /** Whether those frames go between containers; isolation stops these even without an attack. */
  readonly between?: boolean;
  /** A further effect of the frames. */
  readonly effect?: string;
}

export function stoppers({ reference, guard, rules, isolated }: State): ReadonlySet<Stop> {
  return new Set<Stop>([
    "kernel",
    ...(guard ? ["mac" as const] : []),
    ...(guard && !reference ? ["guard" as const] : []),
    ...(rules ? ["rules" as const] : []),
    ...(isolated ? ["isolation" as const] : []),
    ...(isolated && rules ? ["isolation's rules" as const] : []),
  ]);
}

/** The victim's traffic that the attacker tries to redirect. */
export interface Flow {
  readonly attack: string;
  readonly stops: readonly Stop[];
  readonly from: Place;
  readonly to: Place;
  readonly address: string;
}

let marks = 0;
export function newMark(what: string): string {
  return `${what}.${++marks}`;
}

/** Flushes all neighbours, then lets all places talk, so that neighbours and the forwarding table are fresh. */
export async function acquaint(scene: Scene): Promise<void> {
  const { host } = scene;
  await host.sh(`
ip neigh flush dev ${NETWORK.bridge}
for it in ann bob; do ip -n $it neigh flush dev eth0; ip -n $it route flush cache; done`);
  const [ann, bob] = [scene.at("ann"), scene.at("bob")];
  const { gateway, gateway6 } = NETWORK;
  const hello = (...addresses: string[]) =>
    Object.fromEntries(addresses.map((it) => [it, "hello"]));
  await Promise.all([
    scene.agent("bob").talk(hello(gateway, gateway6, ann.ip4, ann.ip6), 1),
    scene.agent("ann").talk(hello(gateway, gateway6, bob.ip4, bob.ip6), 1),
    scene.agent("host").talk(hello(ann.ip4, ann.ip6, bob.ip4, bob.ip6), 1),
  ]);
  await pause(20);
}

/** Eve repeats `frames` while ten frames take each flow. Counts those that reach eve and those that reach their destination. */
export async function steal(
  scene: Scene,
  frames: readonly Frame[],
  flows: readonly Flow[],
): Promise<Result[]> {
  const marked = flows.map((flow) => ({ ...flow, mark: newMark(`${flow.from}-${flow.to}`) }));
  const lies = scene.agent("eve").raw(frames, 100, 2);
  await pause(30);
  const sent = await Promise.all(
    marked.map(({ from, address, mark }) => scene.agent(from).talk({ [address]: mark }, TRIES)),
  );
  assertEquals(sent, marked.map(() => TRIES), "not all of the victim's frames were sent");
  await lies;
  return await Promise.all(marked.map(async ({ attack, stops, from, to, mark }) => {
    const { got, own } = await shared(scene, to, mark);
    return {
      attack,
      stops,
      got,
      own: [own, TRIES] as const,
      between: from === "ann" && to === "bob",
    };
  }));
}

/** Counts the frames with a mark that reached eve and their destination; waits up to three seconds for all of them. */
export async function shared(
  scene: Scene,
  to: Place,
  mark: string,
): Promise<{ got: number; own: number }> {
  const count = async () => {
    const stolen = await scene.agent("eve").seen(mark);
    return { got: stolen.own + stolen.others, own: (await scene.agent(to).seen(mark)).own };
  };
  return await latest(count, ({ got, own }) => got + own >= TRIES, PATIENCE_S);
}

/** A forged frame, and the place that must not receive it. */
export interface Forged {
  readonly attack: string;
  readonly stops: readonly Stop[];
  readonly to: Place;
  readonly mark: string;
  readonly frame: Frame;
}

/** Eve sends each frame ten times while bob and the host talk. Counts the forged and the honest frames that arrive. */
export async function forge(scene: Scene, forged: readonly Forged[]): Promise<Result[]> {
  const bob = scene.at("bob");
  const [out, back] = [newMark("bob-host"), newMark("host-bob")];
  await Promise.all([
    scene.agent("eve").raw(forged.map(({ frame }) => frame), TRIES, 5),
    scene.agent("bob").talk({ [NETWORK.gateway]: out, [NETWORK.gateway6]: out }, TRIES, 5),
    scene.agent("host").talk({ [bob.ip4]: back, [bob.ip6]: back }, TRIES, 5),
  ]);
  const came = (await scene.agent("host").sees(out, 2 * TRIES)).own +
    (await scene.agent("bob").sees(back, 2 * TRIES)).own;
  await pause(30);
  const here = stoppers(scene.state);
  return await Promise.all(forged.map(async ({ attack, stops, to, mark }) => {
    // Waits for frames that no protection stops, because a busy machine delivers late.
    const wanted = stops.some((it) => here.has(it)) ? 0 : TRIES;
    const { own } = await scene.agent(to).sees(mark, wanted);
    return { attack, stops, got: own, own: [came, 4 * TRIES] as const };
  }));
}
