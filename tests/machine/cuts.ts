import { Disk } from "./disk.ts";
import { type FileSystem, format, mountState } from "./filesystem.ts";
import { History } from "./history.ts";
import type { Machine } from "./machine.ts";
import { SIZE } from "../size.ts";
import { PROGRAM } from "./command_line.ts";
import { look, startStorm, use } from "./storm.ts";
import { boot } from "./usermode.ts";

/** Writes from the start of a storm to the cut: enough to meet every step, and leases to lose. */
const WRITES = SIZE === "full" ? 150 : 45;
/** A storm that writes less than this hangs. */
const STORM_MS = 120_000;

export interface Cuts {
  readonly cuts: number;
  readonly commands: number;
  readonly unflushed: number;
  readonly kept: number;
  readonly faults: readonly string[];
}

/** The same disk through one power cut after another: boot, check what the last cut left, storm, cut. */
export async function cutAgainAndAgain(
  system: FileSystem,
  cuts: number,
  random: () => number,
): Promise<Cuts> {
  const disk = new Disk(await format(system));
  const history = new History();
  const faults: string[] = [];
  let [unflushed, kept] = [0, 0];
  for (let cut = 1; cut <= cuts + 1; cut++) {
    const onLine = (line: string) => void history.take(line);
    const machine = await boot(disk, { onLine });
    try {
      // Sometimes the power fails again while the machine boots.
      const early = random() < 0.15 && cut <= cuts;
      const died = early ? disk.dieAfter(Math.floor(random() * 30)) : new Promise<never>(() => {});
      const found = (it: string) => void faults.push(`cut ${cut - 1}: ${it}`);
      const checked = check(machine, system, history, found).catch((error) => {
        // Without its disk a machine answers nothing.
        if (!early) throw error;
      });
      await Promise.race([died, checked]);
      if (cut > cuts) break;
      if (!early) await storm(machine, disk, `b${cut}`, Math.floor(random() * WRITES));
    } finally {
      await machine[Symbol.asyncDispose]();
    }
    faults.push(...history.faults.splice(0).map((it) => `storm ${cut}: ${it}`));
    const losses = disk.cut([0, 0, 0.5, 0.5, 0.5, 1][Math.floor(random() * 6)] ?? 0.5, random);
    unflushed += losses.unflushed;
    kept += losses.kept;
  }
  return { cuts, commands: history.commands, unflushed, kept, faults };
}

async function check(
  machine: Machine,
  system: FileSystem,
  history: History,
  found: (fault: string) => void,
): Promise<void> {
  await mountState(machine, system);
  (await look(machine, history.expected())).forEach(found);
  // From now on other attachments may reclaim the leases of dead containers.
  history.reboot();
  (await use(machine)).forEach(found);
  const { stdout } = await machine.sh(
    "dmesg | grep -E 'EXT4-fs error|XFS.*orrupt|Call Trace|BUG:'",
  );
  if (stdout !== "") found(stdout);
}

async function storm(machine: Machine, disk: Disk, tag: string, writes: number): Promise<void> {
  startStorm(machine, tag, PROGRAM);
  const { promise: slow, resolve } = Promise.withResolvers<"slow">();
  const timer = setTimeout(resolve, STORM_MS, "slow");
  const end = await Promise.race([disk.dieAfter(writes), machine.ended, slow]);
  clearTimeout(timer);
  if (end === "slow") throw new Error(`a storm wrote less than ${writes} blocks in ${STORM_MS} ms`);
}
