import type { Times } from "./loads.ts";
import { median, medianRatio, quantile } from "./measure.ts";
import { BEFORE, BEFORE_TODAYS_LINE, COMMANDS, FEWEST, type MeasuredCommand } from "./peers.ts";
import { type Goal, goals } from "./goals.ts";
import type { Results } from "./results.ts";

const REFERENCE = "bridge + host-local";

/** The results as Markdown: first every figure next to that of the reference, then the goals. */
export function report(results: Results): string {
  return [
    "# Benchmark",
    "",
    "Written by `make bench`: one run, all peers in turn, medians. Milliseconds are of a whole process as a runtime",
    "waits for it. Machines differ: the ratios tell more than the times.",
    "",
    ...results.forms.map((form) => `- ${form}`),
    "",
    "## One operation, by number of leases that others hold",
    "",
    "The smallest load is one lease: a network is without a state file only for its first ADD.",
    "",
    ...operations(results),
    "## Many at once",
    "",
    ...many(results),
    "",
    "## Both families, and the guard",
    "",
    ...variants(results),
    "",
    "## Goals",
    "",
    "Of the script form; medians of the ratios, round by round.",
    "",
    ...table(["goal", "bound", "found", "met"], goals(results).map(goalRow)),
    "",
    ...older(results),
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

function goalRow({ what, bound, found }: Goal): string[] {
  const said = bound.toFixed(2);
  if (typeof found === "number") {
    return [what, said, found.toFixed(2), found <= bound ? "yes" : "**no**"];
  }
  if ("refused" in found) return [what, said, `not measured: ${found.refused}`, ""];
  return [what, said, "the key is accepted and has no effect", "**no**"];
}

/** Ratios to an older program, round by round; nothing if none was measured. */
function older(results: Results): string[] {
  const times = results.held.get(FEWEST);
  const own = times?.get("script form");
  const rows = [BEFORE, BEFORE_TODAYS_LINE].filter((it) => times?.has(it)).map((peer) => [
    peer,
    ...COMMANDS.map((command) =>
      medianRatio(own?.get(command) ?? [], times?.get(peer)?.get(command) ?? []).toFixed(3)
    ),
  ]);
  if (rows.length === 0) return [];
  return [
    "Of the script form to an older program, round by round:",
    "",
    ...table(["script form ÷", ...COMMANDS], rows),
    "",
  ];
}

/** ADD and DEL of each configuration, with ratios to the plain one, round by round. */
function variants({ variants: { plain, dual, guarded, answered } }: Results): string[] {
  const rows = [["plain", plain], ["`subnet6`", dual], ["`macspoofchk`", guarded]] as const;
  const base = "add" in plain ? plain : undefined;
  const compared = (values: readonly number[], of: readonly number[] | undefined) =>
    `${spread(values)}, ${medianRatio(values, of ?? []).toFixed(2)}×`;
  const lines = rows.map(([name, it]) => {
    if ("refused" in it) return [name, `refused: ${it.refused}`, ""];
    if ("without" in it) return [name, "accepted, without effect", ""];
    return [name, compared(it.add, base?.add), compared(it.del, base?.del)];
  });
  const pings = [...answered].map(([peer, times]) => `${peer} ${spread(times)} ms`);
  return [
    ...table(["script form", "ADD, ms, ratio to the plain one", "DEL"], lines),
    ...(pings.length === 0 ? [] : [
      "",
      `From the start of an ADD of both families to the first answered \`ping -6\` of the gateway: ${
        pings.join(", ")
      }.`,
    ]),
  ];
}

/** The median, and the 95th percentile in brackets. */
function spread(values: readonly number[]): string {
  return `${median(values).toFixed(1)} (${quantile(values, 0.95).toFixed(1)})`;
}

function operations({ held }: Results): string[] {
  const lines: string[] = [];
  for (const command of COMMANDS) {
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
  return lines;
}

function hasNumbers(row: readonly string[]): boolean {
  return row.slice(1).some((it) => it !== "");
}

function cell(times: Times, peer: string, command: MeasuredCommand): string {
  const values = times.get(peer)?.get(command) ?? [];
  if (values.length === 0) return "";
  const pair = median(times.get(REFERENCE)?.get(command) ?? []);
  return `${spread(values)}, ${(median(values) / pair).toFixed(2)}×`;
}

function many({ bursts, restarts }: Results): string[] {
  const rows = [...bursts].map(([peer, { add, del, toSingle }]) => {
    const after = restarts.get(peer);
    return [
      peer,
      `${add.wall.toFixed(0)} (${add.cpu.toFixed(0)})`,
      `${toSingle.toFixed(2)}×`,
      `${del.wall.toFixed(0)} (${del.cpu.toFixed(0)})`,
      after?.perSecond.toFixed(0) ?? "",
      after === undefined ? "" : `${after.p50.toFixed(0)} / ${after.p99.toFixed(0)}`,
    ];
  });
  return table(
    [
      "",
      "64 ADDs at once, ms wall (processor)",
      "processor time of each, by that of an ADD alone",
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

/** A bar for each phase, one character for half a millisecond. */
function bars({ phases }: Results): string[] {
  const rows = phases.map(([phase, ms]) => [phase, ms.toFixed(1), "█".repeat(Math.round(ms * 2))]);
  return table(["phase", "ms", ""], rows);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)];
}
