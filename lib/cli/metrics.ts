import { PROGRAM_VERSION } from "../base/scope.ts";
import type { NetworkSeen, Overview } from "./overview.ts";
import type { Pool } from "./pools.ts";
import { countWords } from "./state_words.ts";
import { buildForm } from "./version.ts";

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

type Name = keyof typeof METRICS;

interface Sample {
  /** Not empty. */
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number | bigint;
}

/** OpenMetrics text that the older text format of Prometheus allows too. */
export function metricsOf(
  networks: readonly NetworkSeen[],
  pools: readonly Pool[],
  unreadable: Overview["unreadable"],
): string[] {
  const each = (key: "size" | "held" | "stale" | "free") =>
    pools.flatMap((pool): Sample[] => {
      const { network, dataDir: folder, set, subnet = "", [key]: value } = pool;
      const labels = { network, folder, set: String(set), subnet };
      return value === undefined ? [] : [{ labels, value }];
    });
  const samples: Readonly<Record<Name, readonly Sample[]>> = {
    atomicni_pool_addresses: each("size"),
    atomicni_pool_held: each("held"),
    atomicni_pool_stale: each("stale"),
    atomicni_pool_free: each("free"),
    atomicni_attachments: networks.flatMap(inEachState),
    atomicni_state_readable: readable(networks, unreadable),
    atomicni_build_info: [{ labels: { version: PROGRAM_VERSION, form: buildForm() }, value: 1 }],
  };
  const names = Object.keys(METRICS) as Name[];
  return [...names.flatMap((name) => family(name, samples[name])), "# EOF"];
}

function inEachState({ network, rows }: NetworkSeen): Sample[] {
  const counts = countWords(rows.map(({ state }) => state));
  return Object.entries(counts).map(([state, value]) => ({ labels: { network, state }, value }));
}

/** One sample for each state file that a network has or needs. */
function readable(networks: readonly NetworkSeen[], unreadable: Overview["unreadable"]): Sample[] {
  const files = [
    ...networks.flatMap(({ held }) => held.map((it) => ({ ...it, value: 1 }))),
    ...networks.filter(({ file }) => file === "lost").map((it) => ({ ...it, value: 0 })),
    ...unreadable.map((it) => ({ ...it, value: 0 })),
  ];
  return files.map(({ network, dataDir, value }) => ({
    labels: { network, folder: dataDir },
    value,
  }));
}

function family(name: Name, samples: readonly Sample[]): string[] {
  if (samples.length === 0) return [];
  return [
    `# HELP ${name} ${escaped(METRICS[name])}`,
    `# TYPE ${name} gauge`,
    ...samples.map(({ labels, value }) => `${name}${braced(labels)} ${value}`),
  ];
}

function braced(labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`);
  return `{${pairs.join(",")}}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
