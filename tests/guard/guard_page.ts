import { markdownTable } from "../markdown.ts";
import { printPage, readOutcomes } from "../outcomes.ts";
import type { Finding, Outcome } from "./finding.ts";

/** Cases that this run does not test, and the reasons. */
const UNTESTED: Record<string, string> = {
  "a kernel before 5.18":
    "the test machines have newer kernels; tests/integration replaces `ip` by one that shows no `locked`",
  "VLAN filtering bridges": "the kernels of the test machines lack VLAN filtering",
  "a container that changes its own MAC (NET_ADMIN)":
    "the container cuts itself off, which is not an attack on another",
};

const seen = await readOutcomes<Finding>();
const outcomes = seen.filter((it) => "attack" in it);
const measures = seen.filter((it) => "measure" in it);
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
await printPage([
  "# The guard, by raw frames",
  "",
  "Written by `make guard`. A container, eve, sends raw frames and has CAP_NET_RAW alone; ann and bob are her " +
  "neighbours. In a cell, `10/10; 40/40` means: 10 of eve's 10 tries succeeded, and 40 of the victim's own 40 frames " +
  "arrived in that time. A try succeeds if eve receives a frame for others, or if her forged frame arrives; in a " +
  "flood, if the forwarding table gets a new entry. `isolated` is `portIsolation`, which stops all traffic between " +
  "neighbours, including ann's frames to bob.",
  "",
  "`reference` is the `bridge` plugin of containernetworking/plugins, as packaged by Debian.",
  "",
  ...markdownTable(
    ["attack", ...states],
    [...attacks].map(([attack, row]) => [attack, ...states.map((state) => cell(row, state))]),
  ),
  "",
  "## Further measurements",
  "",
  ...markdownTable(["what", "found"], measures.map((it) => [it.measure, it.value])),
  "",
  "## Untested",
  "",
  ...markdownTable(["what", "why"], Object.entries(UNTESTED)),
  "",
]);
