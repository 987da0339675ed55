import type { Command, Times } from "./loads.ts";
import { median, quantile } from "./measure.ts";
import type { Results } from "./results.ts";

const REFERENCE = "bridge + host-local";
const FLOOR = "floor (sh + ip)";

/** The results as Markdown: the goals first, then every number they come from. */
export function report(results: Results): string {
  return [
    "# Benchmark",
    "",
    "Written by `make bench`: one run, all peers in turn, medians. Milliseconds are of a whole process as a runtime",
    "waits for it. Machines differ: the ratios tell more than the times.",
    "",
    "## Goals",
    "",
    ...table(
      ["goal", "bound", "an empty program and the floor alone", "found", "met"],
      goals(results).map(goalRow),
    ),
    "",
    "Where an empty program and the bare `ip` commands alone are above the bound, no program of this kind meets it.",
    "",
    "## One operation, by number of leases held",
    "",
    ...operations(results),
    "## Many at once",
    "",
    ...many(results),
    "",
    "## Footprint of an ADD",
    "",
    ...footprints(results),
    "",
    "## Where the time of an ADD goes",
    "",
    "Script form, seen from outside by strace, which makes each part somewhat longer.",
    "",
    ...bars(results),
    "",
  ].join("\n");
}

interface Goal {
  readonly what: string;
  readonly bound: number;
  /** What is not this program's own: Deno's start, and where `ip` is run the floor. */
  readonly least?: number;
  readonly found: number;
  readonly unit: string;
}

function goalRow({ what, bound, least, found, unit }: Goal): string[] {
  return [
    what,
    `${bound.toFixed(2)} ${unit}`,
    least === undefined ? "" : `${least.toFixed(2)} ${unit}`,
    `${found.toFixed(2)} ${unit}`,
    found <= bound ? "yes" : "**no**",
  ];
}

function goals({ held, bursts, footprints }: Results): Goal[] {
  const at = (count: number, peer: string, command: Command) =>
    median(held.get(count)?.get(peer)?.get(command) ?? []);
  const mine = (command: Command, count = 0) => at(count, "script form", command);
  const empty = at(0, "empty script form", "ADD");
  const ip = median(held.get(0)?.get(FLOOR)?.get("CHECK") ?? []) / 2;
  const burst = bursts.get("script form");
  const pair = bursts.get(REFERENCE);
  const single = mine("ADD");
  const least = (count: number) => at(count, "empty script form", "ADD") + at(count, FLOOR, "ADD");
  const memory = (peer: string) => {
    const { chargedKb, residentKb = NaN } = footprints.get(peer) ?? {};
    return (chargedKb ?? residentKb) / 1024;
  };
  const ms = "ms";
  const times = "×";
  return [
    {
      what: "ADD, 0 held ≤ empty + floor + 4 ms",
      bound: least(0) + 4,
      least: least(0),
      found: single,
      unit: ms,
    },
    {
      what: "CHECK ≤ empty + one ip + 2 ms",
      bound: empty + ip + 2,
      least: empty + at(0, FLOOR, "CHECK"),
      found: mine("CHECK"),
      unit: ms,
    },
    {
      what: "DEL ≤ floor DEL + empty + 2 ms",
      bound: at(0, FLOOR, "DEL") + empty + 2,
      least: at(0, FLOOR, "DEL") + empty,
      found: mine("DEL"),
      unit: ms,
    },
    {
      what: "VERSION ≤ empty + 1 ms",
      bound: empty + 1,
      least: empty,
      found: mine("VERSION"),
      unit: ms,
    },
    {
      what: "ADD at 1,000 held ≤ 1.0 × the reference",
      bound: 1,
      least: least(1_000) / at(1_000, REFERENCE, "ADD"),
      found: mine("ADD", 1_000) / at(1_000, REFERENCE, "ADD"),
      unit: times,
    },
    {
      what: "ADD at 65,000 held ≤ 0.5 × the reference",
      bound: 0.5,
      least: least(65_000) / at(65_000, REFERENCE, "ADD"),
      found: mine("ADD", 65_000) / at(65_000, REFERENCE, "ADD"),
      unit: times,
    },
    {
      what: "growth of ADD from 0 to 1,000 held ≤ 1.10",
      bound: 1.1,
      found: mine("ADD", 1_000) / single,
      unit: times,
    },
    {
      what: "64 ADDs at once: processor time of each ≤ that of a single one",
      bound: 1,
      found: (burst?.add.cpu ?? NaN) / (64 * (burst?.singleCpu ?? NaN)),
      unit: times,
    },
    {
      what: "64 ADDs at once: wall time ≤ 1.5 × the reference",
      bound: 1.5,
      least: (bursts.get("empty script form")?.add.wall ?? NaN) / (pair?.add.wall ?? NaN),
      found: (burst?.add.wall ?? NaN) / (pair?.add.wall ?? NaN),
      unit: times,
    },
    {
      what: "peak memory ≤ empty + 6 MB",
      bound: memory("empty script form") + 6,
      least: memory("empty script form"),
      found: memory("script form"),
      unit: "MB",
    },
  ];
}

function operations({ held, removal }: Results): string[] {
  const lines: string[] = [];
  for (const command of ["ADD", "CHECK", "DEL", "VERSION"] as const) {
    lines.push(`### ${command}: median (95th percentile) in ms, ratio to the reference`, "");
    const peers = [...held.values()][0]?.keys() ?? [];
    const rows = [...peers].map((
      peer,
    ) => [peer, ...[...held.values()].map((times) => cell(times, peer, command))]);
    lines.push(
      ...table([
        "",
        ...[...held.keys()].map((count) => `${count.toLocaleString("en")} held`),
      ], rows.filter(hasNumbers)),
      "",
    );
  }
  lines.push(
    `The kernel alone: removing one veth with \`ip link del\` takes ${
      median(removal).toFixed(1)
    } ms (95th percentile ${quantile(removal, 0.95).toFixed(1)} ms) of every DEL.`,
    "",
  );
  return lines;
}

function hasNumbers(row: readonly string[]): boolean {
  return row.slice(1).some((it) => it !== "");
}

function cell(times: Times, peer: string, command: Command): string {
  const values = times.get(peer)?.get(command) ?? [];
  if (values.length === 0) return "";
  const pair = median(times.get(REFERENCE)?.get(command) ?? []);
  return `${median(values).toFixed(1)} (${quantile(values, 0.95).toFixed(1)}), ${
    (median(values) / pair).toFixed(2)
  }×`;
}

function many({ bursts, restarts }: Results): string[] {
  const rows = [...bursts].map(([peer, { add, del }]) => {
    const after = restarts.get(peer);
    return [
      peer,
      `${add.wall.toFixed(0)} (${add.cpu.toFixed(0)})`,
      `${del.wall.toFixed(0)} (${del.cpu.toFixed(0)})`,
      after?.perSecond.toFixed(0) ?? "",
      after === undefined ? "" : `${after.p50.toFixed(0)} / ${after.p99.toFixed(0)}`,
    ];
  });
  return table(
    [
      "",
      "64 ADDs at once, ms wall (processor)",
      "64 DELs at once",
      "250 pods, 16 at a time: ADDs a second",
      "median / 99th percentile, ms",
    ],
    rows,
  );
}

function footprints({ footprints, sizes }: Results): string[] {
  const rows = [...footprints].map(([peer, it]) => [
    peer,
    it.chargedKb === undefined ? "" : (it.chargedKb / 1024).toFixed(1),
    (it.residentKb / 1024).toFixed(1),
    String(it.processes),
    String(it.calls),
    String(it.written),
    String(it.syncs),
    sizes.has(peer) ? ((sizes.get(peer) ?? 0) / 1024 / 1024).toFixed(2) : "",
  ]);
  return table([
    "",
    "peak memory charged to its control group, MB",
    "peak resident, pages of shared files included, MB",
    "programs started",
    "system calls",
    "bytes written below /var/lib",
    "fsyncs",
    "size on disk, MB",
  ], rows);
}

/** A bar for each phase, one sign for half a millisecond. */
function bars({ phases }: Results): string[] {
  const rows = phases.map(([phase, ms]) => [phase, ms.toFixed(1), "█".repeat(Math.round(ms * 2))]);
  return table(["phase", "ms", ""], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}
