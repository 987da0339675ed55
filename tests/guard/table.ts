import type { Measure, Outcome } from "./outcome.ts";

/** What can't be tried on the machines this runs on, or is not the guard's; so that nobody takes it for tested. */
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
const seen: (Outcome | Measure)[] = lines.map((line) => JSON.parse(line));
const outcomes = seen.filter((it) => "attack" in it);
const measures = seen.filter((it) => "measure" in it);
const states = [...new Set(outcomes.map(({ state }) => state))];

const attacks = Map.groupBy(outcomes, ({ attack }) => attack);
const cell = (row: readonly Outcome[], state: string): string => {
  const found = row.find((it) => it.state === state);
  return found === undefined ? "–" : `${found.got}; ${found.own}`;
};
const rows = (table: readonly (readonly string[])[]): string[] =>
  table.map((row) => `| ${row.map((it) => it.replaceAll("|", "\\|")).join(" | ")} |`);
const rule = (columns: number): string[] => new Array(columns).fill("---");

const page = [
  "# The guard, by raw frames",
  "",
  "Written by `make guard`. A container, eve, sends raw frames and has CAP_NET_RAW alone; ann and bob are her " +
  "neighbours. The first number of a cell is what eve got: of ten frames, how many came to her that were another's, or " +
  "came through that she had forged (of a flood: entries of the bridge's table). The second is the victim's own " +
  "traffic in that time: how many frames came where they belong, of how many. `isolated` is `portIsolation`, which " +
  "ends all traffic between neighbours, so ann's frames to bob do not come then.",
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
  "## Untested",
  "",
  ...rows([["what", "why"], rule(2), ...Object.entries(UNTESTED)]),
  "",
];
await Deno.stdout.write(new TextEncoder().encode(page.join("\n")));
