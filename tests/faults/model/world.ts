import type { State } from "../../../lib/ipam.ts";
import { Interned } from "./interned.ts";
import { perform } from "./ip.ts";
import type { ModelKernel } from "./kernel.ts";

/** The progress and the output of an `ip` that a run waits for. */
export interface Progress {
  /** Which of the run's requests it is. */
  readonly to: number;
  readonly line: number;
  readonly printed: number;
}

/** An `ip` that outlives its run, or was abandoned by it. */
export interface Loose {
  /** The point of its request, and the index of the request. */
  readonly at: number;
  readonly to: number;
  /** The remaining lines. */
  readonly line: number;
  readonly end: number;
}

/** The progress of one run. */
export interface Status {
  /** Its point; see `Automaton`. */
  readonly at: number;
  readonly progress: readonly Progress[];
  readonly loose: readonly Loose[];
  readonly phase: "waiting" | "running" | "over";
}

/** The whole model at one moment. It is small because there are many: kernel, state and output are indices of interned values. */
export interface World {
  kernel: number;
  state: number;
  /** Whether the lock's record matches the present state. */
  isWritten: boolean;
  lock: string;
  /** The run that holds the mark of an ADD, by host veth; empty if the run was killed. */
  marks: Readonly<Record<string, string>>;
  faults: number;
  /** Whether a failed repair of a port was reported, or no run was left to report it. */
  isReported: boolean;
  /** Addresses of attachments that no run may disturb, by key. */
  live: Readonly<Record<string, readonly string[]>>;
  /** ADDs in progress while their attachment is removed. Their result is not guaranteed. */
  doomed: readonly string[];
  status: readonly Status[];
}

export const KERNELS = new Interned<ModelKernel>();
export const STATES = new Interned<State | null>();
export const OUTPUTS = new Interned<readonly unknown[][]>();

export function keyOf(world: World): string {
  const { kernel, state, isWritten, isReported, lock, marks, faults, live, doomed, status } = world;
  let key = `${kernel} ${state} ${isWritten ? 1 : 0}${isReported ? 1 : 0}${lock} ${faults}`;
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
