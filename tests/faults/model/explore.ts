import type { State } from "../../../lib/ledger.ts";
import { type ModelKernel, outputOf } from "./ip.ts";
import { Automaton, type Program, type Reply, type Request } from "./process.ts";
import {
  broken,
  copyOf,
  KERNELS,
  keyOf,
  leftBy,
  leftOver,
  OUTPUTS,
  performLine,
  setStatus,
  STATES,
  type Status,
  statusOf,
  type World,
} from "./world.ts";

/** A program, and what it is asked to do. */
export interface Run extends Program {
  /** The attachment of an ADD or DEL. */
  readonly key?: string;
  /** What a GC was told to keep. */
  readonly keep?: readonly string[];
}

export interface Scenario {
  readonly kernel: ModelKernel;
  readonly state: State | null;
  /** Addresses of attachments that are live at the start, by key. */
  readonly live: Readonly<Record<string, string>>;
  readonly runs: readonly Run[];
  /** One after the other when all of `runs` are over; then nothing may be left. */
  readonly after: readonly Run[];
  /** How many faults a history may have, */
  readonly faults: number;
  /** and whether kills alone, or failing steps, time limits and signals too. */
  readonly killsOnly: boolean;
  /** Whether others may come between two lines of one `ip -batch`. Faults do in any case. */
  readonly byLine: boolean;
}

export interface Explored {
  readonly states: number;
  /** The shortest history that breaks an invariant; its last line says which. */
  readonly broken?: readonly string[];
}

/** One thing that can happen next. */
interface Step {
  readonly label: string;
  readonly world: World;
  readonly run: number;
  /** What the run goes on with. */
  readonly reply?: Reply;
}

/** Visits every state that any order of steps and any place of the faults leads to, the nearest first. */
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
  readonly #finished = new Set<string>();

  constructor(scenario: Scenario) {
    this.#scenario = scenario;
    this.#runs = [...scenario.runs, ...scenario.after];
    this.#automata = this.#runs.map((run) => new Automaton(run));
  }

  async explore(): Promise<Explored> {
    let frontier = [await this.#first()];
    this.#isNew(keyOf(frontier[0] as World), -1, "");
    while (frontier.length > 0) {
      const further: World[] = [];
      for (const world of frontier) {
        const number = this.#seen.get(keyOf(world)) ?? 0;
        for (const step of this.#steps(world)) {
          const next = step.world;
          const wrong = step.reply && await this.#goOn(next, step.run, step.reply);
          const isNew = this.#isNew(keyOf(next), number, step.label);
          const found = wrong ?? (isNew ? broken(next) ?? await this.#finish(next) : undefined);
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
      status.push({ at, line: 0, printed: OUTPUTS.numberOf([]), phase });
    }
    return {
      kernel: KERNELS.numberOf(kernel),
      state: STATES.numberOf(state),
      lock: "",
      faults,
      live,
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
      const { phase, at, line } = statusOf(world, run);
      if (phase !== "running" && phase !== "orphan") continue;
      const { request, texts } = this.#automaton(run).at(at);
      if (phase === "running") {
        steps.push(...this.#answers(world, run, request));
        if (world.faults > 0) steps.push(...this.#faults(world, run, request));
      } else if (request.kind === "ip") {
        const next = copyOf(world);
        if (this.#perform(next, run, request) !== "more") over(next, run);
        steps.push({ label: `${name}, killed: its ip goes on: ${texts[line]}`, world: next, run });
      }
    }
    return steps;
  }

  /** Performs the pending `ip`, or one line of it where others may come between; an array says why it is refused. */
  #perform(world: World, run: number, { command }: Request & { kind: "ip" }): Done {
    const { netns, lines } = command;
    for (;;) {
      const { line } = statusOf(world, run);
      const refused = performLine(world, run, this.#name(run), netns, lines[line] ?? []);
      if (refused !== undefined) return [refused];
      if (line + 1 === lines.length) return "done";
      if (this.#scenario.byLine) return "more";
    }
  }

  #name(run: number): string {
    return this.#runs[run]?.name ?? "";
  }

  #label(world: World, run: number): string {
    const { at, line } = statusOf(world, run);
    return `${this.#name(run)}: ${this.#automaton(run).at(at).texts[line]}`;
  }

  /** What happens where nothing goes wrong; nothing where it has to wait. */
  #answers(before: World, run: number, request: Request): Step[] {
    const world = copyOf(before);
    const label = this.#label(before, run);
    switch (request.kind) {
      case "read":
        return [{ label, world, run, reply: stored(world) }];
      case "lock":
        if (world.lock !== "") return [];
        world.lock = this.#name(run);
        return [{ label, world, run, reply: stored(world) }];
      case "unlock":
        world.lock = "";
        if (request.state !== undefined) world.state = STATES.numberOf(request.state);
        return [{ label, world, run, reply: {} }];
      case "ip": {
        const done = this.#perform(world, run, request);
        if (done === "more") return [{ label, world, run }];
        const printed = OUTPUTS.at(statusOf(world, run).printed);
        const value = outputOf(printed, done === "done" ? undefined : done[0]);
        return [{ label, world, run, reply: { value } }];
      }
      case "end":
        return [];
    }
  }

  /** What can go wrong with the pending request: the run is killed, told to stop, or the request fails. */
  #faults(before: World, run: number, request: Request): Step[] {
    const steps: Step[] = [];
    const add = (what: string, change: (world: World) => Reply | undefined) => {
      const world = { ...before, faults: before.faults - 1 };
      const reply = change(world);
      const label = `${this.#label(before, run)}: ${what}`;
      steps.push({ label, world, run, ...(reply && { reply }) });
    };
    const freeLock = (world: World) => {
      if (world.lock === this.#name(run)) world.lock = "";
    };
    add("KILLED before", (world) => {
      freeLock(world);
      over(world, run);
      return undefined;
    });
    if (request.kind === "ip") {
      add("KILLED during", (world) => {
        freeLock(world);
        setStatus(world, run, { phase: "orphan" });
        return undefined;
      });
    }
    if (this.#scenario.killsOnly) return steps;
    if (request.kind === "ip") this.#failingIp(add, before, run, request);
    if (request.kind === "unlock" && request.state !== undefined) {
      const { state } = request;
      add("DISK FULL", (world) => {
        world.lock = "";
        return { error: { code: 5, message: "disk full" } };
      });
      add("RENAMED, THEN AN I/O ERROR", (world) => {
        world.lock = "";
        world.state = STATES.numberOf(state);
        return { error: { code: 5, message: "i/o error" } };
      });
    }
    if (request.kind === "lock" && request.stoppable) {
      add("SIGTERM", () => ({ error: { code: 11, message: "told to stop" }, stop: true }));
    }
    for (const { label, world, reply } of this.#answers(before, run, request)) {
      if (reply === undefined) continue;
      world.faults--;
      steps.push({ label: `${label}: SIGTERM`, world, run, reply: { ...reply, stop: true } });
    }
    return steps;
  }

  /** Each line that is still to come fails, or is done when time is up. */
  #failingIp(
    add: (what: string, change: (world: World) => Reply) => void,
    before: World,
    run: number,
    { command: { netns, lines } }: Request & { kind: "ip" },
  ): void {
    const { line: first } = statusOf(before, run);
    const perform = (world: World, end: number) => {
      for (let line = first; line < end; line++) {
        performLine(world, run, this.#name(run), netns, lines[line] ?? []);
      }
    };
    for (let line = first; line < (this.#scenario.byLine ? first + 1 : lines.length); line++) {
      add(`LINE ${line + 1} FAILS`, (world) => {
        perform(world, line);
        return { value: outputOf(OUTPUTS.at(statusOf(world, run).printed), "said no") };
      });
      if (lines[line]?.includes("show")) continue;
      add(`LINE ${line + 1} DONE, TIME IS UP`, (world) => {
        perform(world, line + 1);
        return { error: { code: 11, message: "time is up" } };
      });
    }
  }

  /** Gives a run its reply. Returns what is wrong with how it ended. */
  async #goOn(world: World, index: number, reply: Reply): Promise<string | undefined> {
    const run = this.#runs[index];
    if (run === undefined) throw new Error(`no run ${index}`);
    const automaton = this.#automaton(index);
    const status = statusOf(world, index);
    if (!isBegun(status)) excuse(world, run);
    const here = automaton.at(status.at);
    const { id, request } = here.next.get(JSON.stringify(reply)) ??
      await automaton.follow(here, reply);
    setStatus(world, index, { at: id, line: 0, printed: OUTPUTS.numberOf([]) });
    if (request.kind !== "end") return undefined;
    over(world, index);
    const { failed } = request;
    if (run.kind !== "ADD" || run.key === undefined) return undefined;
    if (failed !== undefined) {
      return failed.includes("next DEL will") ? undefined : leftBy(world, run.name);
    }
    if (this.#isRemoved(world, run.key)) return undefined;
    const address = STATES.at(world.state)?.containerToIP[run.key];
    if (address === undefined) return `${run.name} succeeded without a lease`;
    world.live = { ...world.live, [run.key]: address };
    return undefined;
  }

  /** Is a run under way, or may its `ip` be, that is to remove that attachment? */
  #isRemoved(world: World, key: string): boolean {
    return this.#runs.some((run, index) => {
      const status = statusOf(world, index);
      const begun = status.phase === "orphan" ||
        status.phase === "running" && isBegun(status);
      return begun && mayRemove(run, key);
    });
  }

  /**
   * Where all runs are over: one DEL of each attachment, without faults, and what is left then. It depends on kernel
   * and state alone, so it is done once for each.
   */
  async #finish(world: World): Promise<string | undefined> {
    if (world.status.some(({ phase }) => phase === "running" || phase === "orphan")) {
      return undefined;
    }
    const key = `${world.kernel} ${world.state}`;
    if (this.#finished.has(key)) return undefined;
    this.#finished.add(key);
    let end: World = { ...world, faults: 0 };
    for (const run of this.#runs.keys()) {
      if (statusOf(end, run).phase !== "waiting") continue;
      setStatus(end, run, { phase: "running" });
      while (statusOf(end, run).phase === "running") {
        const [step] = this.#steps(end);
        if (step === undefined) return "a DEL afterwards never ends";
        end = step.world;
        const wrong = step.reply && await this.#goOn(end, run, step.reply) || broken(end);
        if (wrong !== undefined) return `in the DELs afterwards: ${wrong}`;
      }
    }
    const left = leftOver(end);
    return left && `after a DEL of each ${left}`;
  }
}

type Done = "more" | "done" | readonly [string];

function stored({ state }: World): Reply {
  return { value: STATES.at(state) };
}

function over(world: World, run: number): void {
  setStatus(world, run, { phase: "over", line: 0, printed: OUTPUTS.numberOf([]) });
}

function isBegun({ at, line }: Status): boolean {
  return at > 0 || line > 0;
}

function mayRemove({ kind, key, keep }: Run, owner: string): boolean {
  return kind === "DEL" ? key === owner : kind === "GC" && keep !== undefined &&
    !keep.includes(owner);
}

/** From here on the attachments that this run is to remove may go. */
function excuse(world: World, run: Run): void {
  const live = Object.entries(world.live).filter(([owner]) => !mayRemove(run, owner));
  world.live = Object.fromEntries(live);
}
