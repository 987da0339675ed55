/**
 * The comparison with `bridge` + `host-local`, with the floor and with an empty program, in one run. Started by
 * `make bench` inside private namespaces; writes bench/results.md and bench/plot.svg.
 */
import { fromFileUrl } from "@std/path/posix";
import {
  burst,
  type Footprint,
  footprint,
  freshContainers,
  lives,
  type Restart,
  restart,
  vethRemoval,
} from "./loads.ts";
import { median, shell } from "./measure.ts";
import { phases } from "./phases.ts";
import { atomicni, empty, floor, GATEWAY, type Peer, reference } from "./peers.ts";
import { plot } from "./plot.ts";
import { report } from "./report.ts";
import type { Bursts, Results } from "./results.ts";

/** How often single operations are measured, by number of leases held. */
const ROUNDS = new Map([[0, 21], [250, 21], [1_000, 21], [10_000, 15], [65_000, 9]]);
export const AT_ONCE = 64;
const BURSTS = 5;
export const PODS = 250;
export const WORKERS = 16;

const root = fromFileUrl(new URL("..", import.meta.url));
const script = atomicni("script form", `${root}bin/atomicni.js`);
const compiled = atomicni("compiled form", `${root}bin/atomicni`);
const pair = reference("/usr/lib/cni");
const ground = floor();
const emptyScript = empty("empty script form", `${root}build/empty.js`);
const emptyCompiled = empty("empty compiled form", `${root}build/empty`);

async function prepare(): Promise<void> {
  await shell(`mount -t tmpfs tmpfs /run && mkdir -p /run/netns && mount -t tmpfs tmpfs /var/lib
mkdir -p -m 700 /var/lib/atomicni && ip link set dev lo up
ip link add name bench2 address 0a:58:0a:40:00:01 type bridge
ip addr add ${GATEWAY}/14 dev bench2 && ip link set dev bench2 up`);
}

/** Processor time of an ADD with nobody beside it: the median of some. */
async function alone(peer: Peer): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < 9; i++) {
    times.push((await burst(peer, "ADD", 1)).cpu);
    await burst(peer, "DEL", 1);
  }
  return median(times);
}

/** Peers in turn, as with single operations; medians. */
async function inBursts(peers: readonly Peer[]): Promise<Map<string, Bursts>> {
  const seen = new Map<string, Bursts[]>(peers.map(({ name }) => [name, []]));
  for (let round = 0; round < BURSTS; round++) {
    for (const peer of peers) {
      await freshContainers(AT_ONCE);
      peer.hold(0);
      seen.get(peer.name)?.push({
        singleCpu: await alone(peer),
        add: await burst(peer, "ADD", AT_ONCE),
        del: await burst(peer, "DEL", AT_ONCE),
      });
    }
  }
  const middle = (all: readonly Bursts[], pick: (it: Bursts) => number) => median(all.map(pick));
  return new Map([...seen].map(([name, all]) => [name, {
    singleCpu: middle(all, (it) => it.singleCpu),
    add: {
      wall: middle(all, ({ add }) => add.wall),
      cpu: middle(all, ({ add }) => add.cpu),
    },
    del: {
      wall: middle(all, ({ del }) => del.wall),
      cpu: middle(all, ({ del }) => del.cpu),
    },
  }]));
}

async function main(): Promise<void> {
  await prepare();
  const log = (what: string) => Deno.stderr.writeSync(new TextEncoder().encode(`bench: ${what}\n`));
  await freshContainers(1);
  for (const peer of [script, compiled, pair]) for (const count of ROUNDS.keys()) peer.hold(count);
  log("single operations");
  const held = await lives(
    [script, compiled, pair, ground, emptyScript, emptyCompiled],
    ROUNDS,
  );
  const footprints = new Map<string, Footprint>();
  log("footprints");
  for (const peer of [script, compiled, pair, ground, emptyScript, emptyCompiled]) {
    footprints.set(peer.name, await footprint(peer));
  }
  const removal = await vethRemoval(15);
  const where = await phases(script, 11);

  log(`${AT_ONCE} at once`);
  const bursts = await inBursts([script, compiled, pair, emptyScript, emptyCompiled]);
  const restarts = new Map<string, Restart>();
  for (const peer of [script, compiled, pair]) {
    log(`${PODS} pods, ${WORKERS} at a time: ${peer.name}`);
    await freshContainers(PODS);
    peer.hold(0);
    restarts.set(peer.name, await restart(peer, PODS, WORKERS));
  }
  const size = (path: string) => Deno.statSync(path).size;
  const sizes = new Map([
    [script.name, size(`${root}bin/atomicni.js`)],
    [compiled.name, size(`${root}bin/atomicni`)],
    [pair.name, size("/usr/lib/cni/bridge") + size("/usr/lib/cni/host-local")],
  ]);
  const results: Results = { held, bursts, restarts, footprints, sizes, removal, phases: where };
  const text = report(results);
  await Deno.writeTextFile(`${root}bench/results.md`, text);
  await Deno.writeTextFile(`${root}bench/plot.svg`, plot(results));
  await Deno.stdout.write(new TextEncoder().encode(text));
}

if (import.meta.main) await main();
