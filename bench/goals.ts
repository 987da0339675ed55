import { median, medianRatio } from "./measure.ts";
import { BEFORE_TODAYS_LINE, type Command, FEWEST } from "./peers.ts";
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

/** Medians of a peer's runs of one command. */
function medians({ held }: Results) {
  return (peer: string, command: Command, count = FEWEST) =>
    median(held.get(count)?.get(peer)?.get(command) ?? []);
}

function times(results: Results): Goal[] {
  const at = medians(results);
  const own = (command: Command) => at("script form", command);
  const floor = (command: Command) => at("floor (sh + ip)", command);
  const version = own("VERSION");
  return [
    {
      what: "ADD ≤ VERSION + floor + 5 ms",
      bound: version + floor("ADD") + 5,
      found: own("ADD"),
      unit: "ms",
    },
    {
      what: "CHECK ≤ VERSION + two ip + 4 ms",
      bound: version + floor("CHECK") + 4,
      found: own("CHECK"),
      unit: "ms",
    },
    {
      what: "DEL ≤ VERSION + the kernel's removal of a veth of the same age + 5 ms",
      bound: version + at("ip link del", "DEL") + 5,
      found: own("DEL"),
      unit: "ms",
    },
    {
      what: "VERSION ≤ empty + 3 ms",
      bound: at("empty script form", "VERSION") + 3,
      found: version,
      unit: "ms",
    },
  ];
}

/**
 * What a Deno program that only starts and feeds the same `ip` adds to an empty one and the bare commands, in milliseconds:
 * the share of a bound that is none of the plugin's.
 */
export function leastShares(results: Results): readonly (readonly [Command, number])[] {
  const at = medians(results);
  const empty = at("empty script form", "VERSION");
  const parts = {
    ADD: at("floor (sh + ip)", "ADD"),
    CHECK: at("floor (sh + ip)", "CHECK"),
    DEL: at("ip link del", "DEL"),
  };
  return (["ADD", "CHECK", "DEL"] as const).map((
    command,
  ) => [command, at("Deno + ip, nothing else", command) - empty - parts[command]]);
}

function ratios(results: Results): Goal[] {
  const adds = (peer: string, count: number) =>
    results.held.get(count)?.get(peer)?.get("ADD") ?? [];
  const own = (count: number) => adds("script form", count);
  const burst = results.bursts.get("script form");
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
      found: (burst?.add.cpu ?? NaN) / (64 * (burst?.singleCpu ?? NaN)),
      unit: "×",
    },
  ];
}

/** Where an older program was measured too. */
function besideBefore({ held }: Results): Goal[] {
  const adds = (peer: string) => held.get(FEWEST)?.get(peer)?.get("ADD");
  const before = adds(BEFORE_TODAYS_LINE);
  if (before === undefined) return [];
  return [{
    what: "ADD ≤ 1.02 × that of the program before, behind the same first line",
    bound: 1.02,
    found: medianRatio(adds("script form") ?? [], before),
    unit: "×",
  }];
}

/** What one peer's ADD and CHECK take beyond its own VERSION and the bare commands, in milliseconds. */
export function beyondParts(
  results: Results,
  peer: string,
): readonly (readonly [Command, number])[] {
  const at = medians(results);
  return (["ADD", "CHECK"] as const).map((
    command,
  ) => [command, at(peer, command) - at(peer, "VERSION") - at("floor (sh + ip)", command)]);
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
