import { measure, median, quantile, shell } from "./measure.ts";
import { type Call, COMMANDS, type MeasuredCommand, type Peer } from "./peers.ts";

/** Milliseconds of each run, by peer and command. */
export type Times = Map<string, Map<MeasuredCommand, number[]>>;

/**
 * Runs one container's life per peer and number of leases, peers in turn, so that a slow moment of the machine affects
 * all of them. Returns the times by number of leases.
 */
export async function lives(
  peers: readonly Peer[],
  rounds: ReadonlyMap<number, number>,
): Promise<Map<number, Times>> {
  const counts = [...rounds.keys()];
  const all = new Map(counts.map((held): [number, Times] => [
    held,
    new Map(peers.map(({ name }) => [name, new Map(COMMANDS.map((it) => [it, []]))])),
  ]));
  for (let round = -1; round < Math.max(...rounds.values()); round++) {
    for (const peer of peers) {
      for (const held of counts.filter((it) => round < (rounds.get(it) ?? 0))) {
        let result = "";
        // After another program's run the processor's caches are cold for this one.
        const warming = peer.call("VERSION", 0, "", held);
        if (warming !== undefined) await measure(warming);
        for (const command of COMMANDS) {
          const call = peer.call(command, 0, result, held);
          if (call === undefined) continue;
          const { ms, stdout } = await measure(call);
          if (command === "ADD") result = stdout;
          // The first round only warms the caches.
          const isCounted = round >= 0 && (peer.only ?? command) === command;
          if (isCounted) all.get(held)?.get(peer.name)?.get(command)?.push(ms);
          if (command === "DEL" && peer.after !== undefined) await measure(peer.after(held));
        }
      }
    }
  }
  return all;
}

export interface Burst {
  readonly wall: number;
  /** User and system time of all processes, in milliseconds. */
  readonly cpu: number;
}

/** `count` of one command started at once by one shell, which adds up their processor time. */
export async function burst(peer: Peer, command: "ADD" | "DEL", count: number): Promise<Burst> {
  const folder = await Deno.makeTempDir();
  const lines: string[] = [];
  for (let i = 1; i <= count; i++) {
    const call = peer.call(command, i, "{}");
    if (call === undefined) throw new Error(`${peer.name} has no ${command}`);
    await Deno.writeTextFile(`${folder}/${i}`, call.stdin);
    lines.push(`${started(call)} <${folder}/${i} >${folder}/out.${i} 2>&1 & pids="$pids $!"`);
  }
  const script = `TIMEFORMAT='%R %U %S'; time { pids=; ${lines.join("\n")}
for pid in $pids; do wait $pid || { cat ${folder}/out.*; exit 1; }; done; }`;
  const { success, stdout, stderr } = await new Deno.Command("bash", { args: ["-c", script] })
    .output();
  const text = new TextDecoder().decode(stderr).trim();
  if (!success) {
    throw new Error(`${peer.name} ${command}: ${new TextDecoder().decode(stdout)} ${text}`);
  }
  const [wall = NaN, user = NaN, system = NaN] = text.split("\n").at(-1)?.split(" ").map(Number) ??
    [];
  await Deno.remove(folder, { recursive: true });
  return { wall: wall * 1000, cpu: (user + system) * 1000 };
}

function started({ argv, env }: Call): string {
  const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const variables = Object.entries(env).map(([name, value]) => `${name}=${quote(value)}`);
  return ["env", "-i", ...variables, ...argv.map(quote)].join(" ");
}

export interface Restart {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

/** A node that comes back: `pods` ADDs by `workers` at a time. */
export async function restart(peer: Peer, pods: number, workers: number): Promise<Restart> {
  const times: number[] = [];
  let next = 1;
  const began = performance.now();
  await Promise.all(Array.from({ length: workers }, async () => {
    for (let pod = next++; pod <= pods; pod = next++) {
      const call = peer.call("ADD", pod, "");
      if (call !== undefined) times.push((await measure(call)).ms);
    }
  }));
  const wall = performance.now() - began;
  return { perSecond: pods / (wall / 1000), p50: median(times), p99: quantile(times, 0.99) };
}

/** Removes all namespaces, and with them all veths, that `restart` left. */
export async function freshContainers(count: number): Promise<void> {
  await shell(`for n in $(ls /run/netns); do ip netns del $n; done
for i in $(seq 0 ${count}); do ip netns add b$i; done
for _ in $(seq 100); do ip -br link show type veth | grep -q . || exit 0; sleep 0.05; done; exit 1`);
}

export interface Footprint {
  readonly processes: number;
  readonly calls: number;
  readonly written: number;
  readonly syncs: number;
  /** Resident memory of the largest process, in KiB, shared file pages included. */
  readonly residentKb: number;
  /** Memory that the kernel charges to the ADD's control group, in KiB; `undefined` if there is no such group. */
  readonly chargedKb: number | undefined;
}

/** One ADD under strace, then one under time(1): what it starts, asks of the kernel, writes and needs. */
export async function footprint(peer: Peer): Promise<Footprint> {
  const call = peer.call("ADD", 0, "");
  if (call === undefined) throw new Error(`${peer.name} has no ADD`);
  const folder = await Deno.makeTempDir();
  const under = (tool: readonly string[]) => measure({ ...call, argv: [...tool, ...call.argv] });
  await under(["/usr/bin/strace", "-ff", "-qq", "-y", "-s", "0", "-o", `${folder}/trace`]);
  await clear(peer);
  await under(["/usr/bin/time", "-f", "%M", "-o", `${folder}/peak`]);
  await clear(peer);
  // A file for each process.
  const trace = [...Deno.readDirSync(folder)].filter(({ name }) => name.startsWith("trace."))
    .flatMap(({ name }) => Deno.readTextFileSync(`${folder}/${name}`).split("\n"));
  const count = (pattern: RegExp) => trace.filter((line) => pattern.test(line)).length;
  let written = 0;
  for (const line of trace) {
    // Writes to state files, not to pipes.
    const match = /write(?:64)?\(\d+<\/var\/lib\/[^>]*>.* = (\d+)$/.exec(line);
    if (match !== null) written += Number(match[1]);
  }
  const residentKb = Number((await Deno.readTextFile(`${folder}/peak`)).trim().split("\n").at(-1));
  const charged: number[] = [];
  for (let i = 0; i < 5; i++) {
    const peak = await chargedKb(call);
    if (peak !== undefined) charged.push(peak);
    await clear(peer);
  }
  await Deno.remove(folder, { recursive: true });
  return {
    processes: count(/^execve\(.* = 0$/),
    calls: count(/^\w+\(/),
    written,
    syncs: count(/^(fsync|fdatasync)\(/),
    residentKb,
    chargedKb: charged.length > 0 ? median(charged) : undefined,
  };
}

/** Folders of control groups, and the file with a group's peak: version 1, version 2. */
const GROUPS = [
  ["/sys/fs/cgroup/memory", "memory.max_usage_in_bytes"],
  ["/sys/fs/cgroup", "memory.peak"],
] as const;

/** The most that a group of its own is charged with for one call. */
async function chargedKb(call: Call): Promise<number | undefined> {
  for (const [root, peak] of GROUPS) {
    const group = `${root}/atomicni-bench-${Deno.pid}`;
    try {
      Deno.mkdirSync(group);
    } catch {
      continue;
    }
    try {
      const enter = 'echo $$ >"$1"/cgroup.procs && shift && exec "$@"';
      await measure({ ...call, argv: ["/bin/sh", "-c", enter, "sh", group, ...call.argv] });
      return Number(await Deno.readTextFile(`${group}/${peak}`)) / 1024;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    } finally {
      Deno.removeSync(group);
    }
  }
  return undefined;
}

async function clear(peer: Peer): Promise<void> {
  const call = peer.call("DEL", 0, "{}");
  if (call !== undefined) await measure(call);
}
