import type { Count, Measure, Outcome } from "./outcome.ts";

/** Cases that this run does not test, and the reasons. */
const UNTESTED: Record<string, string> = {
  "a kernel before 5.18":
    "the test machines have newer ones; an `ip` that shows no `locked` stands in for it in tests/integration",
  "VLAN filtering bridges": "the kernels of the test machines have none",
  "a container that changes its own MAC (NET_ADMIN)":
    "it cuts itself off; not an attack on another",
};

const lines = (await new Response(Deno.stdin.readable).text()).split("\n").filter((it) =>
  it !== ""
);
const seen: (Outcome | Measure | Count)[] = lines.map((line) => JSON.parse(line));
const outcomes = seen.filter((it) => "attack" in it);
const measures = seen.filter((it) => "measure" in it);
const counts = seen.filter((it) => "line" in it);
const states = [...new Set(outcomes.map(({ state }) => state))];

const attacks = Map.groupBy(outcomes, ({ attack }) => attack);
const cell = (row: readonly Outcome[], state: string): string => {
  const found = row.find((it) => it.state === state);
  if (found === undefined) return "–";
  const { got, of, effect, own } = found;
  return `${got}/${of}${effect === undefined ? "" : ` (${effect})`}${
    own === undefined ? "" : `; ${own}`
  }`;
};
const generated = [...new Set(counts.map(({ state }) => state))];
const counted = (row: readonly Count[], state: string): string => {
  const found = row.find((it) => it.state === state);
  return found === undefined ? "–" : `${found.came} of ${found.sent}`;
};
const rows = (table: readonly (readonly string[])[]): string[] =>
  table.map((row) => `| ${row.map((it) => it.replaceAll("|", "\\|")).join(" | ")} |`);
const rule = (columns: number): string[] => new Array(columns).fill("---");

const page = [
  "# The guard, by raw frames",
  "",
  "Written by `make guard`. A container, eve, sends raw frames and has CAP_NET_RAW alone; ann and bob are her " +
  "neighbours. The first number of a cell is what eve got: how many frames came to her that were another's, or " +
  "came through that she had forged, of how many (of a flood: entries of the bridge's table). The second is the " +
  "victim's own traffic in that time: how many frames came where they belong, of how many. `isolated` is " +
  "`portIsolation`, which ends all traffic between neighbours, so ann's frames to bob do not come then.",
  "",
  "`reference` is the `bridge` plugin of containernetworking/plugins, as Debian has it.",
  "",
  ...rows([
    ["attack", ...states],
    rule(states.length + 1),
    ...[...attacks].map(([attack, row]) => [attack, ...states.map((state) => cell(row, state))]),
  ]),
  "",
  "## Measured beside it",
  "",
  ...rows([["what", "found"], rule(2), ...measures.map((it) => [it.measure, it.value])]),
  "",
  "## Generated frames",
  "",
  "A generator composes frames while commands run and root takes ports out, sets the bridge down or deletes it: in each " +
  "cell how many of the different frames came to the host, a neighbour or a machine outside, of how many. For a table of " +
  "the kernel: in how many rounds it was changed, of how many. A container without the guard has no protected port, so " +
  "its bridge learns in every round.",
  "",
  ...rows([
    ["frames, or what they change", ...generated],
    rule(generated.length + 1),
    ...[...Map.groupBy(counts, ({ line }) => line)].map(([line, row]) => [
      line,
      ...generated.map((state) => counted(row, state)),
    ]),
  ]),
  "",
  "## Untested",
  "",
  ...rows([["what", "why"], rule(2), ...Object.entries(UNTESTED)]),
  "",
];
await Deno.stdout.write(new TextEncoder().encode(page.join("\n")));
