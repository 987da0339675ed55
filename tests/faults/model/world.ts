import type { State } from "../../../lib/ledger.ts";
import { Interned } from "./interned.ts";
import { type ModelKernel, perform } from "./ip.ts";

/** How far one run has come. */
export interface Status {
  /** Its point; see `Automaton`. */
  readonly at: number;
  /** How far the pending batch has come, and what it printed. */
  readonly line: number;
  readonly printed: number;
  /** An orphan is the `ip` of a run that was killed. */
  readonly phase: "waiting" | "running" | "orphan" | "over";
}

/** Everything at one moment. Small, for there are many: kernel, state and output are numbers of interned things. */
export interface World {
  kernel: number;
  state: number;
  lock: string;
  faults: number;
  /** Addresses of attachments that nobody may disturb, by key. */
  live: Readonly<Record<string, string>>;
  status: readonly Status[];
}

export const KERNELS = new Interned<ModelKernel>();
export const STATES = new Interned<State | null>();
export const OUTPUTS = new Interned<readonly unknown[][]>();

export function keyOf({ kernel, state, lock, faults, live, status }: World): string {
  let key = `${kernel} ${state} ${lock} ${faults}`;
  for (const owner in live) key += ` ${owner}${live[owner]}`;
  for (const { at, line, printed, phase } of status) key += ` ${at},${line},${printed}${phase[0]}`;
  return key;
}

export function copyOf(world: World): World {
  return { ...world };
}

export function statusOf(world: World, run: number): Status {
  const status = world.status[run];
  if (status === undefined) throw new Error(`no run ${run}`);
  return status;
}

export function setStatus(world: World, run: number, change: Partial<Status>): void {
  world.status = world.status.with(run, { ...statusOf(world, run), ...change });
}

interface Performed {
  readonly kernel: number;
  readonly printed?: unknown[];
  readonly refused?: string;
}

const PERFORMED = new Map<string, Performed>();

/** Performs one line of the `ip` that a run waits for; returns why the kernel refused it. */
export function performLine(
  world: World,
  run: number,
  by: string,
  netns: string,
  line: readonly string[],
): string | undefined {
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
  if (performed.refused !== undefined) return performed.refused;
  const { line: at, printed } = statusOf(world, run);
  setStatus(world, run, {
    line: at + 1,
    ...(performed.printed && {
      printed: OUTPUTS.numberOf([...OUTPUTS.at(printed), performed.printed]),
    }),
  });
  return undefined;
}

/** The invariants (DESIGN §1, §3); what is wrong, or nothing. */
export function broken(world: World): string | undefined {
  const state = STATES.at(world.state);
  const holders = new Map<string, string>();
  for (const { netns, addresses } of KERNELS.at(world.kernel).links) {
    if (netns === "") continue;
    for (const address of addresses) {
      const ip = address.split("/")[0] ?? "";
      const other = holders.get(ip);
      if (other !== undefined) return `${ip} is in two containers, ${other} and ${netns}`;
      holders.set(ip, netns);
      const owner = state?.ipToContainer[ip];
      if (owner !== `${netns}/eth0`) return `${netns} has ${ip}, the lease of ${owner ?? "nobody"}`;
    }
  }
  for (const key in world.live) {
    const ip = world.live[key] ?? "";
    if (holders.get(ip) !== key.split("/")[0]) return `the live ${key} lost ${ip}`;
  }
  return undefined;
}

/** What is left of veths and leases. */
export function leftOver({ kernel, state }: World): string | undefined {
  const veth = KERNELS.at(kernel).links.find(({ kind }) => kind === "veth");
  if (veth !== undefined) return `the veth ${veth.name} is left`;
  const [owner] = Object.keys(STATES.at(state)?.containerToIP ?? {});
  return owner === undefined ? undefined : `the lease of ${owner} is left`;
}

/** A failed ADD that says nothing of an undo that failed has left nothing of its own. */
export function leftBy({ kernel, state }: World, name: string): string | undefined {
  const mine = name.charCodeAt(0).toString(16);
  const mac = `fe:${[mine, mine, mine, mine, mine].join(":")}`;
  if (KERNELS.at(kernel).links.some((link) => link.kind === "veth" && link.mac === mac)) {
    return `${name} failed and left its veth`;
  }
  return Object.values(STATES.at(state)?.leases ?? {}).some(({ veth }) => veth === mac)
    ? `${name} failed and left its lease`
    : undefined;
}
