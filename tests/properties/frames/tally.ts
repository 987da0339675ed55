import type { Count } from "../../guard/finding.ts";
import type { Seen } from "./lab.ts";
import { BRIDGE, type Network } from "./network.ts";
import { stopped } from "./promises.ts";
import type { Wrong } from "./faults.ts";
import type { Spec } from "./spec.ts";

/** A bridge treats these frames specially, so forged ones are counted separately. */
const RESERVED = ", to a reserved group address";
/** Without the host rules, nothing is promised about these (SECURITY.md). */
export const OUT = ", while root takes ports out of the bridge";
const isReserved = ({ from, to }: Spec): boolean => from !== "own" && typeof to === "number";

const counts = new Map<string, Count>();

export function stateOf({ guard, rules }: Network): string {
  if (guard) return rules ? "guard on, host rules" : "guard on";
  return rules ? "host rules alone" : "guard off";
}

/** Counts frames by the promise that holds with all protections on. */
export function tally(
  network: Network,
  sent: readonly { readonly spec: Spec; readonly mark: string }[],
  seen: Seen,
  takesPortsOut: boolean,
): void {
  const state = stateOf(network);
  for (const { spec, mark } of sent) {
    const places = stopped(spec, { ...network, guard: true, rules: true });
    const [first] = places;
    if (first === undefined) continue;
    const came = places.some(({ place }) =>
      (seen[place]?.link?.[mark] ?? 0) + (seen[place]?.ip?.[mark] ?? 0) > 0
    );
    add(`${first.why}${isReserved(spec) ? RESERVED : ""}${takesPortsOut ? OUT : ""}`, state, came);
  }
}

export const QUERIER = "the bridge takes a container for a multicast querier";

/** Effects of frames on tables. */
const EFFECTS = [
  "the MAC of a container leads elsewhere",
  "the bridge learns from a guarded port",
  "the host looks for a container's address elsewhere",
  "the host looks for a container's link-local address elsewhere",
  "a container looks for its gateway elsewhere",
  "a container looks for the bridge's link-local address elsewhere",
  "the host has a neighbour of a foreign address",
  "the host has a neighbour on a port",
  "the host has a new route on a port",
  `the host has a new route on ${BRIDGE}`,
  QUERIER,
];

/** Counts rounds by the kernel tables that changed in them. */
export function tallyEffects(network: Network, wrongs: readonly Wrong[]): void {
  for (const effect of EFFECTS) {
    add(effect, stateOf(network), wrongs.some(([kind]) => kind === effect));
  }
}

function add(line: string, state: string, came: boolean): void {
  const key = `${line}|${state}`;
  const { sent, came: before } = counts.get(key) ?? { sent: 0, came: 0 };
  counts.set(key, { line, state, sent: sent + 1, came: before + (came ? 1 : 0) });
}

export function tallied(): readonly Count[] {
  return [...counts.values()].sort((a, b) => a.line < b.line ? -1 : a.line > b.line ? 1 : 0);
}
