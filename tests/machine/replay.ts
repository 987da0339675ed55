import { applyFlush, applyWrite, Disk, type Entry, lose, type Write } from "./disk.ts";
import { type FileSystem, format, mountState } from "./filesystem.ts";
import { type Expected, History } from "./history.ts";
import { scratchFolder } from "./power.ts";
import { quote } from "./command_line.ts";
import { look, startStorm, use } from "./storm.ts";
import { boot } from "./usermode.ts";

const STORM_MS = 180_000;

/** A disk as a cut at one point of the record leaves it. */
interface Point {
  readonly path: string;
  readonly expected: Expected;
}

export interface Replay {
  readonly points: number;
  readonly writes: number;
  readonly flushes: number;
  readonly unflushed: number;
  readonly kept: number;
  readonly commands: number;
  /** Faults seen before any cut. */
  readonly stormFaults: readonly string[];
  /** Faults by point. */
  readonly faults: ReadonlyMap<number, readonly string[]>;
}

export interface ReplayOptions {
  readonly system: FileSystem;
  readonly program: string;
  readonly points: number;
  /** How many of the storm's commands are recorded. */
  readonly commands: number;
  /** The points at which the plugin runs as well; at all others only the state file is checked. */
  readonly useEach: number;
  readonly random: () => number;
}

/** Records one storm and cuts the power at `points` places of the record. */
export async function replay(options: ReplayOptions): Promise<Replay> {
  const { system, points, random } = options;
  const empty = await format(system);
  const { log, start, seen } = await recordStorm(options, empty);
  const places = log.flatMap(({ what }, at) => at >= start && what !== "mark" ? [at] : []);
  if (places.length < points) throw new Error(`${places.length} writes for ${points} points`);
  const chosen = choose(places, points, random);
  using folder = scratchFolder();
  const { made, ...losses } = makeDisks(empty, log, chosen, folder.path, random);
  const faults = await checkDisks(made, options);
  const count = (what: Entry["what"]) => places.filter((at) => log[at]?.what === what).length;
  return {
    points: made.length,
    writes: count("write"),
    flushes: count("flush"),
    commands: seen.commands,
    stormFaults: seen.faults,
    faults,
    ...losses,
  };
}

async function recordStorm({ system, program, commands }: ReplayOptions, empty: Uint8Array) {
  const disk = new Disk(empty.slice());
  const seen = new History();
  const { promise: enough, resolve } = Promise.withResolvers<string>();
  const onLine = (line: string) => {
    disk.mark(line);
    if (seen.take(line) && seen.commands >= commands) resolve("enough");
  };
  await using machine = await boot(disk, { onLine });
  await mountState(machine, system);
  const start = disk.log.length;
  startStorm(machine, "s", program);
  const slow = setTimeout(resolve, STORM_MS, "slow");
  const end = await Promise.race([enough, machine.ended]);
  clearTimeout(slow);
  if (end !== "enough") throw new Error(`the storm ended after ${seen.commands} commands`);
  return { log: [...disk.log], start, seen };
}

function choose(places: readonly number[], count: number, random: () => number): number[] {
  const chosen = new Set<number>();
  while (chosen.size < count) chosen.add(places[Math.floor(random() * places.length)] ?? 0);
  return [...chosen].sort((a, b) => a - b);
}

function makeDisks(
  empty: Uint8Array,
  log: readonly Entry[],
  chosen: readonly number[],
  folder: string,
  random: () => number,
) {
  const history = new History();
  const medium = empty.slice();
  const cache: Write[] = [];
  const made: Point[] = [];
  let [unflushed, kept, done] = [0, 0, 0];
  for (const place of chosen) {
    for (const entry of log.slice(done, place)) {
      if (entry.what === "mark") history.take(entry.text);
      else if (entry.what === "flush") applyFlush(medium, cache);
      else applyWrite(medium, cache, copy(entry), entry.forced);
    }
    done = place;
    const left = medium.slice();
    const last = log[place];
    // A part of the interrupted write may be on the medium.
    const lost = last?.what === "write" && random() < 0.5 ? [...cache, last] : cache;
    const losses = lose(
      left,
      lost,
      [0, 0.5, 0.5, 0.5, 0.9, 1][Math.floor(random() * 6)] ?? 0,
      random,
    );
    unflushed += losses.unflushed;
    kept += losses.kept;
    const path = `${folder}/${place}`;
    writeSparse(path, left);
    made.push({ path, expected: history.expected() });
  }
  return { made, unflushed, kept };
}

/** A forced write changes older ones in the cache; the record stays as it is. */
function copy({ offset, data }: Write): Write {
  return { offset, data: data.slice() };
}

/** Without the zeros. */
function writeSparse(path: string, bytes: Uint8Array): void {
  using file = Deno.openSync(path, { create: true, write: true });
  file.truncateSync(bytes.length);
  const step = 1 << 16;
  for (let at = 0; at < bytes.length; at += step) {
    const part = bytes.subarray(at, at + step);
    if (isZero(part)) continue;
    file.seekSync(at, Deno.SeekMode.Start);
    file.writeSync(part);
  }
}

/** A multiple of the word size; a call for each byte would take longer than the check itself. */
function isZero({ buffer, byteOffset, length }: Uint8Array): boolean {
  const words = new Uint32Array(buffer, byteOffset, length / 4);
  for (let at = 0; at < words.length; at++) if (words[at] !== 0) return false;
  return true;
}

/** One machine mounts one disk after the other; the kernel replays its journal. */
async function checkDisks(points: readonly Point[], { system, useEach }: ReplayOptions) {
  const { type, options = "" } = system;
  const faults = new Map<number, readonly string[]>();
  await using machine = await boot(new Disk(new Uint8Array(1 << 20)));
  const folder = points[0]?.path.replace(/\/[^/]*$/, "") ?? "";
  await machine.must(
    `mkdir /run/disks; mount -t hostfs none /run/disks -o hostfs=${quote(folder)}`,
  );
  for (const [at, { path, expected }] of points.entries()) {
    const disk = `/run/disks/${path.slice(folder.length + 1)}`;
    const mounted = await machine.sh(
      `mount -t ${type} -o loop${options && `,${options}`} ${disk} /var/lib/atomicni`,
    );
    if (mounted.code !== 0) {
      faults.set(at, [`mount: ${mounted.stderr}`]);
      continue;
    }
    const found = await look(machine, expected);
    if (at % useEach === 0) found.push(...await use(machine));
    if (found.length > 0) faults.set(at, found);
    await machine.must("umount /var/lib/atomicni");
  }
  return faults;
}
