import { outputOf } from "./ip.ts";
import type { Pending, Reply, Request } from "./requests.ts";
import { answers, type Deed, labelOf, performSome, type Step } from "./steps.ts";
import {
  type Loose,
  OUTPUTS,
  progressOf,
  setMark,
  setStatus,
  STATES,
  statusOf,
  type World,
} from "./world.ts";

export type { Deed } from "./steps.ts";
type Setting = "killsOnly" | "byLine" | "hasBridge";

/** The possible faults: a run is killed, gets a signal, or its request fails. */
export class Faults {
  readonly #killsOnly: boolean;
  readonly #byLine: boolean;
  readonly #hasBridge: boolean;

  constructor({ killsOnly, byLine, hasBridge }: Readonly<Record<Setting, boolean>>) {
    this.#killsOnly = killsOnly;
    this.#hasBridge = hasBridge;
    this.#byLine = byLine;
  }

  /** The run is killed, with none, the first or all of its `ip` processes started. Started processes continue. */
  kills(before: World, deed: Deed, pending: readonly Pending[]): Step[] {
    const { run, name } = deed;
    const { at } = statusOf(before, run);
    const running = pending.filter(({ request }) => request.kind === "ip");
    const kill = (what: string, loose: readonly Loose[], change?: (world: World) => void): Step => {
      const world = { ...before, faults: before.faults - 1 };
      if (world.lock === name) world.lock = "";
      for (const host in world.marks) if (world.marks[host] === name) setMark(world, host, "");
      // Between the bridge and its ports. `repair` puts the ports back.
      world.isReported ||= !this.#hasBridge;
      change?.(world);
      setStatus(world, run, { phase: "over", at: 0, progress: [], loose });
      return { label: `${name}: KILLED ${what}`, world, run };
    };
    const first = pending.find(({ isNow }) => isNow) ?? pending[0];
    const steps: Step[] = [];
    for (let started = 0; started <= running.length; started++) {
      const begun = running.slice(0, started);
      const loose = begun.filter((it) => !isFlush(it)).map(({ to, request }) => ({
        at,
        to,
        line: progressOf(statusOf(before, run), to).line,
        end: request.kind === "ip" ? request.command.lines.length : 0,
      }));
      const what = started > 0 ? `during ${started} of its ip` : `before ${first?.texts[0]}`;
      steps.push(kill(what, loose, (world) => {
        for (const it of begun.filter(isFlush)) performSome(world, deed, it, false);
      }));
    }
    const unlocking = pending.find(({ request }) => request.kind === "unlock")?.request;
    if (unlocking?.kind === "unlock" && unlocking.state !== undefined) {
      const { state } = unlocking;
      steps.push(kill("between its write and the lock's word", [], (world) => {
        world.state = STATES.numberOf(state);
        world.isWritten = false;
      }));
    }
    return steps;
  }

  /** The possible faults of a pending request, except kills. */
  of(before: World, deed: Deed, pending: Pending): Step[] {
    if (this.#killsOnly) return [];
    const { run } = deed;
    const { to, request } = pending;
    const steps: Step[] = [];
    const add = (what: string, change: (world: World) => Reply) => {
      const world = { ...before, faults: before.faults - 1 };
      const reply = change(world);
      steps.push({ label: `${labelOf(before, deed, pending)}: ${what}`, world, run, to, reply });
    };
    if (request.kind === "ip") this.#failingIp(add, before, deed, pending, request);
    if (request.kind === "unlock" && request.state !== undefined) {
      const { state } = request;
      add("DISK FULL", (world) => {
        world.lock = "";
        return { error: { kind: "IOFailure", message: "disk full" } };
      });
      add("RENAMED, THEN AN I/O ERROR", (world) => {
        world.lock = "";
        world.state = STATES.numberOf(state);
        world.isWritten = false;
        return { error: { kind: "IOFailure", message: "i/o error" } };
      });
    }
    if (request.kind === "lock" && request.stoppable) {
      add("SIGTERM", () => ({
        error: { kind: "TryAgainLater", message: "asked to stop" },
        stop: true,
      }));
    }
    for (const { label, world, reply } of answers(before, deed, pending, this.#byLine)) {
      if (reply === undefined) continue;
      world.faults--;
      steps.push({ label: `${label}: SIGTERM`, world, run, to, reply: { ...reply, stop: true } });
    }
    return steps;
  }

  /** Each remaining line fails, or completes at the time limit, or completes after it. */
  #failingIp(
    add: (what: string, change: (world: World) => Reply) => void,
    before: World,
    deed: Deed,
    pending: Pending,
    { command: { lines } }: Request & { kind: "ip" },
  ): void {
    const { run } = deed;
    const { to } = pending;
    const { at, progress: _, loose } = statusOf(before, run);
    const { line: first } = progressOf(statusOf(before, run), to);
    const isMaking = !this.#hasBridge;
    const late: Reply = { error: { kind: "TryAgainLater", message: "time is up" } };
    for (let line = first; line < (this.#byLine ? first + 1 : lines.length); line++) {
      add(`LINE ${line + 1} FAILS`, (world) => {
        performSome(world, deed, pending, false, line);
        // A run that can't read back its changes fails with a report.
        world.isReported ||= isMaking && /^(addr show|link show type veth)$/.test(
          lines[line]?.join(" ") ?? "",
        );
        const { printed } = progressOf(statusOf(world, run), to);
        return { value: outputOf(OUTPUTS.at(printed), "said no") };
      });
      if (lines[line]?.includes("show")) continue;
      add(`LINE ${line + 1} DONE, TIME IS UP`, (world) => {
        performSome(world, deed, pending, false, line + 1);
        world.isReported ||= isMaking;
        return late;
      });
      // A terminated `ip` completes its kernel call before it ends. The mark records that it may make a veth.
      if (!lines[line]?.includes("veth")) continue;
      add(`LINE ${line + 1} TIME IS UP BEFORE IT IS DONE`, (world) => {
        performSome(world, deed, pending, false, line);
        setStatus(world, run, { loose: [...loose, { at, to, line, end: line + 1 }] });
        return late;
      });
    }
  }
}

/** A late command of these could remove the neighbours of a later owner: it completes at once, or not at all. */
function isFlush({ request }: Pending): boolean {
  return request.kind === "ip" && request.command.lines.every((line) => line.includes("flush"));
}
