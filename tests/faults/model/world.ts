import type { State } from "../../../lib/ipam.ts";
import { Interned } from "./interned.ts";
import { perform } from "./ip.ts";
import type { ModelKernel } from "./kernel.ts";

/** How far an `ip` that a run waits for has come, and what it printed. */
export interface Progress {
  /** Which of the run's requests it is. */
  readonly to: number;
  readonly line: number;
  readonly printed: number;
}

/** An `ip` that nobody waits for any more: that of a run that was killed, or one that was given up. */
export interface Loose {
  /** The point at which it was asked for, and which request it is. */
  readonly at: number;
  readonly to: number;
  /** The lines it has still to do. */
  readonly line: number;
  readonly end: number;
}

/** How far one run has come. */
export interface Status {
  /** Its point; see `Automaton`. */
  readonly at: number;
  readonly progress: readonly Progress[];
  readonly loose: readonly Loose[];
  readonly phase: "waiting" | "running" | "over";
}

/** Everything at one moment. Small, for there are many: kernel, state and output are numbers of interned things. */
export interface World {
  kernel: number;
  state: number;
  /** The lock's word is of the state that stands. */
  isWritten: boolean;
  lock: string;
  /** Who holds the mark of an ADD, by host veth; empty where it died. */
  marks: Readonly<Record<string, string>>;
  faults: number;
  /** What was not put right was told, or nobody was left to do it. */
  isTold: boolean;
  /** Addresses of attachments that nobody may disturb, by key. */
  live: Readonly<Record<string, readonly string[]>>;
  /** ADDs that go on while their attachment is removed: nobody can count on what they made. */
  doomed: readonly string[];
  status: readonly Status[];
}

export const KERNELS = new Interned<ModelKernel>();
export const STATES = new Interned<State | null>();
export const OUTPUTS = new Interned<readonly unknown[][]>();

export function keyOf(world: World): string {
  const { kernel, state, isWritten, isTold, lock, marks, faults, live, doomed, status } = world;
  let key = `${kernel} ${state} ${isWritten ? 1 : 0}${isTold ? 1 : 0}${lock} ${faults}`;
  for (const host in marks) key += ` ${host}${marks[host]}`;
  for (const owner in live) key += ` ${owner}${live[owner]}`;
  if (doomed.length > 0) key += ` -${doomed}`;
  for (const { at, progress, loose, phase } of status) {
    key += ` ${at}${phase[0]}`;
    for (const { to, line, printed } of progress) key += `,${to}.${line}.${printed}`;
    for (const { at, to, line, end } of loose) key += `;${at}.${to}.${line}.${end}`;
  }
  return key;
}

export function statusOf(world: World, run: number): Status {
  const status = world.status[run];
  if (status === undefined) throw new Error(`no run ${run}`);
  return status;
}

export function setStatus(world: World, run: number, change: Partial<Status>): void {
  world.status = world.status.with(run, { ...statusOf(world, run), ...change });
}

export function progressOf({ progress }: Status, to: number): Progress {
  return progress.find((it) => it.to === to) ?? { to, line: 0, printed: OUTPUTS.numberOf([]) };
}

export function setMark(world: World, host: string, holder: string | undefined): void {
  const others = Object.entries(world.marks).filter(([it]) => it !== host);
  const own = holder === undefined ? [] : [[host, holder] as const];
  world.marks = Object.fromEntries([...others, ...own].sort(([a], [b]) => a < b ? -1 : 1));
}

interface Performed {
  readonly kernel: number;
  readonly printed?: unknown[];
  readonly refused?: string;
}

const PERFORMED = new Map<string, Performed>();

/** Performs one line of an `ip`; returns what it printed, or why the kernel refused it. */
export function performLine(
  world: World,
  by: string,
  netns: string,
  line: readonly string[],
): Performed {
  const key = `${world.kernel} ${by} ${netns} ${line.join(" ")}`;
  let performed = PERFORMED.get(key);
  if (performed === undefined) {
    const kernel = structuredClone(KERNELS.at(world.kernel));
    const result = perform(kernel, by, netns, line);
    performed = {
      kernel: KERNELS.numberOf(kernel),
      ...(typeof result === "string" ? { refused: result } : result && { printed: result }),
    };
    PERFORMED.set(key, performed);
  }
  world.kernel = performed.kernel;
  return performed;
}
