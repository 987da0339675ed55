import { formatCidr, type Ip } from "../base/address.ts";
import { formatSet, type RangeSet, subnetsOf } from "../base/range.ts";
import { countFree, type Held, listLeases } from "../ipam.ts";
import type { Call, Command, Report } from "./command.ts";
import { metricsOf } from "./metrics.ts";
import { type NetworkSeen, plainErrors, readOverview, selected } from "./overview.ts";
import { problems } from "./problems.ts";
import type { Line } from "./screen.ts";
import { countWords, needsLook, type StateWord } from "./state_words.ts";

export const status: Command = {
  name: "status",
  takes: "[NETWORK]",
  about: "each network's pools: size, held, stale and free addresses; also as metrics",
  example: "atomicni status --metrics > /var/lib/prometheus/node-exporter/atomicni.prom",
  options: {
    metrics: { type: "boolean", about: "as OpenMetrics text, for a textfile collector" },
    network: { type: "string", about: "the same as NETWORK", short: "n" },
  },
  maxArguments: 1,
  run: report,
};

/** The use of one range set of a network. It has sizes only if an ADD has recorded the network's ranges. */
export interface Use {
  readonly network: string;
  readonly dataDir: string;
  /** Number of the set in the configuration, from 0. */
  readonly set: number;
  readonly subnet: string | undefined;
  readonly range: string | undefined;
  readonly size: bigint | undefined;
  /** `undefined` without a state file. */
  readonly held: number | undefined;
  readonly stale: number | undefined;
  readonly free: bigint | undefined;
  readonly isFull: boolean;
  /** `ok`, or the states that need a look. */
  readonly state: string;
  /** The network's number of attachments in each state; the same for each of its sets. */
  readonly attachments: Readonly<Record<StateWord, number>>;
}

async function report({ args: [only], has, value, kernel }: Call): Promise<Report> {
  const overview = await readOverview(kernel);
  const { errors } = overview;
  const networks = selected(overview, only ?? value("network"), "status");
  const uses = networks.flatMap(usesOf);
  const exit = errors.length > 0 ? 2 : uses.some(({ state }) => state !== OK) ? 1 : 0;
  const json = { networks: uses.map(jsonOf), errors: plainErrors(errors) };
  if (has("metrics")) {
    return {
      lines: metricsOf(networks, uses, overview.unreadable),
      json,
      isFile: true,
      errors,
      exit,
    };
  }
  return {
    lines: [
      ...(uses.length > 0 || errors.length === 0 ? tableOf(uses) : []),
      ...problems(errors),
    ],
    json,
    exit,
  };
}

/** The largest integer that every JSON parser reads exactly. */
const MOST_EXACT = BigInt(Number.MAX_SAFE_INTEGER);

function exact(value: bigint | undefined): number | string | undefined {
  return value === undefined || value > MOST_EXACT ? value?.toString() : Number(value);
}

function jsonOf({ isFull: _, ...use }: Use) {
  return { ...use, size: exact(use.size), free: exact(use.free) };
}

const OK = "ok";

/** The use of each range set. A network with unknown ranges has one entry without a size. */
export function usesOf(seen: NetworkSeen): Use[] {
  const { held, file, rows, network } = seen;
  const attachments = countWords(rows.map(({ state }) => state));
  const stale = rows.filter(({ state }) => state === "stale").flatMap(({ ips }) => ips);
  const isKnown = rows.every(({ state }) => state !== "unknown");
  const common = { network, attachments };
  if (held.length === 0) {
    const dataDir = rows[0]?.dataDir;
    if (file === "unreadable" || dataDir === undefined) return [];
    const state = file === "lost" ? `no state file, ${amiss(attachments)}` : amiss(attachments);
    return [{ ...common, ...NO_SIZE, dataDir, held: undefined, stale: undefined, state }];
  }
  return held.flatMap((it) =>
    poolsOf(it, isKnown ? stale : undefined).map((pool) => ({
      ...common,
      ...pool,
      state: pool.isFull ? full(attachments) : amiss(attachments),
    }))
  );
}

const NO_SIZE = {
  set: 0,
  subnet: undefined,
  range: undefined,
  size: undefined,
  free: undefined,
  isFull: false,
};

function poolsOf({ network, dataDir, state }: Held, stale: readonly Ip[] | undefined) {
  const held = listLeases(state).flatMap(({ ips }) => ips);
  const sets = state.ranges ?? [];
  if (sets.length === 0) {
    return [{ ...NO_SIZE, network, dataDir, held: held.length, stale: stale?.length }];
  }
  return sets.map((set, index) => {
    const free = countFree(set, held);
    const back = stale && allocated(set, stale);
    return {
      dataDir,
      set: index,
      subnet: subnetsOf([set]).map(formatCidr).join(", "),
      range: formatSet(set),
      size: countFree(set, []),
      held: allocated(set, held),
      stale: back,
      free,
      isFull: free === 0n && back === 0,
    };
  });
}

/** The number of `ips` in the set. */
function allocated(set: RangeSet, ips: readonly Ip[]): number {
  return Number(countFree(set, []) - countFree(set, ips));
}

/** The attachments that need a look: `1 stale, 2 cut off`. */
function amiss(counts: Readonly<Record<StateWord, number>>): string {
  const words = (Object.keys(counts) as StateWord[]).filter((it) =>
    needsLook(it) && counts[it] > 0
  );
  return words.map((it) => `${counts[it]} ${it}`).join(", ") || OK;
}

function full(counts: Readonly<Record<StateWord, number>>): string {
  const more = amiss(counts);
  return more === OK ? "full" : `full, ${more}`;
}

function tableOf(uses: readonly Use[]): Line[] {
  if (uses.length === 0) return ["No networks."];
  return [{
    heading: ["NETWORK", "SUBNET", "RANGE", "SIZE", "HELD", "STALE", "FREE", "STATE"],
    spare: ["RANGE", "SIZE", "STALE", "SUBNET"],
    cut: "NETWORK",
    broken: "STATE",
    rows: uses.map((use) => [
      use.network,
      use.subnet ?? "-",
      use.range ?? "-",
      String(use.size ?? "-"),
      String(use.held ?? "-"),
      use.stale ? { text: String(use.stale), tone: "warning" } : String(use.stale ?? "-"),
      use.isFull ? { text: "0", tone: "bad" } : String(use.free ?? "-"),
      { text: use.state, tone: use.state === OK ? "good" : "warning" },
    ]),
  }];
}
