import { CONTAINERS, HOSTILE, type Layout, LAYOUTS, networkOf, type Pool } from "./layouts.ts";
import type { Random } from "../random.ts";
import { HOSTILE_SCENARIOS, SCENARIOS } from "./scenarios.ts";
import { type Actor, type Change, changeOf, CHANGES, someChange } from "./vocabulary.ts";

const RUNS = {
  root: [
    "add",
    "add of a refused address",
    "add with a range of its own",
    "add with a range of its own",
    "killed add",
    "del",
    "check",
    "gc",
    "gc list",
    "repair",
    "repair",
    "repair",
    "repair",
    "repair",
    "repair --dry-run",
    "status",
    "list",
    "metrics",
  ],
  container: [
    "add",
    "add net1",
    "add net1",
    "check",
    "check",
    "del",
    "gc",
    "gc list",
    "repair",
    "repair",
    "repair --dry-run",
    "list",
  ],
} as const;
/** Folders that `import` reads. */
export const FOLDERS = ["whole", "one missing", "one added", "one doubled"] as const;

export interface Step {
  readonly does:
    | (typeof RUNS)[Actor][number]
    | "change"
    | "rush"
    | "reference"
    | "import";
  readonly who: number;
  readonly change?: Change;
  /** The change happens while an ADD that holds the lock is stopped; another ADD runs after it. */
  readonly inside?: boolean;
  /** The time after which an ADD is killed, or stopped once it has the lock, in milliseconds. */
  readonly after?: number;
  /** The bridge to which the reference plugins attach a container. */
  readonly bridge?: string;
  readonly folder?: (typeof FOLDERS)[number];
  /** An operator runs `repair` if the ADD fails because of the state or the folder, and repeats it if it fails. */
  readonly repairs?: boolean;
}

/** A host with two networks, and the runs and changes on it. */
export interface Scenario {
  readonly layout: Layout;
  readonly pool: Pool;
  readonly steps: readonly Step[];
}

/** Coprime to the number of changes, so that neighbouring cases differ, and all changes have their turn. */
const STRIDE = 97;

/** The named scenarios, then single changes and random days. */
export function rootScenario(random: Random, index: number): Scenario {
  const named = SCENARIOS[index];
  if (named !== undefined) return named.scenario;
  const layout = random.one(LAYOUTS);
  const pool: Pool = random.chance(0.7) ? "small" : "large";
  const alone = index % 3 === 0 ? CHANGES[(index / 3 * STRIDE) % CHANGES.length] : undefined;
  const steps = alone === undefined ? someDays(random) : day(random, alone);
  // Only the reference's dialect has such ranges.
  const isPossible = ({ does }: Step) =>
    layout === "host-local" || does !== "add with a range of its own";
  const repairs = random.chance(0.5);
  const all = steps.filter(isPossible);
  return { layout, pool, steps: all.map((it) => it.does === "add" ? { ...it, repairs } : it) };
}

/** One container changes its own namespace between the runs for itself and for its neighbours. */
export function containerScenario(random: Random, index: number): Scenario {
  const named = HOSTILE_SCENARIOS[index];
  if (named !== undefined) return named;
  const steps = all(random, "container").slice(1).map(add);
  // The order of the first ADDs is the order in the kernel's lists.
  if (!steps.some(({ who }) => who === HOSTILE)) steps.push(add(HOSTILE));
  for (let times = random.between(4, 12); times > 0; times--) {
    const who = random.between(0, FIRST.length - 1);
    if (random.chance(0.45)) {
      steps.push(...done(random, someChange(random, HOSTILE, "container"), "container"));
    } else steps.push(someRun(random, who, "container"));
  }
  return { layout: random.one(["one bridge", "guarded"]), pool: "medium", steps };
}

const FIRST = [...CONTAINERS.keys()].filter((who) => networkOf(who) === 0);

const all = (random: Random, actor: Actor = "root") =>
  random.shuffled(actor === "root" ? [...CONTAINERS.keys()] : FIRST);
const add = (who: number): Step => ({ does: "add", who });
const by = (change: Change): Step => ({ does: "change", who: change.who, change });

/**
 * A change while an ADD holds the lock, or between ADDs. An ADD that does not trust the state holds the lock longer.
 */
function done(random: Random, change: Change, actor: Actor = "root"): Step[] {
  const { who, what } = change;
  const share = what === "lock" ? 0.9 : what.includes(":") ? 0.1 : 0.4;
  if (!random.chance(share)) return [by(change)];
  const isDoubted = actor === "root" && random.chance(0.7);
  const doubt = isDoubted ? [by({ what: "state", how: "touch", who })] : [];
  return [...doubt, { ...by(change), inside: true, after: random.between(0, 15) }];
}

function copy(random: Random, who: number): Step {
  const how = random.one(["keep a copy", "keep a copy of hard links"]);
  return by({ what: "folder", how, who });
}

function restoration(random: Random): Step {
  const what = random.one(["folder", "folder", "state"]);
  const all = CHANGES.filter(([of, how]) => of === what && how.startsWith("replace"));
  return by(changeOf(random, random.one(all), 0));
}

/** The disk is full or read-only from some step on. */
function onSomeDisk(random: Random, steps: Step[]): Step[] {
  if (!random.chance(0.25)) return steps;
  const how = random.one(["fill", "fill", "make read-only"]);
  const at = random.between(0, steps.length);
  return steps.toSpliced(at, 0, by({ what: "disk", how, who: 0 }));
}

/** A change between ADDs, the copies that it may need, and another run. */
function day(random: Random, change: readonly [string, string]): Step[] {
  const [one = 0, ...rest] = all(random);
  return onSomeDisk(random, [
    add(one),
    copy(random, one),
    ...rest.slice(0, random.between(0, 3)).map(add),
    ...done(random, changeOf(random, change, one)),
    ...random.chance(0.3) ? [restoration(random)] : [],
    ...random.chance(0.5) ? [someRun(random, one)] : [],
    ...all(random).map(add),
  ]);
}

function someDays(random: Random): Step[] {
  const steps: Step[] = random.chance(0.3) ? migrated(random) : [];
  for (let day = random.between(1, 2); day > 0; day--) {
    const added = all(random).slice(0, random.between(1, 4));
    if (random.chance(0.15)) steps.push({ does: "rush", who: added[0] ?? 0 });
    else steps.push(...added.map(add));
    if (random.chance(0.4)) {
      steps.splice(random.between(0, steps.length - 1), 0, copy(random, 0));
      if (random.chance(0.7)) steps.push(restoration(random));
    }
    const one = random.one(added);
    const someone = () => random.chance(0.75) ? one : random.between(0, CONTAINERS.length - 1);
    for (let times = random.between(0, 4); times > 0; times--) {
      steps.push(...done(random, someChange(random, someone(), "root")));
    }
    for (let times = random.between(0, 3); times > 0; times--) {
      steps.push(someRun(random, someone()));
    }
  }
  return onSomeDisk(random, [...steps, ...all(random).map(add)]);
}

function someRun(random: Random, who: number, actor: Actor = "root"): Step {
  const does = random.one<Step["does"]>(RUNS[actor]);
  // Most containers are attached already, and an ADD of another one is of more use.
  const all = actor === "root" && does.includes("add");
  const whom = all ? random.between(0, CONTAINERS.length - 1) : who;
  return { does, who: whom, ...(does === "killed add" && { after: random.between(20, 120) }) };
}

/** Containers of the reference's plugins, and the import of their leases. */
function migrated(random: Random): Step[] {
  const bridge = random.one(["atomic0", "atomic0", "cni9"]);
  const ids = all(random).filter((who) => networkOf(who) === 0).slice(0, random.between(1, 3));
  const folder = random.one(FOLDERS);
  const references = ids.map((who): Step => ({ does: "reference", who, bridge }));
  const one = ids[0] ?? 0;
  const changes = random.chance(0.5)
    ? [by(someChange(random, one, "root", [/^host veth: (name|alias|MAC)$/]))]
    : [];
  return [...references, { does: "import", who: one, folder }, ...changes];
}
