import { outputOf } from "./ip.ts";
import type { Pending, Reply, Request } from "./requests.ts";
import {
  type Loose,
  OUTPUTS,
  performLine,
  progressOf,
  setMark,
  setStatus,
  STATES,
  statusOf,
  type World,
} from "./world.ts";

/** A run in the form of the steps. */
export interface Deed {
  readonly run: number;
  readonly name: string;
  readonly pendingAt: (at: number) => readonly Pending[];
}

/** One thing that can happen next. */
export interface Step {
  readonly label: string;
  readonly world: World;
  readonly run: number;
  /** The reply to the run, and the request that it answers. */
  readonly to?: number;
  readonly reply?: Reply;
  readonly wrong?: string;
}

/** How long an `ip` may outlive its run, in milliseconds. After that time, a DEL is safe. */
const LATEST_MS = 2_000;

/** The next step without a fault; empty if the run has to wait. */
export function answers(before: World, deed: Deed, pending: Pending, byLine: boolean): Step[] {
  const { request, to } = pending;
  const { run, name } = deed;
  const world = { ...before };
  const label = labelOf(before, deed, pending);
  const done = (reply: Reply) => [{ label, world, run, to, reply }];
  switch (request.kind) {
    case "read":
      return done({ value: STATES.at(world.state) });
    case "lock":
      if (world.lock !== "") return [];
      world.lock = name;
      return done({ value: { state: STATES.at(world.state), isWritten: world.isWritten } });
    case "unlock":
      world.lock = "";
      if (request.state !== undefined) {
        world.state = STATES.numberOf(request.state);
        world.isWritten = request.isWhole === true;
      }
      return done({});
    case "wait": {
      const isOver = world.status.every(({ loose }) => loose.length === 0);
      return request.waited < LATEST_MS || isOver ? done({}) : [];
    }
    case "mark":
      return done(mark(world, name, request));
    case "ip": {
      const end = performSome(world, deed, pending, byLine);
      if (end === "more") return [{ label, world, run }];
      const { printed } = progressOf(statusOf(world, run), to);
      return done({ value: outputOf(OUTPUTS.at(printed), end.refused) });
    }
  }
}

function mark(world: World, name: string, { what, host }: Request & { kind: "mark" }): Reply {
  const holder = world.marks[host];
  switch (what) {
    case "begin":
      if (holder) {
        return { error: { kind: "TryAgainLater", message: "another ADD is in progress" } };
      }
      setMark(world, host, name);
      return { value: holder === "" ? "died" : "none" };
    case "end":
      setMark(world, host, undefined);
      return {};
    case "leave":
      setMark(world, host, "");
      return {};
    case "clear":
      if (holder === "") setMark(world, host, undefined);
      return {};
    case "look":
      return { value: holder === undefined ? "none" : holder === "" ? "died" : "running" };
    case "all":
      return {
        value: Object.entries(world.marks).map((
          [of, by],
        ): [string, string] => [of, by === "" ? "died" : "running"]),
      };
    case "list":
      return { value: Object.keys(world.marks) };
  }
}

export function labelOf(world: World, { run, name }: Deed, { to, texts }: Pending): string {
  return `${name}: ${texts[progressOf(statusOf(world, run), to).line]}`;
}

/** Performs a pending `ip`, or one line if other runs may act between lines. Returns the refusal. */
export function performSome(
  world: World,
  { run, name }: Deed,
  { to, request }: Pending,
  byLine: boolean,
  until = Infinity,
): "more" | { refused?: string } {
  if (request.kind !== "ip") throw new Error("no ip");
  const { netns, lines } = request.command;
  for (;;) {
    const { line, printed } = progressOf(statusOf(world, run), to);
    if (line >= Math.min(until, lines.length)) return {};
    const performed = performLine(world, name, netns, lines[line] ?? []);
    if (performed.refused !== undefined) return { refused: performed.refused };
    const others = statusOf(world, run).progress.filter((it) => it.to !== to);
    const now = performed.printed === undefined
      ? printed
      : OUTPUTS.numberOf([...OUTPUTS.at(printed), performed.printed]);
    setStatus(world, run, { progress: [...others, { to, line: line + 1, printed: now }] });
    if (line + 1 === lines.length) return {};
    if (byLine) return "more";
  }
}

/** The next step of an `ip` that outlives its run. */
export function finishLoose(before: World, deed: Deed, byLine: boolean): Step[] {
  const { run, name, pendingAt } = deed;
  return statusOf(before, run).loose.map((it, at) => {
    const world = { ...before };
    const pending = pendingAt(it.at).find(({ to }) => to === it.to);
    if (pending?.request.kind !== "ip") throw new Error("no ip");
    const { netns, lines } = pending.request.command;
    let rest: Loose | undefined = it;
    do {
      const { refused } = performLine(world, name, netns, lines[rest.line] ?? []);
      const isOver: boolean = refused !== undefined || rest.line + 1 === rest.end;
      rest = isOver ? undefined : { ...rest, line: rest.line + 1 };
    } while (rest !== undefined && !byLine);
    const loose = statusOf(world, run).loose.toSpliced(at, 1, ...(rest ? [rest] : []));
    setStatus(world, run, { loose });
    return { label: `${name}, gone: its ip goes on: ${pending.texts[it.line]}`, world, run };
  });
}
