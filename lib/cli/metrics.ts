import { BUILD_FORM } from "../base/build.ts";
import { PROGRAM_VERSION } from "../base/scope.ts";
import type { NetworkSeen, Overview } from "./overview.ts";
import { countWords, type StateWord } from "./state_words.ts";
import type { Use } from "./status.ts";

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
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number | bigint;
}

/** OpenMetrics text that the older text format of Prometheus allows too. */
export function metricsOf(
  networks: readonly NetworkSeen[],
  uses: readonly Use[],
  unreadable: Overview["unreadable"],
): string[] {
  const ofUses = (valueOf: (use: Use) => number | bigint | undefined) =>
    uses.flatMap((use): Sample[] => {
      const value = valueOf(use);
      const { network, dataDir, set, subnet } = use;
      const labels = { network, folder: dataDir, set: String(set), subnet: subnet ?? "" };
      return value === undefined ? [] : [{ labels, value }];
    });
  const samples: Readonly<Record<Name, readonly Sample[]>> = {
    atomicni_pool_addresses: ofUses(({ size }) => size),
    atomicni_pool_held: ofUses(({ held }) => held),
    atomicni_pool_stale: ofUses(({ stale }) => stale),
    atomicni_pool_free: ofUses(({ free }) => free),
    atomicni_attachments: networks.flatMap(inEachState),
    atomicni_state_readable: readable(networks, unreadable),
    atomicni_build_info: [{
      labels: {
        version: PROGRAM_VERSION,
        form: BUILD_FORM.startsWith("@") ? "source" : BUILD_FORM,
      },
      value: 1,
    }],
  };
  const names = Object.keys(METRICS) as Name[];
  return [...names.flatMap((name) => family(name, samples[name])), "# EOF"];
}

function inEachState({ network, rows }: NetworkSeen): Sample[] {
  const counts = countWords(rows.map(({ state }) => state));
  return (Object.keys(counts) as StateWord[]).map((state) => ({
    labels: { network, state },
    value: counts[state],
  }));
}

/** One sample for each state file that a network has or needs. */
function readable(networks: readonly NetworkSeen[], unreadable: Overview["unreadable"]): Sample[] {
  const sample = (network: string, folder: string, value: number): Sample => ({
    labels: { network, folder },
    value,
  });
  return [
    ...networks.flatMap(({ held }) => held.map((it) => sample(it.network, it.dataDir, 1))),
    ...networks.filter(({ file }) => file === "lost").map(({ network, rows }) =>
      sample(network, rows[0]?.dataDir ?? "", 0)
    ),
    ...unreadable.map(({ network, dataDir }) => sample(network, dataDir, 0)),
  ];
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
  return pairs.length === 0 ? "" : `{${pairs.join(",")}}`;
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
