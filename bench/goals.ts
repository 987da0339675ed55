import { median, medianRatio } from "./measure.ts";
import { FEWEST, LEAST } from "./peers.ts";
import type { Results } from "./results.ts";
import type { Variant } from "./variants.ts";

/** A bound on a ratio of two times of the same run. */
export interface Goal {
  readonly what: string;
  readonly bound: number;
  /** The ratio, or the reason why it was not measured. */
  readonly found: number | Exclude<Variant, { add: unknown }>;
}

const SCRIPT = "script form";

/** The goals (bench/README.md): each compares two programs, or two loads, of the same run. */
export function goals(results: Results): Goal[] {
  const adds = (peer: string, held = FEWEST) => results.held.get(held)?.get(peer)?.get("ADD") ?? [];
  const own = (held?: number) => adds(SCRIPT, held);
  return [
    {
      what: "ADD ≤ 1.35 × a Deno program that only starts the same two `ip`",
      bound: 1.35,
      found: medianRatio(own(), adds(LEAST)),
    },
    {
      what: "ADD with 1,000 leases held ≤ 1.15 × with one",
      bound: 1.15,
      found: medianRatio(own(1_000), own()),
    },
    {
      what: "ADD with 65,000 leases held ≤ 0.6 × the reference",
      bound: 0.6,
      found: median(own(65_000)) / median(adds("bridge + host-local", 65_000)),
    },
    ...variants(results),
    {
      what: "64 ADDs at once: processor time of each ≤ 1.10 × that of a single ADD",
      bound: 1.1,
      found: results.bursts.get(SCRIPT)?.toSingle ?? NaN,
    },
  ];
}

function variants({ variants: { plain, dual, guarded } }: Results): Goal[] {
  if (!("add" in plain)) throw new Error("the plain configuration was not measured");
  const goal = (what: string, bound: number, it: Variant, command: "add" | "del"): Goal => ({
    what,
    bound,
    found: "add" in it ? medianRatio(it[command], plain[command]) : it,
  });
  return [
    goal("ADD with both families ≤ 1.06 × a plain ADD", 1.06, dual, "add"),
    goal("ADD with the guard ≤ 1.12 × a plain ADD", 1.12, guarded, "add"),
    goal("DEL with the guard ≤ 1.05 × a plain DEL", 1.05, guarded, "del"),
  ];
}
