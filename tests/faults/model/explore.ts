import type { State } from "../../../lib/ipam.ts";
import { type Deed, Faults } from "./faults.ts";
import { broken, detached, leftBy, leftOver, type Rules } from "./invariants.ts";
import type { ModelKernel } from "./kernel.ts";
import { Automaton, type Program } from "./process.ts";
import type { Pending } from "./requests.ts";
import { answers, finishLoose, type Step } from "./steps.ts";
import { KERNELS, keyOf, setStatus, STATES, type Status, statusOf, type World } from "./world.ts";

/** A program and its input. */
export interface Run extends Program {
  /** The attachment of an ADD or DEL. */
  readonly key?: string;
  /** The attachments that a GC has to keep. */
  readonly keep?: readonly string[];
}

export interface Scenario extends Rules {
  readonly kernel: ModelKernel;
  readonly state: State | null;
  /** Addresses of attachments that are live at the start, by key. */
  readonly live: Readonly<Record<string, readonly string[]>>;
  readonly runs: readonly Run[];
  /** DELs that follow one after the other when all of `runs` have ended. After them, nothing may be left. */
  readonly after: readonly Run[];
  /**
   * Whether an `ip` of an ended run may act after the DELs have begun. It may not if an ADD repeats an attachment: its veth
   * could replace the attachment's veth, which the DEL removed without waiting.
   */
  readonly mayBeLate: boolean;
  /** How many faults a history may have. */
  readonly faults: number;
  /** Whether the faults are only kills, or also failing steps, time limits and signals. */
  readonly killsOnly: boolean;
  /** Whether other runs may act between two lines of one `ip -batch`. Faults always may. */
  readonly byLine: boolean;
}

export interface Explored {
  readonly states: number;
  /** The shortest history that breaks an invariant. Its last line names the invariant. */
  readonly broken?: readonly string[];
}

/** Visits every state that is reachable by any order of steps and faults, breadth first. */
export async function explore(scenario: Scenario): Promise<Explored> {
  return await new Explorer(scenario).explore();
}

class Explorer {
  readonly #scenario: Scenario;
  readonly #runs: readonly Run[];
  readonly #automata: readonly Automaton[];
  readonly #seen = new Map<string, number>();
  readonly #parents: number[] = [];
  readonly #labels: string[] = [];
  readonly #faults: Faults;
  /** No other run uses the marks, so operations on them are not separate steps. */
  readonly #marksAreOwn: boolean;

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#runs = [...scenario.runs, ...scenario.after];
    this.#automata = this.#runs.map((run) => new Automaton(run));
    this.#faults = new Faults(scenario);
    const keys = scenario.runs.map(({ key }) => key);
    this.#marksAreOwn = new Set(keys).size === keys.length && !keys.includes(undefined);
  }

  async explore(): Promise<Explored> {
    let frontier = [await this.#first()];
    this.#isNew(keyOf(frontier[0] as World), -1, "");
    while (frontier.length > 0) {
      const further: World[] = [];
      for (const world of frontier) {
        const number = this.#seen.get(keyOf(world)) ?? 0;
        for (const step of this.#steps(world)) {
          const wrong = await this.#take(step);
          const next = step.world;
          const isNew = this.#isNew(keyOf(next), number, step.label);
          const found = wrong ?? (isNew ? broken(next, this.#scenario) : undefined);
          if (isNew) further.push(next);
          if (found !== undefined) {
            const broken = [...this.#historyTo(number), step.label, `→ ${found}`];
            return { states: this.#seen.size, broken };
          }
        }
      }
      frontier = further;
    }
    return { states: this.#seen.size };
  }

  async #first(): Promise<World> {
    const { kernel, state, live, faults, runs } = this.#scenario;
    const status: Status[] = [];
    for (const index of this.#runs.keys()) {
      const { id: at } = await this.#automaton(index).start();
      const phase = index < runs.length ? "running" : "waiting";
      status.push({ at, progress: [], loose: [], phase });
    }
    return {
      kernel: KERNELS.numberOf(kernel),
      state: STATES.numberOf(state),
      isWritten: state !== null,
      lock: "",
      marks: {},
      faults,
      isReported: false,
      live,
      doomed: [],
      status,
    };
  }

  #isNew(key: string, parent: number, label: string): boolean {
    if (this.#seen.has(key)) return false;
    this.#seen.set(key, this.#seen.size);
    this.#parents.push(parent);
    this.#labels.push(label);
    return true;
  }

  #historyTo(number: number): string[] {
    const labels: string[] = [];
    for (let at = number; at > 0; at = this.#parents[at] ?? -1) {
      labels.unshift(this.#labels[at] ?? "");
    }
    return labels;
  }

  #automaton(run: number): Automaton {
    const automaton = this.#automata[run];
    if (automaton === undefined) throw new Error(`no run ${run}`);
    return automaton;
  }

  #steps(world: World): Step[] {
    const steps: Step[] = [];
    for (const [run, { name }] of this.#runs.entries()) {
      const { phase, at, loose } = statusOf(world, run);
      if (loose.length > 0) {
        steps.push(...finishLoose(world, this.#deed(run, name), this.#scenario.byLine));
      }
      if (phase !== "running") continue;
      const { pending } = this.#automaton(run).at(at);
      const deed = this.#deed(run, name);
      for (const it of asked(pending)) {
        steps.push(...answers(world, deed, it, this.#scenario.byLine));
        if (world.faults > 0) steps.push(...this.#faults.of(world, deed, it));
      }
      if (world.faults > 0) steps.push(...this.#faults.kills(world, deed, pending));
    }
    const { mayBeLate } = this.#scenario;
    const isQuiet = world.status.every(({ phase, loose }) =>
      phase !== "running" && (mayBeLate || loose.length === 0)
    );
    return isQuiet ? [...steps, ...this.#next(world)] : steps;
  }

  #deed(run: number, name: string): Deed {
    const automaton = this.#automaton(run);
    return { run, name, pendingAt: (at) => automaton.at(at).pending };
  }

  /**
   * Starts the next final DEL, without faults, after all runs have ended. An `ip` of a run may still be in progress. The
   * history before it is dropped.
   */
  #next(world: World): Step[] {
    const { runs, after } = this.#scenario;
    const next = world.status.findIndex(({ phase }) => phase === "waiting");
    const isFirst = next === runs.length;
    if (next < 0) return [];
    const begun: World = { ...world, faults: 0, isReported: false, live: {}, doomed: [] };
    const over = { at: 0, progress: [], phase: "over" } as const;
    begun.status = world.status.map((it, run) => run < next ? { ...it, ...over } : it);
    setStatus(begun, next, { phase: "running" });
    const wrong = isFirst ? this.#settled(world) : undefined;
    const name = after[next - runs.length]?.name ?? "";
    return [{ label: `${name} afterwards`, world: begun, run: next, ...(wrong && { wrong }) }];
  }

  /** After a run found the bridge missing and another ADD succeeded, the network's ports are in the new bridge. */
  #settled(world: World): string | undefined {
    const { hasBridge, runs, live } = this.#scenario;
    const hasSucceeded = runs.some(({ key }) =>
      key !== undefined && key in world.live && !(key in live)
    );
    const isQuiet = world.status.every(({ loose }) => loose.length === 0);
    return hasBridge || !hasSucceeded || !isQuiet || world.isReported
      ? undefined
      : detached(world, this.#scenario);
  }

  /** Passes the reply to the run, and the replies to requests that no other run can disturb. Returns a broken invariant. */
  async #take(step: Step): Promise<string | undefined> {
    const { world, run } = step;
    if (step.wrong !== undefined) return step.wrong;
    let wrong = step.reply && await this.#goOn(world, run, step.to ?? 0, step.reply);
    for (;;) {
      const { phase, at } = statusOf(world, run);
      if (wrong !== undefined) return wrong;
      if (phase !== "running") break;
      const [only] = asked(this.#automaton(run).at(at).pending);
      const isAfter = run >= this.#scenario.runs.length;
      const isAlone = only !== undefined && only.request.kind !== "ip" &&
        only.request.kind !== "wait" &&
        (isAfter || only.request.kind === "mark" && this.#marksAreOwn);
      if (!isAlone) break;
      const [next] = answers(world, this.#deed(run, this.#runs[run]?.name ?? ""), only, false);
      if (next?.reply === undefined) break;
      Object.assign(world, next.world);
      wrong = await this.#goOn(world, run, only.to, next.reply);
    }
    return wrong ?? this.#left(world);
  }

  /** Checks the end: the last DEL has ended and no `ip` is in progress. */
  #left(world: World): string | undefined {
    const isOver = world.status.every(({ phase, loose }) => phase === "over" && loose.length === 0);
    const left = isOver ? leftOver(world) : undefined;
    return left && `after a DEL of each ${left}`;
  }

  async #goOn(world: World, index: number, to: number, reply: Step["reply"]) {
    const run = this.#runs[index];
    if (run === undefined || reply === undefined) throw new Error(`no run ${index}`);
    const automaton = this.#automaton(index);
    const status = statusOf(world, index);
    if (!isBegun(status)) this.#excuse(world, run);
    const here = automaton.at(status.at);
    const answered = { to, reply };
    const { id, end } = here.next.get(JSON.stringify(answered)) ??
      await automaton.follow(here, answered);
    setStatus(world, index, { at: id, progress: status.progress.filter((it) => it.to !== to) });
    if (end === undefined) return undefined;
    setStatus(world, index, { phase: "over", at: 0, progress: [] });
    world.isReported ||= end.hasWarned;
    return this.#ended(world, run, index, end.failed);
  }

  /** The invariant that the end of a run breaks. */
  #ended(world: World, run: Run, index: number, failed: string | undefined): string | undefined {
    const isAfter = index >= this.#scenario.runs.length;
    if (isAfter && failed !== undefined) return `${run.name} afterwards failed: ${failed}`;
    if (run.kind !== "ADD" || run.key === undefined) return this.#left(world);
    if (failed !== undefined) {
      // After a time limit, the run's ip may still complete, so its mark stays for the DEL.
      const isMarked = Object.values(world.marks).includes("");
      const isReported = failed.includes("next DEL will") || isMarked ||
        statusOf(world, index).loose.length > 0;
      return isReported ? undefined : leftBy(world, run.name);
    }
    if (this.#isRemoved(world, run.key) || world.doomed.includes(run.name)) return undefined;
    const addresses = STATES.at(world.state)?.containerToIP[run.key];
    if (addresses === undefined) return `${run.name} succeeded without a lease`;
    world.live = { ...world.live, [run.key]: [addresses].flat() };
    return undefined;
  }

  /** From here on, the attachments that this run removes may disappear, including those of concurrent ADDs. */
  #excuse(world: World, run: Run): void {
    const live = Object.entries(world.live).filter(([owner]) => !mayRemove(run, owner));
    world.live = Object.fromEntries(live);
    const doomed = this.#runs.filter(({ kind, key }, index) => {
      const status = statusOf(world, index);
      const isUnderWay = status.phase === "running" && isBegun(status);
      return kind === "ADD" && key !== undefined && mayRemove(run, key) && isUnderWay;
    }).map(({ name }) => name);
    if (run.kind === "ADD" && run.key !== undefined && this.#isRemoved(world, run.key)) {
      doomed.push(run.name);
    }
    world.doomed = [...new Set([...world.doomed, ...doomed])].sort();
  }

  /** Whether a run that removes the attachment is in progress, or its `ip` may be. */
  #isRemoved(world: World, key: string): boolean {
    return this.#runs.some((run, index) => {
      const status = statusOf(world, index);
      const begun = status.loose.length > 0 || status.phase === "running" && isBegun(status);
      return begun && mayRemove(run, key);
    });
  }
}

/** The requests that may be answered now. A request that blocks the run comes before all others. */
function asked(pending: readonly Pending[]): readonly Pending[] {
  const now = pending.filter(({ isNow }) => isNow);
  return now.length > 0 ? now : pending;
}

function isBegun({ at, progress }: Status): boolean {
  return at > 0 || progress.length > 0;
}

function mayRemove({ kind, key, keep }: Run, owner: string): boolean {
  return kind === "DEL" ? key === owner : kind === "GC" && keep !== undefined &&
    !keep.includes(owner);
}
