import { attempt, measure, shell } from "./measure.ts";
import { type Call, FEWEST, GATEWAY6, type Peer } from "./peers.ts";

/** Times of one configuration, or why there are none. */
export type Variant =
  | { readonly add: readonly number[]; readonly del: readonly number[] }
  /** The program refuses the configuration, in these words. */
  | { readonly refused: string }
  /** The program accepts the configuration and ignores the setting. */
  | { readonly without: string };

/** The configurations that one run compares: plain, both families, guarded. */
export interface Variants {
  readonly plain: Variant;
  readonly dual: Variant;
  readonly guarded: Variant;
  /** Milliseconds from the start of an ADD of both families to the first answered ping of the gateway, by peer. */
  readonly answered: ReadonlyMap<string, readonly number[]>;
}

/** Error codes that refuse a configuration: an unsupported key, an invalid configuration. */
const REFUSALS = [2, 7];

/** A configuration as a peer, and the check that an ADD applied it. */
interface Tried {
  readonly peer: Peer;
  // deno-lint-ignore no-explicit-any
  readonly does: (result: any) => Promise<boolean>;
}

/** ADD and DEL of one container, all three in turn, so that a slow moment of the machine affects all of them. */
export async function variants(
  plain: Peer,
  dual: Peer,
  guarded: Peer,
  reference: Peer,
  rounds: number,
): Promise<Variants> {
  const hasBoth: Tried["does"] = ({ ips }) => Promise.resolve(ips.length === 2);
  const isLocked: Tried["does"] = async ({ interfaces }) =>
    (await shell(`ip -d link show dev ${interfaces[1].name}`)).includes("locked on");
  const tried: Tried[] = [
    { peer: plain, does: () => Promise.resolve(true) },
    { peer: dual, does: hasBoth },
    { peer: guarded, does: isLocked },
  ];
  const open: { peer: Peer; add: number[]; del: number[] }[] = [];
  const outcomes: Variant[] = [];
  for (const it of tried) {
    const why = await hindrance(it);
    if (why !== undefined) {
      outcomes.push(why);
      continue;
    }
    it.peer.hold(FEWEST);
    const times = { peer: it.peer, add: [], del: [] };
    open.push(times);
    outcomes.push(times);
  }
  for (let round = 0; round < rounds; round++) {
    for (const { peer, add, del } of open) {
      const added = await measure(callOf(peer, "ADD"));
      add.push(added.ms);
      del.push((await measure(callOf(peer, "DEL", added.stdout))).ms);
    }
  }
  const [one = never(), two = never(), three = never()] = outcomes;
  const answers = "add" in two ? await answered([dual, reference], 9) : new Map();
  return { plain: one, dual: two, guarded: three, answered: answers };
}

/** The reason why a configuration can't be measured; `undefined` if it can. */
async function hindrance({ peer, does }: Tried): Promise<Variant | undefined> {
  const { success, stdout } = await attempt(callOf(peer, "ADD"));
  if (!success) {
    const { code, msg } = JSON.parse(stdout);
    if (REFUSALS.includes(code)) return { refused: msg };
    throw new Error(`${peer.name}: ${stdout}`);
  }
  const done = await does(JSON.parse(stdout));
  await measure(callOf(peer, "DEL", stdout));
  return done ? undefined : { without: peer.name };
}

/** Runs an ADD, then repeats `ping -6` until one is answered. */
async function answered(
  peers: readonly Peer[],
  rounds: number,
): Promise<Map<string, number[]>> {
  const times = new Map(peers.map(({ name }): [string, number[]] => [name, []]));
  const script = `"$0" >/run/added || exit
for _ in $(seq 100); do
  timeout 0.2 ip netns exec b0 busybox ping -6 -c 1 -W 1 ${GATEWAY6} >/dev/null 2>&1 && exit
done
exit 1`;
  for (let round = -1; round < rounds; round++) {
    for (const peer of peers) {
      const { argv, env, stdin } = callOf(peer, "ADD");
      const { ms } = await measure({
        argv: ["/bin/sh", "-c", script, ...argv],
        env: { ...env, PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
        stdin,
      });
      // The first ADD creates the bridge.
      if (round >= 0) times.get(peer.name)?.push(ms);
      await measure(callOf(peer, "DEL", await Deno.readTextFile("/run/added")));
    }
  }
  return times;
}

function callOf(peer: Peer, command: "ADD" | "DEL", result = ""): Call {
  return peer.call(command, 0, result) ?? never();
}

function never(): never {
  throw new Error("a peer without ADD and DEL");
}
