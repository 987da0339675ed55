import { PROGRAM_VERSION } from "../base/scope.ts";
import type { Call, Command, Report } from "./command.ts";
import {
  NETWORK_OPTION,
  type NetworkSeen,
  type Overview,
  readOverview,
  reportOn,
  selected,
} from "./overview.ts";
import { OK, type Pool, poolsOf } from "./pools.ts";
import type { Line } from "./screen.ts";
import { countWords } from "./state_words.ts";
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
  const needsLook = pools.some(({ state }) => state !== OK);
  const { errors, unreadable } = overview;
  if (!call.has("metrics")) {
    return reportOn(overview, tableOf(pools, errors.length > 0), json, needsLook);
  }
  const lines = metricsOf(networks, pools, unreadable);
  return { ...reportOn(overview, [], json, needsLook), lines, isFile: true, errors };
}

/** An integer that some JSON parsers can't read exactly is a string. */
function exact(value: bigint | undefined): number | string | undefined {
  const isLarge = value === undefined || value > BigInt(Number.MAX_SAFE_INTEGER);
  return isLarge ? value?.toString() : Number(value);
}

function tableOf(pools: readonly Pool[], isPartial: boolean): Line[] {
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
function metricsOf(
  networks: readonly NetworkSeen[],
  pools: readonly Pool[],
  unreadable: Overview["unreadable"],
): string[] {
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
    ...unreadable.map((it) => ({ ...it, value: 0 })),
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
      `# HELP ${name} ${escaped(about)}`,
      `# TYPE ${name} gauge`,
      ...own.map(([value, labels]) => `${name}{${pairs(labels)}} ${value}`),
    ];
  });
  return [...families, "# EOF"];
}

function pairs(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`).join();
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
