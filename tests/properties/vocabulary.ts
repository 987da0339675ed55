import { attributeOf, ATTRIBUTES } from "./attributes.ts";
import { HOST_OPERATIONS, NAMESPACES, PAIRS } from "./containers.ts";
import { DISK_OPERATIONS, EDITS, FILES, FOLDER_OPERATIONS, OPERATIONS } from "./folder.ts";
import type { Random } from "../random.ts";

/*
 * Everything that somebody changes by hand on a host, as subject × operation. A container may change only what is in its own
 * namespace, root may change everything, at any moment: between two runs, or while an ADD that holds the lock is stopped.
 *
 * | subject                                 | operation                                             | defined in    | by        |
 * | --------------------------------------- | ----------------------------------------------------- | ------------- | --------- |
 * | interface: ATTRIBUTE, loopback: addresses | a kind of value (VALUES, or random)                 | attributes.ts | both      |
 * | veth pair in the container              | make it with a name of the host                       | containers.ts | both      |
 * | host veth: ATTRIBUTE, bridge: ATTRIBUTE | a kind of value                                       | attributes.ts | root      |
 * | host                                    | reboot                                                | containers.ts | root      |
 * | namespace                               | hide, rename, delete                                  | containers.ts | root      |
 * | state, lock, marks, temporaries, backups | remove, move, truncate, replace in 7 ways, link, mode … | folder.ts   | root      |
 * | state                                   | edit its text                                         | folder.ts     | root      |
 * | folder                                  | keep a copy, remove, move, replace, mode, owner …     | folder.ts     | root      |
 * | disk                                    | fill, free, make read-only, make writable             | folder.ts     | root      |
 */

/** The actor of a scenario. */
export type Actor = "root" | "container";

/** A change by hand. */
export interface Change {
  /** The subject. */
  readonly what: string;
  /** One of `VALUES` or a text for an attribute, else one of the subject's operations. */
  readonly how: string;
  /** Index of the container that it concerns. */
  readonly who: number;
}

const LINKS = ["host veth", "bridge", "interface"] as const;
const VALUES = [
  "the value before",
  "nothing",
  "another attachment's",
  "of another host veth",
  "another network's",
] as const;

export const PAIR = "veth pair in the container";
const LOOPBACK = "loopback: addresses";

const operations = (what: string, table: Readonly<Record<string, string>>) =>
  Object.keys(table).map((how) => [what, how] as const);
const values = (what: string) => [...VALUES, "random"].map((how) => [what, how] as const);

/** Every subject with each of its operations or kinds of value. */
export const CHANGES: readonly (readonly [what: string, how: string])[] = [
  ...LINKS.flatMap((link) =>
    Object.keys(ATTRIBUTES).flatMap((attribute) => values(`${link}: ${attribute}`))
  ).filter(([what, how]) => how === "nothing" || !what.endsWith("existence")),
  ...values(LOOPBACK),
  ...operations(PAIR, PAIRS),
  ...operations("namespace", NAMESPACES),
  ...operations("host", HOST_OPERATIONS),
  ...Object.keys(FILES).flatMap((file) => operations(file, OPERATIONS)),
  ...operations("state", EDITS),
  ...operations("folder", FOLDER_OPERATIONS),
  ...operations("disk", DISK_OPERATIONS),
];
const SUBJECTS = [...new Set(CHANGES.map(([what]) => what))];

/** Subjects; those on which more of the program's decisions depend are more frequent. */
const GROUPS: Readonly<Record<Actor, readonly RegExp[]>> = {
  root: [
    /^host veth: (name|alias|MAC|group)$/,
    /^host veth: name$/,
    /^host veth: alias$/,
    /: existence$|^namespace$/,
    /^bridge: (existence|name|addresses)$/,
    /^bridge: existence$/,
    /^state$/,
    /^state$/,
    /^folder$/,
    /^lock$/,
    /^lock$/,
    /^disk$/,
    /^host$/,
    /: /,
    /^/,
  ],
  container: [
    /^interface: (addresses|routes|MAC)$|^loopback/,
    /^interface: name$/,
    /^interface: alias$/,
    /^interface|^veth pair/,
  ],
};

/** Sorts of operations on a file: each is as frequent as the others. */
const SORTS = [
  /^(remove|move)$/,
  /^(truncate|empty)$/,
  /^replace|^keep/,
  /^(drop|change|name)/,
  /^/,
];

/** A random change. */
export function someChange(
  random: Random,
  who: number,
  actor: Actor,
  groups: readonly RegExp[] = GROUPS[actor],
): Change {
  const group = random.one(groups);
  const subject = random.one(SUBJECTS.filter((it) => group.test(it)));
  const all = CHANGES.filter(([what]) => what === subject);
  const hasRandom = all.some(([, how]) => how === "random");
  if (hasRandom && random.chance(0.6)) return changeOf(random, [subject, "random"], who);
  const sort = random.one(SORTS.filter((it) => all.some(([, how]) => it.test(how))));
  return changeOf(random, random.one(all.filter(([, how]) => sort.test(how))), who);
}

/** A change with its random value. */
export function changeOf(
  random: Random,
  [what, how]: readonly [string, string],
  who: number,
): Change {
  const value = how === "random" ? attributeOf(what)?.random(random) ?? how : how;
  return { what, how: value, who };
}
