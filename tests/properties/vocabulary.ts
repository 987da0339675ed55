import { CONFIG, type Json, STATE_FOLDER } from "../integration/host.ts";
import { type Attribute, ATTRIBUTES } from "./attributes.ts";
import { DISK, EDITS, FILES, FIND_SAVED, FOLDER_OPERATIONS, OPERATIONS } from "./folder.ts";
import type { Random } from "../random.ts";

/** A change that root makes by hand. */
export interface Deed {
  /** A link's attribute, a file, a namespace: `SUBJECTS` lists them. */
  readonly what: string;
  /** One of `VALUES` or a text for an attribute, else one of the subject's operations. */
  readonly how: string;
  /** Index of the container that it concerns. */
  readonly who: number;
}

const LINKS = ["host veth", "bridge", "interface"] as const;
export const VALUES = [
  "the value before",
  "nothing",
  "another attachment's",
  "another network's",
] as const;

const NAMESPACES: Readonly<Record<string, string>> = {
  hide: "umount /run/netns/$id && rm /run/netns/$id",
  rename: `touch /run/netns/moved-$id && mount --bind /run/netns/$id /run/netns/moved-$id &&
    umount /run/netns/$id && rm /run/netns/$id`,
  delete: `umount /run/netns/*$id; rm -f /run/netns/*$id; umount /run/keep/$id; rm /run/keep/$id`,
};

/** Every deed without its target: subject × operation or kind of value. */
export const DEEDS: readonly (readonly [what: string, how: string])[] = [
  ...LINKS.flatMap((link) =>
    Object.keys(ATTRIBUTES).flatMap((attribute) =>
      [...VALUES, "random"].map((value) => [`${link}: ${attribute}`, value] as const)
    )
  ).filter(([what, how]) => how === "nothing" || !what.endsWith("existence")),
  ...Object.keys(FILES).flatMap((file) =>
    operationsOn(file).map((operation) => [file, operation] as const)
  ),
  ...Object.keys(NAMESPACES).map((operation) => ["namespace", operation] as const),
];

function operationsOn(file: string): string[] {
  if (file === "folder") return Object.keys(FOLDER_OPERATIONS);
  return [...Object.keys(OPERATIONS), ...(file === "state" ? Object.keys(EDITS) : [])];
}

/** Subjects; those on which more of the program's decisions depend are more frequent. */
const GROUPS = [
  /^host veth: (name|alias|MAC|group)$/,
  /^host veth: (name|alias)$/,
  /^bridge: (existence|name|addresses)$/,
  /^state$/,
  /^state$/,
  /^(folder|lock)$/,
  /: /,
  /^/,
] as const;

/** A random deed. */
export function someDeed(random: Random, who: number): Deed {
  const group = random.one(GROUPS);
  const subject = random.one(
    [...new Set(DEEDS.map(([what]) => what))].filter((it) => group.test(it)),
  );
  const deeds = DEEDS.filter(([what]) => what === subject);
  const hasRandom = deeds.some(([, how]) => how === "random");
  const deed = hasRandom && random.chance(0.4) ? [subject, "random"] as const : random.one(deeds);
  return deedOf(random, deed, who);
}

/** A deed with its random value. */
export function deedOf(random: Random, [what, how]: readonly [string, string], who: number): Deed {
  const attribute = ATTRIBUTES[what.split(": ")[1] ?? ""];
  const value = how === "random" ? attribute?.random(random) ?? how : how;
  return { what, how: value, who };
}

/** The facts about the host that a deed needs. */
export interface Subject {
  readonly id: string;
  readonly ip: string;
  /** The link that the subject names: the container's own, that of another container, or that of the other network. */
  readonly link: Json;
  readonly another: Json;
  readonly others: Json;
  /** Value of the attribute before the first deed. */
  readonly before: string | undefined;
}

/** Present value of the attribute that a deed changes. */
export function valueOf(what: string, link: Json): string | undefined {
  const attribute = ATTRIBUTES[what.split(": ")[1] ?? ""];
  return link === undefined ? undefined : attribute?.read(link);
}

/** The shell script of a deed. It may fail. */
export function scriptOf({ what, how }: Deed, at: Subject): string {
  const variables = `id=${at.id} ip=${at.ip}; cd ${STATE_FOLDER} || exit; ${FIND_SAVED}`;
  const [kind = "", attribute = ""] = what.split(": ");
  if (attribute !== "") return linkScript(kind, attribute, how, at);
  if (what === "namespace") return `${variables}; ${NAMESPACES[how]}`;
  if (what === "folder") return `${variables}; cd ${DISK}/state; ${FOLDER_OPERATIONS[how]}`;
  const [pattern, left] = FILES[what] ?? [];
  return `${variables}; cd ${DISK}/state; ${left === undefined ? "" : `ls ${pattern} || : >${left}`}
    for f in ${pattern}; do c="$saved/$f"; [ -e "$f" ] || [ -e "$c" ] || continue
    ${OPERATIONS[how] ?? EDITS[how]}\n done`;
}

function linkScript(kind: string, name: string, how: string, at: Subject): string {
  const attribute = ATTRIBUTES[name];
  if (at.link === undefined || attribute === undefined) return ":";
  const enter = kind === "interface" ? `nsenter --net=/run/keep/${at.id}` : "";
  const dev = `dev '${at.link.ifname}'`;
  if (name === "existence") return `${enter} ip link del ${dev}`;
  const value = valueFor(how, attribute, at);
  const before = value === "third0" ? "ip link add name third0 type bridge;" : "";
  if (name === "addresses") {
    const addresses = value === "" ? `flush ${dev}` : `add ${value} ${dev}`;
    return `${enter} ip addr ${addresses}`;
  }
  if (name === "namespace" && value === "1") {
    const back = kind === "interface" ? at.id : "$$";
    return `${enter} ip link set ${dev} netns elsewhere; ip -n elsewhere link set ${dev} netns ${back}`;
  }
  return `${before} ${enter} ip link set ${dev} ${attribute.set(value)}`;
}

function valueFor(how: string, attribute: Attribute, at: Subject): string {
  const of = (link: Json) => link === undefined ? attribute.empty : attribute.read(link);
  switch (how) {
    case "the value before":
      return at.before ?? of(at.link);
    case "nothing":
      return attribute.empty;
    case "another attachment's":
      return of(at.another);
    case "another network's":
      return of(at.others);
    default:
      return how;
  }
}

/** Removes every obstacle in the state folder that a DEL can't remove. */
export const CLEAR = `cd ${DISK}/state; chattr -i . ./* .[a-z]*; rm -f filler.* ./*.link
  chown root . ./*; chmod 700 .; chmod 600 ./*.json ./*.lock; find . -type l -delete
  for f in *.lock; do mv "$f" f && cp f "$f" && rm f; done
  rmdir ./*.json ./*.lock .[a-z]*.tmp .[a-z]*.add; ip link set dev ${CONFIG.bridge} up`;

/** Creates the containers: each namespace has a second name, so that it can always be entered. */
export function containersScript(ids: readonly string[]): string {
  const of = (id: string) =>
    `ip netns add ${id}; touch /run/keep/${id}; mount --bind /run/netns/${id} /run/keep/${id}
    ip -n ${id} link set dev lo up`;
  // ext4 with a journal reuses an inode number at once, a tmpfs does not. Only root may mount it.
  return `mkdir -p /run/keep ${DISK}; ip netns add elsewhere\n${ids.map(of).join("\n")}
    truncate -s 8M /run/image; mkfs.ext4 -q /run/image
    mount -o loop /run/image ${DISK} 2>/dev/null || mount -t tmpfs tmpfs ${DISK}
    mkdir -p -m 700 ${STATE_FOLDER}/.deno ${DISK}/state/.deno; chmod 700 ${DISK}/state
    mount --bind ${STATE_FOLDER}/.deno ${DISK}/state/.deno
    mount --rbind ${DISK}/state ${STATE_FOLDER}`;
}
