import type { Json } from "../integration/host.ts";
import type { Random } from "../random.ts";

/** Attributes of links: how each is read and set, and the values that root sets. */
export interface Attribute {
  readonly read: (link: Json) => string;
  /** Arguments of `ip link set dev NAME`. */
  readonly set: (value: string) => string;
  readonly empty: string;
  readonly random: (random: Random) => string;
}

const WORDS = ["web", "dc1", "rack2", "k1", "eth0", "podnet", "other", "7", "10.86.0.3", "-x"];
const hex = (random: Random, length: number) =>
  Array.from({ length }, () => random.between(0, 15).toString(16)).join("");
const mac = (random: Random) => `02:${hex(random, 10).replace(/..(?=.)/g, "$&:")}`;

/** A text with any number of slashes, blanks and digits. */
function someText(random: Random): string {
  const words = Array.from({ length: random.one([1, 2, 3, 3, 4]) }, () => random.one(WORDS));
  return words.join(random.one(["/", "/", "/", " ", "//", "."]));
}

/** Names with a special meaning to `ip`, to this program, or to a shell. */
const NAMES = ["if1", "if3", "if4", "if5", "if9", "atomic0", "net1", "eth0", "dev", "up"] as const;
const QUOTED = ["a#b", 'a"b', "a\\b"] as const;

const PORT_FLAGS = ["isolated", "hairpin", "locked", "learning", "flood"] as const;

export const ATTRIBUTES: Readonly<Record<string, Attribute>> = {
  name: {
    read: ({ ifname }) => ifname,
    set: (value) => `name '${value}'`,
    empty: "x",
    random: (random) =>
      random.one([`av${hex(random, 13)}`, `x${hex(random, 4)}`, random.one([...NAMES, ...QUOTED])]),
  },
  alias: {
    read: ({ ifalias }) => ifalias ?? "",
    set: (value) => `alias '${value}'`,
    empty: "",
    random: someText,
  },
  MAC: {
    read: ({ address }) => address,
    set: (value) => `address ${value}`,
    empty: "00:00:00:00:00:00",
    random: mac,
  },
  group: {
    read: ({ group }) => group,
    set: (value) => `group ${value}`,
    empty: "default",
    random: (random) => String(random.between(1, 99_999)),
  },
  master: {
    read: ({ master }) => master ?? "",
    set: (value) => value === "" ? "nomaster" : `master ${value}`,
    empty: "",
    random: () => "third0",
  },
  up: {
    read: ({ flags }) => flags.includes("UP") ? "up" : "down",
    set: (value) => value,
    empty: "down",
    random: (random) => random.one(["up", "down"]),
  },
  MTU: {
    read: ({ mtu }) => String(mtu),
    set: (value) => `mtu ${value}`,
    empty: "68",
    random: (random) => String(random.between(68, 9000)),
  },
  "port flags": {
    read: ({ linkinfo }) =>
      PORT_FLAGS.map((it) => `${it} ${linkinfo?.info_slave_data?.[it] ? "on" : "off"}`).join(" "),
    set: (value) => `type bridge_slave ${value}`,
    empty: PORT_FLAGS.map((it) => `${it} off`).join(" "),
    random: (random) => PORT_FLAGS.map((it) => `${it} ${random.one(["on", "off"])}`).join(" "),
  },
  namespace: {
    read: () => "1",
    set: (value) => `netns ${value}`,
    empty: "elsewhere",
    random: (random) => random.one(["elsewhere", "/run/keep/nested"]),
  },
  existence: { read: () => "", set: () => "", empty: "", random: () => "" },
  addresses: {
    read: ({ addr_info = [] }) => `${addr_info[0]?.local}/${addr_info[0]?.prefixlen}`,
    set: (value) => value,
    empty: "",
    random: (random) => {
      const last = random.between(1, 9);
      return random.one([`10.86.0.${last}/24`, `fd00:88::${last}/64 nodad`, "192.0.2.9/24"]);
    },
  },
  routes: {
    read: ({ addr_info = [] }) => addr_info[0]?.local ?? "",
    set: (value) => value,
    empty: "",
    random: (random) => `10.86.0.${random.between(1, 9)}/32`,
  },
};

/** The attribute of a subject like "host veth: name"; `undefined` for other subjects. */
export function attributeOf(what: string): Attribute | undefined {
  return ATTRIBUTES[what.split(": ")[1] ?? ""];
}
