import { Host } from "../integration/host.ts";
import { FIRST, SEED, WORKERS } from "./limits.ts";
import type { Complaint, Property } from "./property.ts";
import { say } from "../outcomes.ts";
import { Random } from "../random.ts";
import { reset } from "./world.ts";

/** Complaints of further kinds are reported as they were found. */
const MOST_KINDS = 8;
/** The time in which one complaint is reduced. */
const SHRINK_SECONDS = 30;
/** A case that takes longer hangs: it has some dozen runs, each of which may wait 10 s for a lock. */
const CASE_SECONDS = 300;
const WRONG = "/run/wrong.sh";
/** A wrong program has to be found within this many cases. */
const MOST_WRONG = 200;

export interface Found<Case> extends Complaint {
  readonly index: number;
  readonly it: Case;
}

export interface Outcome<Case> {
  readonly tried: number;
  readonly seconds: number;
  /** The first complaint of each kind. */
  readonly found: readonly Found<Case>[];
  readonly times: ReadonlyMap<string, number>;
}

export interface Options {
  readonly cases: number;
  readonly seconds: number;
  /** A shell script that runs the program, which it gets as "$@". */
  readonly wrong?: string;
  /** Stops at the first complaint of such a kind. */
  readonly until?: RegExp;
  readonly seed?: number;
  /** Index of the first case. */
  readonly first?: number;
}

/** Tries the cases of `property` in parallel, each worker on its own private host. */
export async function search<Case>(
  property: Property<Case>,
  options: Options,
): Promise<Outcome<Case>> {
  const began = performance.now();
  const found = new Map<string, Found<Case>>();
  const times = new Map<string, number>();
  const { seed = SEED, first = FIRST } = options;
  let next = first;
  let isOver = false;
  const last = first + options.cases;
  const isDue = () => !isOver && next < last && performance.now() - began < options.seconds * 1000;
  const work = async () => {
    let host: Host | undefined;
    while (isDue()) {
      const index = next++;
      const it = property.generate(new Random(seed, index), index);
      host ??= await prepared(options.wrong);
      const complaint = await tried(property, host, it, options.wrong);
      if (complaint !== undefined || !await reset(host)) {
        await host[Symbol.asyncDispose]();
        host = undefined;
      }
      if (complaint === undefined) continue;
      times.set(complaint.kind, (times.get(complaint.kind) ?? 0) + 1);
      const earlier = found.get(complaint.kind);
      if (earlier === undefined || earlier.index > index) {
        found.set(complaint.kind, { ...complaint, index, it });
      }
      if (options.until?.test(complaint.kind)) isOver = true;
    }
    await host?.[Symbol.asyncDispose]();
  };
  await Promise.all(Array.from({ length: WORKERS }, work));
  return {
    tried: next - first,
    seconds: Math.round((performance.now() - began) / 1000),
    found: [...found.values()].sort((a, b) => a.index - b.index),
    times,
  };
}

async function prepared(wrong: string | undefined): Promise<Host> {
  const host = await Host.create();
  if (wrong !== undefined) await host.run(["tee", WRONG], wrong);
  return host;
}

async function tried<Case>(
  property: Property<Case>,
  host: Host,
  it: Case,
  wrong: string | undefined,
): Promise<Complaint | undefined> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(new Error(`not over within ${CASE_SECONDS} s`)),
    CASE_SECONDS * 1000,
  );
  try {
    const under = wrong === undefined ? [] : ["sh", WRONG];
    return await Promise.race([property.complain(host, it, under), promise]);
  } catch (error) {
    // A step that the test could not do proves nothing, and must not count as a pass.
    const text = error instanceof Error ? error.stack ?? error.message : String(error);
    return { kind: `the case can't be tried: ${text.split("\n")[0]?.slice(0, 100)}`, about: text };
  } finally {
    clearTimeout(timer);
  }
}

/** The smallest case of the same kind that the time allows. Each attempt has a new host. */
export async function shrink<Case>(
  property: Property<Case>,
  found: Found<Case>,
  wrong?: string,
): Promise<Found<Case>> {
  const end = performance.now() + SHRINK_SECONDS * 1000;
  let smallest = found;
  for (let isSmaller = true; isSmaller;) {
    isSmaller = false;
    for (const it of property.smaller(smallest.it)) {
      if (performance.now() > end) return smallest;
      await using host = await prepared(wrong);
      const complaint = await tried(property, host, it, wrong);
      if (complaint?.kind !== smallest.kind) continue;
      smallest = { ...complaint, it, index: smallest.index };
      isSmaller = true;
      break;
    }
  }
  return smallest;
}

/** The property holds in every case, and enough cases were tried. */
export async function verify<Case>(property: Property<Case>): Promise<void> {
  say(`${property.name}: PROPERTIES_SEED=${SEED}`);
  const { tried: count, seconds, found, times } = await search(property, property.limits);
  const seen = [...property.seen].sort().map(([what, often]) => `${often} ${what}`).join(", ");
  say(`${property.name}: ${count} cases in ${seconds} s on ${WORKERS} hosts: ${seen}`);
  const texts: string[] = [];
  for (const [at, first] of unlike(found).entries()) {
    const { kind, about, index, it } = at < MOST_KINDS ? await shrink(property, first) : first;
    texts.push(`${times.get(kind)} of ${count} cases: ${kind}
  the first, made smaller: ${JSON.stringify(it)}
  ${about.replaceAll("\n", "\n  ")}
  again: ${again(property.name, index)}`);
  }
  if (texts.length > 0) {
    throw new Error(`${property.name} does not hold:\n${texts.join("\n\n")}`);
  }
  if (count < property.limits.cases) {
    throw new Error(`only ${count} of ${property.limits.cases} cases in ${seconds} s`);
  }
}

/**
 * One complaint of each sort, before a second one of any. The text in brackets at the end of a kind does not
 * count.
 */
function unlike<Case>(found: readonly Found<Case>[]): Found<Case>[] {
  const often = new Map<string, number>();
  const places = found.map((it) => {
    const sort = it.kind.replace(/ \([^()]*\)$/, "");
    often.set(sort, (often.get(sort) ?? 0) + 1);
    return { it, place: often.get(sort) ?? 0 };
  });
  return places.sort((a, b) => a.place - b.place).map(({ it }) => it);
}

function again(name: string, index: number): string {
  return `PROPERTIES_SEED=${SEED} PROPERTIES_FROM=${index} PROPERTIES_CASES=1 SIZE=short tests/properties/run "${name}"`;
}

/**
 * The property finds a wrong program: a complaint whose kind matches `kind`, from the case `from` on. The choices are
 * the same each time, so luck does not decide whether a test can fail. The first case is tried alone: `from` is usually
 * the one that finds it.
 */
export async function finds<Case>(
  property: Property<Case>,
  wrong: string,
  kind: RegExp,
  from = 0,
): Promise<void> {
  const script = `PATH=/usr/sbin:/usr/bin:/sbin:/bin\n${wrong}`;
  const others = new Set<string>();
  for (let next = from; next < MOST_WRONG;) {
    const cases = next === from ? 1 : MOST_WRONG - next;
    const options = { cases, seconds: 240, wrong: script, until: kind, seed: 1 };
    const { found } = await search(property, { ...options, first: next });
    const first = found.find((it) => kind.test(it.kind));
    for (const it of found) others.add(it.kind);
    if (first === undefined) {
      next += cases;
      continue;
    }
    // A complaint that the right program causes too does not show the wrong one's fault.
    await using host = await prepared(undefined);
    const right = await tried(property, host, first.it, undefined);
    if (right === undefined || !kind.test(right.kind)) {
      return say(`found by case ${first.index}: ${first.kind}`);
    }
    next = first.index + 1;
  }
  throw new Error(`not found in ${MOST_WRONG} cases; only: ${[...others].join("; ")}`);
}
