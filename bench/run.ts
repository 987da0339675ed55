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
} from "./loads.ts";
import { measure, median, shell } from "./measure.ts";
import { phases } from "./phases.ts";
import {
  atomicni,
  BEFORE,
  BEFORE_TODAYS_LINE,
  empty,
  FEWEST,
  floor,
  GATEWAY,
  least,
  type Peer,
  reference,
  removal,
  STATE_FOLDER,
  stateFile,
  withFewest,
} from "./peers.ts";
import { plot } from "./plot.ts";
import { report } from "./report.ts";
import type { Bursts, Results } from "./results.ts";
import { type Schema, schemaOf } from "./state.ts";
import { variants } from "./variants.ts";

/** How often single operations are measured, by number of leases held. */
const ROUNDS = new Map([[FEWEST, 101], [250, 9], [1_000, 101], [10_000, 9], [65_000, 7]]);
const AT_ONCE = 64;
const BURSTS = 9;
const PODS = 250;
const WORKERS = 16;
const VARIANTS = 41;

const root = fromFileUrl(new URL("..", import.meta.url));
const SCRIPT = `${root}bin/atomicni.js`;
const COMPILED = `${root}bin/atomicni`;
const pair = reference("/usr/lib/cni");
const ground = floor();
const emptyScript = empty("empty script form", `${root}build/empty.js`);
const emptyCompiled = empty("empty compiled form", `${root}build/empty`);
const onlyIp = least(`${root}build/least.js`);

async function prepare(): Promise<void> {
  await shell(`mount -t tmpfs tmpfs /run && mkdir -p /run/netns && mount -t tmpfs tmpfs /var/lib
mkdir -p -m 700 /var/lib/atomicni && ip link set dev lo up
ip link add name bench2 address 0a:58:0a:40:00:01 type bridge
ip addr add ${GATEWAY}/14 dev bench2 && ip link set dev bench2 up`);
}

/** The schema of the state files that the program writes into `folder`, by its first ADD. */
async function schemaWritten(program: string, folder?: string): Promise<Schema> {
  const first = atomicni("first", program, 2, undefined, folder);
  for (const command of ["ADD", "DEL"] as const) {
    const call = first.call(command, 0, "{}", 0);
    if (call !== undefined) await measure(call);
  }
  const path = stateFile(0, undefined, folder);
  const text = await Deno.readTextFile(path);
  await Deno.remove(path);
  return schemaOf(text);
}

/**
 * The script form of an older commit as it was, and with the first lines of today's script form. Each has its own state
 * folder: two programs that give V8 different flags replace each other's compiled code.
 */
async function older(program: string): Promise<readonly Peer[]> {
  const lines = async (path: string) => (await Deno.readTextFile(path)).split("\n");
  const [first, own] = [await lines(SCRIPT), await lines(program)];
  const made = async (name: string, letter: string, text: readonly string[]) => {
    const [path, folder] = [`/run/before-${letter}.js`, `/var/lib/before-${letter}`];
    const moved = text.join("\n").replaceAll(STATE_FOLDER, folder);
    await Deno.writeTextFile(path, moved, { mode: 0o755 });
    await Deno.mkdir(folder, { mode: 0o700 });
    const schema = await schemaWritten(path, folder);
    const peer = atomicni(name, path, schema, { letter }, folder);
    peer.hold(FEWEST);
    return withFewest(peer);
  };
  return [
    await made(BEFORE, "b", own),
    await made(BEFORE_TODAYS_LINE, "t", [...first.slice(0, 2), ...own.slice(2)]),
  ];
}

/** A build form and its version of Deno, as `version` reports them. */
async function formOf(program: string): Promise<string> {
  const { form, deno } = JSON.parse(await shell(`${program} version --json`));
  return `${form}: Deno ${deno}`;
}

/** Median processor time of an ADD that runs alone, in milliseconds. */
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
      peer.hold(FEWEST);
      // The processor's speed may change during the burst: measure an ADD alone before and after it.
      const before = await alone(peer);
      const add = await burst(peer, "ADD", AT_ONCE);
      const del = await burst(peer, "DEL", AT_ONCE);
      const single = (before + await alone(peer)) / 2;
      seen.get(peer.name)?.push({ toSingle: add.cpu / AT_ONCE / single, add, del });
    }
  }
  const middle = (all: readonly Bursts[], pick: (it: Bursts) => number) => median(all.map(pick));
  return new Map([...seen].map(([name, all]) => [name, {
    toSingle: middle(all, (it) => it.toSingle),
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

/** The reference plugins of an unpacked Debian package, with the version in its name. */
async function otherPair(root: string): Promise<Peer> {
  const changelog = `${root}/usr/share/doc/containernetworking-plugins/changelog.Debian.gz`;
  const version = await shell(`zcat ${changelog} | sed -n '1s/.*(\\([0-9.]*\\).*/\\1/p'`);
  if (version.trim() === "") throw new Error(`no version in "${changelog}"`);
  return reference(`${root}/usr/lib/cni`, false, version.trim());
}

async function main(): Promise<void> {
  await prepare();
  const log = (what: string) => Deno.stderr.writeSync(new TextEncoder().encode(`bench: ${what}\n`));
  await freshContainers(1);
  const schema = await schemaWritten(SCRIPT);
  const given = Deno.env.get("BEFORE") ?? "";
  const before = given === "" ? [] : await older(given);
  const script = atomicni("script form", SCRIPT, schema);
  const compiled = atomicni("compiled form", COMPILED, schema);
  const other = Deno.env.get("REFERENCE") ?? "";
  const pairs = [pair, ...(other === "" ? [] : [await otherPair(other)])];
  for (const peer of [script, compiled, ...pairs]) {
    for (const count of ROUNDS.keys()) peer.hold(count);
  }
  log(`single operations, state files of schema ${schema}`);
  const held = await lives(
    [
      script,
      compiled,
      ...pairs,
      ground,
      onlyIp,
      ...before,
      emptyScript,
      emptyCompiled,
      removal(script),
    ],
    ROUNDS,
  );
  log("both families, the guard");
  const compared = await variants(
    atomicni("plain", SCRIPT, schema, { letter: "p" }),
    atomicni("both families", SCRIPT, schema, { letter: "d", dual: true }),
    atomicni("guarded", SCRIPT, schema, { letter: "g", guarded: true }),
    reference("/usr/lib/cni", true),
    VARIANTS,
  );
  const footprints = new Map<string, Footprint>();
  log("footprints");
  for (const peer of [script, compiled, ...pairs, ground, emptyScript, emptyCompiled]) {
    footprints.set(peer.name, await footprint(peer));
  }
  const where = await phases(script, 11);

  log(`${AT_ONCE} at once`);
  const bursts = await inBursts([
    ...[script, compiled, ...pairs],
    ...[onlyIp, emptyScript, emptyCompiled],
  ]);
  const restarts = new Map<string, Restart>();
  for (const peer of [script, compiled, ...pairs]) {
    log(`${PODS} pods, ${WORKERS} at a time: ${peer.name}`);
    await freshContainers(PODS);
    peer.hold(FEWEST);
    restarts.set(peer.name, await restart(peer, PODS, WORKERS));
  }
  const size = (path: string) => Deno.statSync(path).size;
  const sizes = new Map([
    [script.name, size(SCRIPT)],
    [compiled.name, size(COMPILED)],
    [pair.name, size("/usr/lib/cni/bridge") + size("/usr/lib/cni/host-local")],
  ]);
  const results: Results = {
    forms: [await formOf(SCRIPT), await formOf(COMPILED)],
    held,
    variants: compared,
    bursts,
    restarts,
    footprints,
    sizes,
    phases: where,
  };
  const text = report(results);
  await Deno.writeTextFile(`${root}bench/results.md`, text);
  await Deno.writeTextFile(`${root}bench/plot.svg`, plot(results));
  await Deno.stdout.write(new TextEncoder().encode(text));
}

if (import.meta.main) await main();
