import { CONTAINERS, type Layout, LAYOUTS, networkOf, type Pool } from "./layouts.ts";
import { KNOWN } from "./known.ts";
import type { Random } from "../random.ts";
import { type Deed, deedOf, DEEDS, someDeed } from "./vocabulary.ts";

const RUNS = [
  "add",
  "add of a refused address",
  "add with a range of its own",
  "killed add",
  "del",
  "check",
  "gc",
  "gc list",
  "repair",
  "repair",
  "repair --dry-run",
  "status",
  "list",
  "metrics",
] as const;
/** Folders that `import` reads. */
export const FOLDERS = ["whole", "one missing", "one added", "one doubled"] as const;

export interface Step {
  readonly does: (typeof RUNS)[number] | "deed" | "rush" | "reference" | "import";
  readonly who: number;
  /** A change by hand. */
  readonly deed?: Deed;
  /** The deed happens while an ADD that holds the lock is stopped; another ADD runs after it. */
  readonly inside?: boolean;
  /** The time after which an ADD is killed, or stopped once it has the lock, in milliseconds. */
  readonly after?: number;
  /** The bridge to which the reference plugins attach a container. */
  readonly bridge?: string;
  readonly folder?: (typeof FOLDERS)[number];
}

export interface Days {
  readonly layout: Layout;
  readonly pool: Pool;
  readonly steps: readonly Step[];
}

/** Coprime to the number of deeds, so that neighbouring cases have different deeds, and all deeds have their turn. */
const STRIDE = 97;

/** The known cases, then single deeds and random days in turn. */
export function days(random: Random, index: number): Days {
  const known = KNOWN[index];
  if (known !== undefined) return known.days;
  const layout = random.one(LAYOUTS);
  const pool: Pool = random.chance(0.7) ? "small" : "large";
  const alone = index % 2 === 0 ? DEEDS[(index / 2 * STRIDE) % DEEDS.length] : undefined;
  const steps = alone === undefined ? someDays(random) : day(random, alone);
  // Only the reference's dialect has such ranges.
  const isPossible = ({ does }: Step) =>
    layout === "host-local" || does !== "add with a range of its own";
  return { layout, pool, steps: steps.filter(isPossible) };
}

const all = (random: Random) => random.shuffled([...CONTAINERS.keys()]);
const add = (who: number): Step => ({ does: "add", who });

const by = (deed: Deed): Step => ({ does: "deed", who: deed.who, deed });

/**
 * A deed while an ADD holds the lock, or between ADDs. An ADD that does not trust the state holds the lock longer.
 */
function done(random: Random, deed: Deed): Step[] {
  const { who, what } = deed;
  if (!random.chance(what.includes(":") ? 0.1 : 0.4)) return [by(deed)];
  const doubt = random.chance(0.7) ? [by({ what: "state", how: "touch", who })] : [];
  return [...doubt, { ...by(deed), inside: true, after: random.between(0, 15) }];
}

function copy(random: Random, who: number): Step {
  const how = random.one(["keep a copy", "keep a copy of hard links"]);
  return by({ what: "folder", how, who });
}

function restoration(random: Random): Step {
  const what = random.one(["folder", "folder", "state"]);
  const all = DEEDS.filter(([of, how]) => of === what && how.startsWith("replace"));
  return by(deedOf(random, random.one(all), 0));
}

/** A deed between ADDs, the copies that it may need, and another run. */
function day(random: Random, deed: readonly [string, string]): Step[] {
  const [one = 0, ...rest] = all(random);
  return [
    add(one),
    copy(random, one),
    ...rest.slice(0, random.between(0, 3)).map(add),
    ...done(random, deedOf(random, deed, one)),
    ...random.chance(0.5) ? [someRun(random, one)] : [],
    ...all(random).map(add),
  ];
}

function someDays(random: Random): Step[] {
  const steps: Step[] = random.chance(0.25) ? migrated(random) : [];
  for (let day = random.between(1, 3); day > 0; day--) {
    const added = all(random).slice(0, random.between(1, 4));
    if (random.chance(0.15)) steps.push({ does: "rush", who: added[0] ?? 0 });
    else steps.push(...added.map(add));
    if (random.chance(0.3)) {
      steps.splice(random.between(0, steps.length), 0, copy(random, 0));
      if (random.chance(0.5)) steps.push(restoration(random));
    }
    const one = random.one(added);
    const someone = () => random.chance(0.75) ? one : random.between(0, CONTAINERS.length - 1);
    for (let times = random.between(0, 3); times > 0; times--) {
      const who = someone();
      steps.push(...done(random, someDeed(random, who)));
    }
    for (let times = random.between(0, 2); times > 0; times--) {
      steps.push(someRun(random, someone()));
    }
  }
  return [...steps, ...all(random).map(add)];
}

function someRun(random: Random, who: number): Step {
  const does = random.one(RUNS);
  return { does, who, ...(does === "killed add" && { after: random.between(20, 120) }) };
}

/** Containers of the reference's plugins, and the import of their leases. */
function migrated(random: Random): Step[] {
  const bridge = random.one(["atomic0", "atomic0", "cni9"]);
  const ids = all(random).filter((who) => networkOf(who) === 0).slice(0, random.between(1, 3));
  const folder = random.one(FOLDERS);
  const references = ids.map((who): Step => ({ does: "reference", who, bridge }));
  return [...references, { does: "import", who: ids[0] ?? 0, folder }];
}
