import type { Days, Step } from "./days.ts";

const add = (...all: number[]): Step[] => all.map((who) => ({ does: "add", who }));
const by = (what: string, how: string, who = 0): Step => ({
  does: "deed",
  who,
  deed: { what, how, who },
});
const run = (does: Step["does"], who = 0): Step => ({ does, who });
const reference = (...all: number[]): Step[] =>
  all.map((who) => ({ does: "reference", who, bridge: "atomic0" }));
const imports = (folder: Step["folder"]): Step => ({
  ...run("import"),
  ...(folder !== undefined && { folder }),
});
const play = (steps: readonly Step[], more: Partial<Days> = {}): Days => ({
  layout: "one bridge",
  pool: "small",
  steps,
  ...more,
});
const GONE = by("bridge: existence", "nothing");
const TWO_SLASHES = "dc1/rack2/web";

/** Cases that went wrong once, made smaller. */
export const KNOWN: readonly Days[] = [
  // A folder that is restored as a whole, with the inode numbers that it had.
  play([
    ...add(0),
    by("folder", "keep a copy"),
    ...add(1, 2),
    by("folder", "replace with cp -a"),
    ...add(3),
  ]),
  play([
    ...add(0),
    by("folder", "keep a copy of hard links"),
    ...add(1, 2),
    by("state", "replace with mv"),
    by("lock", "replace with cp"),
    ...add(3),
  ]),
  play([run("rush")], { pool: "large" }),
  play([...reference(0, 1, 2), imports("one missing"), ...add(3)], { layout: "host-local" }),
  play([...reference(0, 1), imports("whole"), by("host veth: name", "x77"), run("del")]),
  play([{ does: "reference", who: 0, bridge: "cni9" }, imports("whole")]),
  // An alias of root's own that reads like another network's attachment.
  play([...add(0), by("host veth: alias", TWO_SLASHES), by("state", "remove"), ...add(1)]),
  play([
    ...add(0),
    by("folder", "keep a copy"),
    ...add(1),
    by("host veth: alias", TWO_SLASHES, 1),
    by("state", "replace with cp -a"),
    ...add(2),
  ]),
  play([
    ...add(0),
    by("host veth: alias", TWO_SLASHES),
    by("host veth: name", "x77"),
    run("del"),
  ]),
  // The lock is removed while an ADD holds it.
  play([
    ...add(0),
    by("state", "touch"),
    { ...by("lock", "remove"), inside: true, after: 5 },
  ]),
  play([...add(0), by("state", "truncate"), by("folder", "fill"), run("repair", 1)]),
  play([...add(0), by("host veth: existence", "nothing"), ...add(4)], { layout: "renamed" }),
  play([...add(0), by("host veth: name", "x77"), GONE, ...add(1), run("repair", 1)]),
  play([run("add with a range of its own"), ...add(1)], { layout: "host-local" }),
  play([...add(0, 4), GONE, ...add(1, 5)]),
];
