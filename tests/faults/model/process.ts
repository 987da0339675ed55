import { asCniError, CniError } from "../../../lib/base/errors.ts";
import type { NetworkName } from "../../../lib/base/names.ts";
import {
  AddMarks,
  type AddProgress,
  emptyState,
  type Leases,
  type Mark,
  type State,
} from "../../../lib/ipam.ts";
import { openKernel } from "../../../lib/netops.ts";
import type { IpOutput } from "../../../lib/netops/ip.ts";
import type { Effects } from "../../../lib/plugin.ts";
import { parseCommand } from "./ip.ts";
import {
  type Answered,
  type Locked,
  type Pending,
  type Reply,
  type Request,
  textsOf,
} from "./requests.ts";
import { fixChance, quiet, standInForTime } from "./environment.ts";

export interface Program {
  readonly name: string;
  readonly kind: "ADD" | "DEL" | "GC";
  readonly run: (effects: Effects) => Promise<unknown>;
  /** Whether the first read only detects a damaged state early. Other runs can't disturb such a read. */
  readonly isBlind?: boolean;
}

/** How a run ended. */
export interface End {
  readonly failed?: string;
  /** Whether it warned of an action that failed. */
  readonly hasWarned: boolean;
}

/** A run at one point. The replies so far determine its next requests. */
export interface Point {
  readonly id: number;
  readonly replies: readonly Answered[];
  /** In the order of the requests. Concurrent requests are pending together. */
  readonly pending: readonly Pending[];
  readonly end: End | undefined;
  readonly next: Map<string, Point>;
}

const NETWORK = "podnet" as NetworkName;

/**
 * The behaviour of a program at each reachable point. A run in progress can't be copied. So each point is reached once, by
 * a run from the start with the same replies; from then on the point is data.
 */
export class Automaton {
  readonly #points: Point[] = [];
  readonly program: Program;

  constructor(program: Program) {
    this.program = program;
  }

  async start(): Promise<Point> {
    return this.#points[0] ?? await this.#make([]);
  }

  at(id: number): Point {
    const point = this.#points[id];
    if (point === undefined) throw new Error(`${this.program.name} has no point ${id}`);
    return point;
  }

  async follow(point: Point, answered: Answered): Promise<Point> {
    const key = JSON.stringify(answered);
    const known = point.next.get(key) ?? await this.#make([...point.replies, answered]);
    point.next.set(key, known);
    return known;
  }

  async #make(replies: readonly Answered[]): Promise<Point> {
    const { pending, end } = await new Attempt(this.program, replies).run();
    const point = { id: this.#points.length, replies, pending, end, next: new Map() };
    this.#points.push(point);
    return point;
  }
}

/** Stops a run at a blocking request without a reply. */
class Paused extends Error {}

/** One run of a program from its start with the replies that it has so far. */
class Attempt {
  readonly #program: Program;
  readonly #left: Answered[];
  readonly #stop = new AbortController();
  readonly #waiting = new Map<number, Pending & { resolve: (reply: Reply) => void }>();
  #asked = 0;
  #waited = 0;
  #isPaused = false;
  #hasWarned = false;
  #end: End | undefined;

  constructor(program: Program, replies: readonly Answered[]) {
    this.#program = program;
    this.#left = [...replies];
  }

  async run(): Promise<{ pending: readonly Pending[]; end: End | undefined }> {
    fixChance(this.#program.name);
    standInForTime((ms) => {
      this.#waited += ms;
      return this.#wait({ kind: "wait", waited: this.#waited });
    });
    this.#program.run(this.#effects()).then(
      () => this.#ends({ hasWarned: this.#hasWarned }),
      (thrown) => {
        const { message, details } = asCniError(thrown);
        this.#ends({ failed: `${message} (${details})`, hasWarned: this.#hasWarned });
      },
    );
    await quiet();
    while (!this.#isPaused) {
      const next = this.#left.shift();
      if (next === undefined) break;
      const waiting = this.#waiting.get(next.to);
      if (waiting === undefined) throw new Error(`${this.#program.name} asked no ${next.to}`);
      this.#waiting.delete(next.to);
      if (next.reply.stop) {
        this.#stop.abort(new CniError("TryAgainLater", "asked to stop", "a remedy"));
      }
      waiting.resolve(next.reply);
      await quiet();
    }
    const pending = [...this.#waiting.values()].map(({ resolve: _, ...rest }) => rest);
    return { pending, end: this.#end };
  }

  #ends(end: End): void {
    if (!this.#isPaused) this.#end = end;
  }

  #note(request: Request, isNow: boolean, resolve: (reply: Reply) => void): void {
    const to = this.#asked++;
    const texts = textsOf(request);
    this.#waiting.set(to, { to, request: structuredClone(request), isNow, texts, resolve });
  }

  async #wait(request: Request): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<Reply>();
    // Requests from the cleanup of a stopped run are not recorded.
    if (!this.#isPaused) this.#note(request, false, resolve);
    return opened(await promise);
  }

  /** A blocking request: without a reply the program does not continue. */
  #now(request: Request): unknown {
    const [next] = this.#left;
    if (this.#isPaused) throw new Paused();
    if (next === undefined) {
      this.#note(request, true, () => {});
      this.#isPaused = true;
      throw new Paused();
    }
    if (next.to !== this.#asked) throw new Error(`${this.#program.name}: ${next.to} was answered`);
    this.#asked++;
    this.#left.shift();
    if (next.reply.stop) {
      this.#stop.abort(new CniError("TryAgainLater", "asked to stop", "a remedy"));
    }
    return opened(next.reply);
  }

  #effects(): Effects {
    const kernel = openKernel(
      undefined,
      async (args, stdin) =>
        await this.#wait({ kind: "ip", command: parseCommand(args, stdin) }) as IpOutput,
    );
    return {
      kernel,
      leases: this.#leases(),
      marks: new ModelMarks((request) => this.#now(request)),
      stop: this.#stop.signal,
      warn: () => {
        this.#hasWarned = true;
      },
    };
  }

  #leases(): Leases {
    let snapshot: State | null | undefined;
    let isBlind = this.#program.isBlind ?? false;
    const read = () => {
      if (snapshot === undefined) {
        snapshot = isBlind ? null : this.#now({ kind: "read" }) as State | null;
      }
      const provenance = snapshot === null ? "missing" as const : "changed" as const;
      return { state: snapshot ?? emptyState(), provenance };
    };
    return {
      read,
      examine: async (look) => await look(read()),
      transaction: async (decide, until = this.#stop.signal) => {
        const stoppable = until === this.#stop.signal;
        const { state, isWritten } = await this.#wait({ kind: "lock", stoppable }) as Locked;
        const provenance = state === null ? "missing" : isWritten ? "written" : "changed";
        const now = state ?? emptyState();
        const unlock: { state?: State; isWhole?: boolean } = {};
        try {
          const { result, write } = await decide(now, provenance);
          const isWhole = write === "verified" || provenance === "written";
          if (write !== undefined) Object.assign(unlock, { state: now, isWhole });
          return { result, backup: undefined };
        } finally {
          snapshot = undefined;
          isBlind = false;
          await this.#wait({ kind: "unlock", ...unlock });
        }
      },
      sweep: () => Promise.resolve(),
      checkWritable: () => {},
    };
  }
}

class ModelMarks extends AddMarks {
  readonly #ask: (request: Request) => unknown;

  constructor(ask: (request: Request) => unknown) {
    super("/", NETWORK);
    this.#ask = ask;
  }

  override begin(host: string): Mark {
    const followsKilled = this.#ask({ kind: "mark", what: "begin", host }) === "died";
    let isKept = false;
    return {
      followsKilled,
      lease: () => {},
      keep: () => {
        isKept = true;
      },
      end: () => {
        this.#ask({ kind: "mark", what: isKept ? "leave" : "end", host });
      },
    };
  }

  override of(host: string): AddProgress {
    return this.#ask({ kind: "mark", what: "look", host }) as AddProgress;
  }

  override clear(host: string): void {
    this.#ask({ kind: "mark", what: "clear", host });
  }

  override sweep(): void {}

  override all(): Map<string, AddProgress> {
    return new Map(this.#ask({ kind: "mark", what: "all", host: "" }) as [string, AddProgress][]);
  }

  override hosts(): string[] {
    return this.#ask({ kind: "mark", what: "list", host: "" }) as string[];
  }
}

function opened({ value, error }: Reply): unknown {
  if (error !== undefined) throw new CniError(error.kind, error.message, "a remedy");
  return structuredClone(value);
}
