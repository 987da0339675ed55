import { HOSTILE } from "./layouts.ts";
import type { Scenario, Step } from "./scenario.ts";

const add = (...all: number[]): Step[] => all.map((who) => ({ does: "add", who }));
const by = (what: string, how: string, who = 0): Step => ({
  does: "change",
  who,
  change: { what, how, who },
});
const run = (does: Step["does"], who = 0): Step => ({ does, who });
const reference = (...all: number[]): Step[] =>
  all.map((who) => ({ does: "reference", who, bridge: "atomic0" }));
const imports = (folder: Step["folder"]): Step => ({
  ...run("import"),
  ...(folder !== undefined && { folder }),
});
const scenario = (steps: readonly Step[], more: Partial<Scenario> = {}): Scenario => ({
  layout: "one bridge",
  pool: "small",
  steps,
  ...more,
});
const GONE = by("bridge: existence", "nothing");

/** The first cases of a careless root: each one shows the fault of some wrong program of `changes_test.ts`. */
export const SCENARIOS: readonly { readonly name: string; readonly scenario: Scenario }[] = [
  // The inode numbers are the same as before.
  {
    name: "a folder that is restored as a whole",
    scenario: scenario([
      ...add(0),
      by("folder", "keep a copy"),
      ...add(1, 2),
      by("folder", "replace with cp -a"),
      ...add(3),
    ]),
  },
  { name: "readers next to ADDs", scenario: scenario([run("rush")], { pool: "large" }) },
  {
    name: "an import without one lease",
    scenario: scenario([...reference(0, 1, 2), imports("one missing"), ...add(3)], {
      layout: "host-local",
    }),
  },
  {
    name: "a renamed host veth of a reference container",
    scenario: scenario([
      ...reference(0, 1),
      imports("whole"),
      by("host veth: name", "x77"),
      run("del"),
    ]),
  },
  {
    name: "a damaged state on a full disk",
    scenario: scenario([...add(0), by("state", "truncate"), by("disk", "fill"), run("repair", 1)]),
  },
  {
    name: "a full disk",
    scenario: scenario([...add(0), by("disk", "fill"), ...add(1)]),
  },
  {
    name: "a damaged state",
    scenario: scenario([...add(0), by("state", "truncate"), run("repair", 1), ...add(1)]),
  },
  {
    name: "a range of one container's own",
    scenario: scenario([run("add with a range of its own"), ...add(1)], { layout: "host-local" }),
  },
  {
    name: "two networks on a bridge that was removed",
    scenario: scenario([...add(0, 4), GONE, ...add(1, 5)]),
  },
];

const hostile = (what: string, how: string, ...runs: Step["does"][]) =>
  scenario([...add(HOSTILE, 0), by(what, how, HOSTILE), ...runs.map((it) => run(it))], {
    pool: "medium",
  });

/** The first cases of a hostile container, for the same reason. */
export const HOSTILE_SCENARIOS: readonly Scenario[] = [
  hostile("interface: name", "of another host veth", "gc", "gc list"),
  hostile("interface: addresses", "another attachment's", "list", "repair"),
];
