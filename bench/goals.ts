import { median, medianRatio } from "./measure.ts";
import { BEFORE, BEFORE_TODAYS_LINE, type Command, FEWEST, LEAST, LOADED } from "./peers.ts";
import type { Results } from "./results.ts";
import type { Variant } from "./variants.ts";

export interface Goal {
  readonly what: string;
  readonly bound: number;
  /** A number, or why there is none. */
  readonly found: number | Exclude<Variant, { add: unknown }>;
  readonly unit: "ms" | "×";
}

/** The goals, each measured against its parts in the same run. */
export function goals(results: Results): Goal[] {
  return [...times(results), ...ratios(results), ...besideBefore(results), ...variants(results)];
}

/** A peer's runs of one command, round by round, with the fewest leases. */
function runs({ held }: Results) {
  return (peer: string, command: Command) => held.get(FEWEST)?.get(peer)?.get(command) ?? [];
}

/** What is left of a time when those of its parts are taken away: the median of that, round by round. */
function beyond(whole: readonly number[], ...parts: readonly (readonly number[])[]): number {
  return median(
    whole.map((ms, round) => parts.reduce((left, part) => left - (part[round] ?? NaN), ms)),
  );
}

const SCRIPT = "script form";
const EMPTY = "empty script form";
const FLOOR = "floor (sh + ip)";

function times(results: Results): Goal[] {
  const of = runs(results);
  const version = of(SCRIPT, "VERSION");
  return [
    {
      what: "ADD ≤ VERSION + floor + 5 ms",
      bound: 5,
      found: beyond(of(SCRIPT, "ADD"), version, of(FLOOR, "ADD")),
      unit: "ms",
    },
    {
      what: "CHECK ≤ VERSION + two ip + 4 ms",
      bound: 4,
      found: beyond(of(SCRIPT, "CHECK"), version, of(FLOOR, "CHECK")),
      unit: "ms",
    },
    {
      what: "DEL ≤ VERSION + the kernel's removal of a veth of the same age + 5 ms",
      bound: 5,
      found: beyond(of(SCRIPT, "DEL"), version, of("ip link del", "DEL")),
      unit: "ms",
    },
    {
      what: "VERSION ≤ empty + 3 ms",
      bound: 3,
      found: beyond(version, of(EMPTY, "VERSION")),
      unit: "ms",
    },
  ];
}

/**
 * What a Deno program that only starts and feeds the same `ip` adds to an empty one and the bare commands, and what
 * the plugin adds to an empty one by being loaded, in milliseconds: the share of a bound that is none of what it does.
 */
export function leastShares(results: Results): readonly (readonly [Command, number])[] {
  const of = runs(results);
  const least = (command: "ADD" | "CHECK" | "DEL", parts: readonly number[]) =>
    [command, beyond(of(LEAST, command), of(EMPTY, "VERSION"), parts)] as const;
  return [
    least("ADD", of(FLOOR, "ADD")),
    least("CHECK", of(FLOOR, "CHECK")),
    least("DEL", of("ip link del", "DEL")),
    ["VERSION", beyond(of(LOADED, "VERSION"), of(EMPTY, "VERSION"))],
  ];
}

function ratios(results: Results): Goal[] {
  const adds = (peer: string, count: number) =>
    results.held.get(count)?.get(peer)?.get("ADD") ?? [];
  const own = (count: number) => adds(SCRIPT, count);
  const burst = results.bursts.get(SCRIPT);
  return [
    {
      what: "growth of ADD to 1,000 held ≤ 1.10",
      bound: 1.1,
      found: medianRatio(own(1_000), own(FEWEST)),
      unit: "×",
    },
    {
      what: "ADD at 65,000 held ≤ 0.5 × the reference",
      bound: 0.5,
      found: medianRatio(own(65_000), adds("bridge + host-local", 65_000)),
      unit: "×",
    },
    {
      what: "64 ADDs at once: processor time of each ≤ 1.10 × that of a single one",
      bound: 1.1,
      found: burst?.toSingle ?? NaN,
      unit: "×",
    },
  ];
}

/**
 * Where an older program was measured too. The goal of ADD was set 0.4 ms above what that one had then: a machine on which
 * Deno is slower adds to both.
 */
function besideBefore(results: Results): Goal[] {
  const of = runs(results);
  if (of(BEFORE, "ADD").length === 0) return [];
  const beyondVersion = (peer: string) =>
    of(peer, "ADD").map((ms, round) => ms - (of(peer, "VERSION")[round] ?? NaN));
  return [
    {
      what: "ADD ≤ 1.02 × that of the program before, behind the same first line",
      bound: 1.02,
      found: medianRatio(of(SCRIPT, "ADD"), of(BEFORE_TODAYS_LINE, "ADD")),
      unit: "×",
    },
    {
      what: "ADD − VERSION ≤ that of the program before + 0.4 ms",
      bound: 0.4,
      found: beyond(beyondVersion(SCRIPT), beyondVersion(BEFORE)),
      unit: "ms",
    },
  ];
}

/** What one peer's ADD and CHECK take beyond its own VERSION and the bare commands, in milliseconds. */
export function beyondParts(
  results: Results,
  peer: string,
): readonly (readonly [Command, number])[] {
  const of = runs(results);
  return (["ADD", "CHECK"] as const).map((
    command,
  ) => [command, beyond(of(peer, command), of(peer, "VERSION"), of(FLOOR, command))]);
}

function variants({ variants: { plain, dual, guarded } }: Results): Goal[] {
  const ratio = (it: Variant, command: "add" | "del") =>
    "add" in it && "add" in plain ? medianRatio(it[command], plain[command]) : it;
  const goal = (what: string, bound: number, found: number | Variant): Goal => {
    if (typeof found === "number") return { what, bound, found, unit: "×" };
    if ("add" in found) throw new Error("the plain configuration was not measured");
    return { what, bound, found, unit: "×" };
  };
  return [
    goal("ADD of both families ≤ 1.06 × of one", 1.06, ratio(dual, "add")),
    goal("ADD with the guard ≤ 1.12 × without", 1.12, ratio(guarded, "add")),
    goal("DEL with the guard ≤ 1.05 × without", 1.05, ratio(guarded, "del")),
  ];
}
