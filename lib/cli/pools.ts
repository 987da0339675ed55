import { formatCidr, type Ip } from "../base/address.ts";
import { formatSet, type RangeSet, subnetsOf } from "../base/range.ts";
import { countFree, listLeases } from "../ipam.ts";
import type { NetworkSeen } from "./overview.ts";
import { countWords, needsLook, type StateWord } from "./state_words.ts";

/** One range set of a network. It has sizes only if an ADD has recorded the network's ranges. */
export interface Pool {
  readonly network: string;
  readonly dataDir: string;
  /** Number of the set in the configuration, from 0. */
  readonly set: number;
  readonly subnet?: string;
  readonly range?: string;
  readonly size?: bigint;
  /** Absent without a state file. */
  readonly held?: number;
  /** `undefined` if `ip` failed; absent without a state file. */
  readonly stale?: number | undefined;
  readonly free?: bigint;
  /** `ok`, or what needs a look: `full, 1 stale, 2 cut off`. */
  readonly state: string;
  /** The network's number of attachments in each state; the same for each of its sets. */
  readonly attachments: Readonly<Record<StateWord, number>>;
}

/** The state of a pool that needs no look. */
export const OK = "ok";

/** The pools of the network. A network with unknown ranges has one without a size. */
export function poolsOf({ network, dataDir, held, file, rows }: NetworkSeen): Pool[] {
  if (file === "unreadable") return [];
  const attachments = countWords(rows.map(({ state }) => state));
  const words = (Object.keys(attachments) as StateWord[])
    .filter((it) => needsLook(it) && attachments[it] > 0)
    .map((it) => `${attachments[it]} ${it}`);
  const stateOf = (...first: string[]) => [...first, ...words].join(", ") || OK;
  const common = { network, set: 0, attachments, state: stateOf() };
  if (file === "none") return [{ ...common, dataDir }];
  if (file === "lost") return [{ ...common, dataDir, state: stateOf("no state file") }];
  const stale = attachments.unknown > 0
    ? undefined
    : rows.filter(({ state }) => state === "stale").flatMap(({ ips }) => ips);
  return held.flatMap(({ dataDir, state }): Pool[] => {
    const ips = listLeases(state).flatMap((lease) => lease.ips);
    const ranges = state.ranges ?? [];
    if (ranges.length === 0) {
      return [{ ...common, dataDir, held: ips.length, stale: stale?.length }];
    }
    return ranges.map((set, index) => {
      const use = useOf(set, ips, stale);
      const subnet = subnetsOf([set]).map(formatCidr).join(", ");
      const isFull = use.free === 0n && use.stale === 0;
      const named = { set: index, subnet, range: formatSet(set) };
      return { ...common, dataDir, ...named, ...use, ...(isFull && { state: stateOf("full") }) };
    });
  });
}

/** The use of a range set by these addresses, of which some may be outside of it. */
export function useOf(set: RangeSet, held: readonly Ip[], stale: readonly Ip[] | undefined) {
  const [size, free] = [countFree(set, []), countFree(set, held)];
  const back = stale && Number(size - countFree(set, stale));
  return { size, held: Number(size - free), stale: back, free };
}
