import { formatCidr, type Ip } from "../base/address.ts";
import { formatSet, type RangeSet, subnetsOf } from "../base/range.ts";
import { PROGRAM_VERSION } from "../base/scope.ts";
import { countFree, listLeases } from "../ipam.ts";
import type { Call, Command, Report } from "./command.ts";
import {
  NETWORK_OPTION,
  type NetworkSeen,
  type Overview,
  readOverview,
  reportOn,
  selected,
} from "./overview.ts";
import type { Line } from "./screen.ts";
import { countWords, needsLook, type StateWord } from "./state_words.ts";
import { buildForm } from "./version.ts";

export const status: Command = {
  name: "status",
  takes: "[NETWORK]",
  about: "each network's pools: size, held, stale and free addresses; also as metrics",
  example: "atomicni status --metrics > /var/lib/prometheus/node-exporter/atomicni.prom",
  options: {
    metrics: { type: "boolean", about: "as OpenMetrics text, for a textfile collector" },
    ...NETWORK_OPTION,
  },
  maxArguments: 1,
  run: report,
};

async function report(call: Call): Promise<Report> {
  const overview = await readOverview(call.kernel);
  const networks = selected(overview, call, "status");
  const pools = networks.flatMap(poolsOf);
  const json = {
    networks: pools.map((it) => ({ ...it, size: exact(it.size), free: exact(it.free) })),
  };
  const isAmiss = pools.some(({ state }) => state !== OK);
  const { errors } = overview;
  if (!call.has("metrics")) {
    return reportOn(overview, tableOf(pools, errors.length > 0), json, isAmiss);
  }
  const lines = metricsOf(networks, pools, overview);
  return { ...reportOn(overview, [], json, isAmiss), lines, isFile: true, errors };
}

/** An integer that some JSON parsers can't read exactly is a string. */
function exact(value: bigint | undefined): number | string | undefined {
  const isLarge = value === undefined || value > BigInt(Number.MAX_SAFE_INTEGER);
  return isLarge ? value?.toString() : Number(value);
}

function tableOf(pools: readonly ShownPool[], isPartial: boolean): Line[] {
  if (pools.length === 0) return isPartial ? [] : ["No networks."];
  return [{
    heading: ["NETWORK", "SUBNET", "RANGE", "SIZE", "HELD", "STALE", "FREE", "STATE"],
    spare: ["RANGE", "SIZE", "STALE", "SUBNET"],
    cut: "NETWORK",
    broken: "STATE",
    rows: pools.map(({ network, subnet, range, size, held, stale, free, state }) => [
      network,
      subnet ?? "-",
      range ?? "-",
      String(size ?? "-"),
      String(held ?? "-"),
      stale ? { text: String(stale), tone: "warning" } : String(stale ?? "-"),
      free === 0n && stale === 0 ? { text: "0", tone: "bad" } : String(free ?? "-"),
      { text: state, tone: state === OK ? "good" : "warning" },
    ]),
  }];
}

/** One range set of a network. It has sizes only if an ADD has recorded the network's ranges. */
export interface ShownPool {
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
const OK = "ok";

/** The pools of the network. A network with unknown ranges has one without a size. */
export function poolsOf({ network, dataDir, held, file, rows }: NetworkSeen): ShownPool[] {
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
  return held.flatMap(({ dataDir, state }): ShownPool[] => {
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

/** The name and meaning of each metric, as docs/monitoring.md shows them. All are gauges, which both text formats have. */
export const METRICS = {
  atomicni_pool_addresses: "All addresses of the range set.",
  atomicni_pool_held: "Allocated addresses, including stale ones.",
  atomicni_pool_stale: "Addresses without a host veth; an ADD reclaims them if no other is free.",
  atomicni_pool_free: "Addresses that are not allocated.",
  atomicni_attachments:
    "Attachments of the network in that state; the states are those of `atomicni list`.",
  atomicni_state_readable: "1 if the network's state file can be read, 0 if it is damaged or lost.",
  atomicni_build_info: "1, with the version and the build form of this program.",
} as const;

/** A value with its labels. */
type Sample = readonly [number | bigint, Readonly<Record<string, string>>];

/** OpenMetrics text that the older text format of Prometheus allows too. */
function metricsOf(networks: readonly NetworkSeen[], pools: readonly ShownPool[], seen: Overview) {
  const each = (key: "size" | "held" | "stale" | "free") =>
    pools.flatMap(({ network, dataDir: folder, set, subnet = "", [key]: value }): Sample[] =>
      value === undefined ? [] : [[value, { network, folder, set: String(set), subnet }]]
    );
  const states = networks.flatMap(({ network, rows }) =>
    Object.entries(countWords(rows.map(({ state }) => state)))
      .map(([state, value]): Sample => [value, { network, state }])
  );
  // One sample for each state file that a network has or needs.
  const readable = [
    ...networks.flatMap(({ held }) => held.map((it) => ({ ...it, value: 1 }))),
    ...networks.filter(({ file }) => file === "lost").map((it) => ({ ...it, value: 0 })),
    ...seen.unreadable.map((it) => ({ ...it, value: 0 })),
  ].map(({ network, dataDir, value }): Sample => [value, { network, folder: dataDir }]);
  const samples: Readonly<Record<keyof typeof METRICS, readonly Sample[]>> = {
    atomicni_pool_addresses: each("size"),
    atomicni_pool_held: each("held"),
    atomicni_pool_stale: each("stale"),
    atomicni_pool_free: each("free"),
    atomicni_attachments: states,
    atomicni_state_readable: readable,
    atomicni_build_info: [[1, { version: PROGRAM_VERSION, form: buildForm() }]],
  };
  const families = Object.entries(METRICS).flatMap(([name, about]) => {
    const own = samples[name as keyof typeof METRICS];
    return own.length === 0 ? [] : [
      `# HELP ${name} ${escapedLabel(about)}`,
      `# TYPE ${name} gauge`,
      ...own.map(([value, labels]) => `${name}{${pairs(labels)}} ${value}`),
    ];
  });
  return [...families, "# EOF"];
}

function pairs(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels).map(([name, value]) => `${name}="${escapedLabel(value)}"`).join();
}

function escapedLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
