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

/** Cases that failed once, in a reduced form. */
export const KNOWN: readonly { readonly name: string; readonly days: Days }[] = [
  // The inode numbers are the same as before.
  {
    name: "a folder that is restored as a whole",
    days: play([
      ...add(0),
      by("folder", "keep a copy"),
      ...add(1, 2),
      by("folder", "replace with cp -a"),
      ...add(3),
    ]),
  },
  {
    name: "a state that is restored by its hard link",
    days: play([
      ...add(0),
      by("folder", "keep a copy of hard links"),
      ...add(1, 2),
      by("state", "replace with mv"),
      by("lock", "replace with cp"),
      ...add(3),
    ]),
  },
  { name: "readers next to ADDs", days: play([run("rush")], { pool: "large" }) },
  {
    name: "an import without one lease",
    days: play([...reference(0, 1, 2), imports("one missing"), ...add(3)], {
      layout: "host-local",
    }),
  },
  {
    name: "a renamed host veth of a reference container",
    days: play([...reference(0, 1), imports("whole"), by("host veth: name", "x77"), run("del")]),
  },
  {
    name: "an import from another bridge",
    days: play([{ does: "reference", who: 0, bridge: "cni9" }, imports("whole")]),
  },
  {
    name: "an alias with two slashes, and a lost state",
    days: play([
      ...add(0),
      by("host veth: alias", TWO_SLASHES),
      by("state", "remove"),
      ...add(1),
    ]),
  },
  {
    name: "an alias with two slashes, and an older state",
    days: play([
      ...add(0),
      by("folder", "keep a copy"),
      ...add(1),
      by("host veth: alias", TWO_SLASHES, 1),
      by("state", "replace with cp -a"),
      ...add(2),
    ]),
  },
  {
    name: "an alias with two slashes, and another name",
    days: play([
      ...add(0),
      by("host veth: alias", TWO_SLASHES),
      by("host veth: name", "x77"),
      run("del"),
    ]),
  },
  {
    name: "a lock that is removed while an ADD holds it",
    days: play([
      ...add(0),
      by("state", "touch"),
      { ...by("lock", "remove"), inside: true, after: 5 },
    ]),
  },
  {
    name: "a damaged state on a full disk",
    days: play([...add(0), by("state", "truncate"), by("folder", "fill"), run("repair", 1)]),
  },
  {
    name: "a full disk",
    days: play([...add(0), by("folder", "fill"), ...add(1)]),
  },
  {
    name: "a renamed network",
    days: play([...add(0), by("host veth: existence", "nothing"), ...add(4)], {
      layout: "renamed",
    }),
  },
  {
    name: "a renamed host veth, and a bridge that was re-created",
    days: play([...add(0), by("host veth: name", "x77"), GONE, ...add(1), run("repair", 1)]),
  },
  {
    name: "a range of one container's own",
    days: play([run("add with a range of its own"), ...add(1)], { layout: "host-local" }),
  },
  {
    name: "two networks on a bridge that was removed",
    days: play([...add(0, 4), GONE, ...add(1, 5)]),
  },
];
