import { asCniError, CniError } from "../../../lib/errors.ts";
import type { IpOutput } from "../../../lib/ip.ts";
import { leasesIn } from "../../../lib/ipam.ts";
import { emptyState, Ledger, type State } from "../../../lib/ledger.ts";
import type { NetworkName } from "../../../lib/names.ts";
import { IpKernel } from "../../../lib/netops.ts";
import type { Effects } from "../../../lib/plugin.ts";
import type { Store } from "../../../lib/store.ts";
import { type ModelCommand, parseCommand } from "./ip.ts";

/** What a run waits for. */
export type Request =
  | { readonly kind: "ip"; readonly command: ModelCommand }
  | { readonly kind: "read" }
  /** `stoppable`: a signal ends the wait. */
  | { readonly kind: "lock"; readonly stoppable: boolean }
  /** Writes, where there is a state, and lets go of the lock. */
  | { readonly kind: "unlock"; readonly state?: State }
  | { readonly kind: "end"; readonly failed?: string };

/** What it gets. `stop` comes with it: the run is told to end. */
export interface Reply {
  /** `null` where there is no state yet. */
  readonly value?: IpOutput | State | null;
  readonly error?: { readonly code: 5 | 11; readonly message: string };
  readonly stop?: true;
}

export interface Program {
  readonly name: string;
  readonly kind: "ADD" | "DEL" | "GC";
  readonly run: (effects: Effects) => Promise<unknown>;
}

/** A run at one point: all it has been answered so far decides what it asks next. */
export interface Point {
  readonly id: number;
  readonly replies: readonly Reply[];
  readonly request: Request;
  /** The request in words, one for each line of an `ip`. */
  readonly texts: readonly string[];
  readonly next: Map<string, Point>;
}

const NETWORK = "podnet" as NetworkName;

/**
 * What a program does at each point it can get to. A run can't be copied in its middle, so each point is reached
 * once by running the program from the start and giving it the same replies; from then on it is data.
 */
export class Automaton {
  readonly #points: Point[] = [];
  readonly program: Program;

  constructor(program: Program) {
    this.program = program;
  }

  get size(): number {
    return this.#points.length;
  }

  async start(): Promise<Point> {
    return this.#points[0] ?? await this.#make([]);
  }

  at(id: number): Point {
    const point = this.#points[id];
    if (point === undefined) throw new Error(`${this.program.name} has no point ${id}`);
    return point;
  }

  async follow(point: Point, reply: Reply): Promise<Point> {
    const key = JSON.stringify(reply);
    const known = point.next.get(key) ?? await this.#make([...point.replies, reply]);
    point.next.set(key, known);
    return known;
  }

  async #make(replies: readonly Reply[]): Promise<Point> {
    const request = await ask(this.program, replies);
    const texts = textsOf(request);
    const point = { id: this.#points.length, replies, request, texts, next: new Map() };
    this.#points.push(point);
    return point;
  }
}

function textsOf(request: Request): string[] {
  if (request.kind !== "ip") return [request.kind];
  const { netns, lines } = request.command;
  return lines.map((line) => `${netns === "" ? "" : `in ${netns}: `}ip ${line.join(" ")}`);
}

/** Runs the program from its start with these replies; returns what it asks for then. */
function ask(program: Program, replies: readonly Reply[]): Promise<Request> {
  const { promise, resolve } = Promise.withResolvers<Request>();
  const stop = new AbortController();
  const left = [...replies];
  /** The next reply; `undefined` where the run has to stay where it is for good. */
  const answer = (request: Request): Reply | undefined => {
    const reply = left.shift();
    if (reply === undefined) resolve(structuredClone(request));
    if (reply?.stop) stop.abort(new CniError(11, "told to stop"));
    return reply;
  };
  const wait = async (request: Request): Promise<unknown> => {
    const reply = answer(request);
    if (reply === undefined) return await new Promise<never>(() => {});
    return opened(reply);
  };
  const store: Store = {
    // An ADD reads without the lock only to see early that the state is damaged: no step others could disturb.
    read: async () =>
      program.kind === "ADD" ? new Ledger(emptyState()) : ledgerOf(await wait({ kind: "read" })),
    update: async (change, until) => {
      const stoppable = until === stop.signal;
      const ledger = ledgerOf(await wait({ kind: "lock", stoppable }));
      let changed = false;
      try {
        changed = await change(ledger);
      } catch (error) {
        await wait({ kind: "unlock" });
        throw error;
      }
      await wait({ kind: "unlock", ...(changed && { state: ledger.state() }) });
    },
    mustBeReadable: () => {},
    tidy: () => Promise.resolve(),
    mustBeWritable: () => {},
  };
  const kernel = new IpKernel(async (args, stdin) =>
    await wait({ kind: "ip", command: parseCommand(args, stdin) }) as IpOutput
  );
  fixChance(program.name);
  program.run({ kernel, leases: leasesIn(store, NETWORK, stop.signal), stop: stop.signal }).then(
    () => resolve({ kind: "end" }),
    (thrown) => {
      const { message, details } = asCniError(thrown);
      resolve({ kind: "end", failed: `${message} (${details})` });
    },
  );
  return promise;
}

function opened({ value, error }: Reply): unknown {
  if (error !== undefined) throw new CniError(error.code, error.message);
  return structuredClone(value);
}

function ledgerOf(value: unknown): Ledger {
  return value === null ? new Ledger(emptyState(), "missing") : new Ledger(value as State);
}

/** A run that is repeated must draw the same random bytes, and different runs different ones. */
function fixChance(name: string): void {
  crypto.getRandomValues = <T extends ArrayBufferView | null>(array: T): T => {
    if (array instanceof Uint8Array) array.fill(name.charCodeAt(0));
    return array;
  };
}
