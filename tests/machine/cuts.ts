import { Disk } from "./disk.ts";
import { type FileSystem, format, mountState } from "./filesystem.ts";
import { History } from "./history.ts";
import type { Machine } from "./machine.ts";
import { PROGRAM } from "./podnet.ts";
import { faultsAfterCut, startStorm } from "./storm.ts";
import { boot } from "./usermode.ts";

/** A cut so many writes after its start finds a storm in any of its steps. */
const WRITES = 45;
/** A storm that writes less than that hangs. */
const STORM_MS = 60_000;

export interface Cuts {
  readonly cuts: number;
  readonly commands: number;
  readonly unflushed: number;
  readonly kept: number;
  readonly faults: readonly string[];
}

/** The same disk through one power cut after the other: boot, check what the last one left, storm, cut. */
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
      // Now and then the power goes again before the machine has come to work.
      const early = random() < 0.15 && cut <= cuts;
      const died = early ? disk.dieAfter(Math.floor(random() * 30)) : new Promise<never>(() => {});
      const found = check(machine, system, history).catch((error) => [`check: ${error}`]);
      const seen = await Promise.race([died, found]);
      if (!early) faults.push(...(seen ?? []).map((it) => `cut ${cut - 1}: ${it}`));
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

async function check(machine: Machine, system: FileSystem, history: History): Promise<string[]> {
  await mountState(machine, system);
  const expected = history.expected();
  const faults = await faultsAfterCut(machine, expected, "use");
  history.reboot();
  const complaints = await machine.sh(
    "dmesg | grep -E 'EXT4-fs error|XFS.*orrupt|Call Trace|BUG:'",
  );
  return complaints.code === 0 ? [...faults, complaints.stdout] : faults;
}

async function storm(machine: Machine, disk: Disk, tag: string, writes: number): Promise<void> {
  startStorm(machine, tag, PROGRAM);
  const slow = new Promise<"slow">((resolve) => setTimeout(() => resolve("slow"), STORM_MS));
  const end = await Promise.race([disk.dieAfter(writes), machine.ended, slow]);
  if (end === "slow") throw new Error(`a storm wrote less than ${writes} blocks in ${STORM_MS} ms`);
}
