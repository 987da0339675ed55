import { type Json, STATE_FOLDER } from "../integration/host.ts";
import { type Attribute, attributeOf } from "./attributes.ts";
import { HOST_OPERATIONS, NAMESPACES, PAIRS } from "./containers.ts";
import {
  DISK,
  DISK_OPERATIONS,
  EDITS,
  FILES,
  FIND_SAVED,
  FOLDER_OPERATIONS,
  OPERATIONS,
} from "./folder.ts";
import { type Change, PAIR } from "./vocabulary.ts";

/** The facts about the host that a change needs. */
export interface Subject {
  readonly id: string;
  readonly ip: string;
  /** The link that the subject names: the container's own, that of another container, or that of the other network. */
  readonly link: Json;
  readonly another: Json;
  readonly others: Json;
  /** The host veth of another container. */
  readonly anotherHost: Json;
  /** An address of another container. */
  readonly anotherIp: string;
  /** Value of the attribute before the first change. */
  readonly before: string | undefined;
}

/** Present value of the attribute that a change sets. */
export function valueOf(what: string, link: Json): string | undefined {
  return link === undefined ? undefined : attributeOf(what)?.read(link);
}

/** The shell script of a change. It may fail. */
export function scriptOf({ what, how }: Change, at: Subject): string {
  const { ifname: veth = "none", ifalias: alias = "" } = at.anotherHost ?? {};
  const variables = `id=${at.id} ip=${at.ip} in='nsenter --net=/run/keep/${at.id}'
    veth='${veth}' alias='${alias}' other=${at.anotherIp}; cd ${STATE_FOLDER} || exit; ${FIND_SAVED}`;
  if (what.includes(": ")) return `${variables}; ${linkScript(what, how, at)}`;
  if (what === "namespace") return `${variables}; ${NAMESPACES[how]}`;
  if (what === "host") return HOST_OPERATIONS[how] ?? "";
  if (what === PAIR) return `${variables}; ${PAIRS[how]}`;
  const [pattern, left] = FILES[what] ?? [];
  if (pattern === undefined) {
    return `${variables}; cd ${DISK}/state; ${FOLDER_OPERATIONS[how] ?? DISK_OPERATIONS[how]}`;
  }
  return `${variables}; cd ${DISK}/state; ${left === undefined ? "" : `ls ${pattern} || : >${left}`}
    for f in ${pattern}; do c="$saved/$f"; [ -e "$f" ] || [ -e "$c" ] || continue
    ${OPERATIONS[how] ?? EDITS[how]}\n done`;
}

function linkScript(what: string, how: string, at: Subject): string {
  const [kind = "", name = ""] = what.split(": ");
  const attribute = attributeOf(what);
  if (at.link === undefined || attribute === undefined) return ":";
  const isInside = kind === "interface" || kind === "loopback";
  const ip = isInside ? "$in ip" : "ip";
  const dev = `dev '${at.link.ifname}'`;
  const value = valueFor(how, attribute, at);
  switch (name) {
    case "existence":
      return `${ip} link del ${dev}`;
    case "addresses":
    case "routes": {
      const command = name === "routes" ? "route" : "addr";
      return `${ip} ${command} ${value === "" ? `flush ${dev}` : `add ${value} ${dev}`}`;
    }
    case "namespace": {
      const back = isInside ? at.id : "$$";
      if (value !== "1") return `${ip} link set ${dev} netns ${value}`;
      return `${ip} link set ${dev} netns elsewhere; ip -n elsewhere link set ${dev} netns ${back}`;
    }
    default: {
      const before = value === "third0" ? `${ip} link add name third0 type bridge;` : "";
      return `${before} ${ip} link set ${dev} ${attribute.set(value)}`;
    }
  }
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
    case "of another host veth":
      return of(at.anotherHost);
    case "another network's":
      return of(at.others);
    default:
      return how;
  }
}
