import type { Random } from "./random.ts";
import { CONTAINERS, someCarelessness } from "./root.ts";

const DOES = [
  "del",
  "del",
  "check",
  "gc",
  "gc list",
  "repair",
  "list",
  "killed add",
  "add",
] as const;

export interface Step {
  /** Something that root does by hand. */
  readonly by?: string;
  /** Or a run of the program. */
  readonly does?: (typeof DOES)[number];
  readonly who: number;
  /** When an ADD is killed, in milliseconds. */
  readonly after?: number;
}

const add = (who: number): Step => ({ does: "add", who });
const by = (what: string, who: number): Step => ({ by: what, who });

/** What was once tried by hand, and went wrong. */
export const KNOWN: readonly (readonly Step[])[] = [
  [add(0), by("renames a host veth", 0), { does: "del", who: 0 }, add(1), add(2), add(3)],
  [
    add(0),
    by("keeps a copy of the state", 0),
    add(1),
    by("puts the older copy back", 0),
    add(2),
    add(3),
  ],
  [add(0), by("removes the state file", 0), add(1), add(2), add(3)],
  [add(0), by("hides a namespace", 0), by("removes the state file", 0), add(1), add(2)],
  [
    add(0),
    add(1),
    by("hides a namespace", 0),
    by("removes the state file", 0),
    { does: "repair", who: 1 },
    add(2),
    add(3),
  ],
  [add(0), add(1), by("takes a container out of the state", 0), add(2), add(3)],
  [add(0), add(1), by("takes a host veth out of the bridge", 0), { does: "gc list", who: 0 }],
  [
    add(3),
    by("renames a host veth to one like the others", 3),
    by("writes an alias of its own", 3),
    by("deletes the bridge", 0),
    add(2),
    add(1),
    add(0),
  ],
  [
    add(3),
    by("keeps a copy of the state", 3),
    { does: "del", who: 3 },
    add(3),
    by("puts the older copy back", 3),
    add(2),
  ],
  [
    add(0),
    by("keeps a copy of the state", 0),
    add(1),
    by("puts the older copy back", 0),
    { does: "del", who: 0 },
    add(2),
  ],
];

/** Some ADDs, then something done by hand, then other runs, and again; at the end everyone wants an address. */
export function days(random: Random): Step[] {
  const steps: Step[] = [];
  const anyone = () => random.between(0, CONTAINERS.length - 1);
  const all = () => CONTAINERS.map((_, who) => who).sort(() => random.next() - 0.5);
  for (let day = random.between(1, 3); day > 0; day--) {
    const added = all().slice(0, random.between(1, 3));
    for (const who of added) steps.push({ does: "add", who });
    const one = random.one(added);
    const someone = () => random.chance(0.75) ? one : anyone();
    for (let times = random.between(1, 2); times > 0; times--) {
      steps.push({ by: someCarelessness(random), who: someone() });
    }
    for (let times = random.between(0, 2); times > 0; times--) {
      const does = random.one(DOES);
      const after = does === "killed add" ? { after: random.between(20, 120) } : {};
      steps.push({ does, who: someone(), ...after });
    }
  }
  return [...steps, ...all().map((who): Step => ({ does: "add", who }))];
}
