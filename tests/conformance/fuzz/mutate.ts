import type { Json } from "../../integration/host.ts";
import { NET } from "../../podnet.ts";
import { randomFrom } from "../../random.ts";

/** One input of a run: its environment and its stdin. */
export interface Case {
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: string;
}

type Random = () => number;
const pick = <T>(random: Random, from: readonly T[]): T =>
  from[Math.floor(random() * from.length)] as T;

const PREVIOUS = {
  cniVersion: "1.1.0",
  interfaces: [
    { name: "atomic0", mac: "0a:58:0a:56:00:01", mtu: 1500 },
    { name: "av0123456789abc", mac: "fe:00:00:00:00:01" },
    { name: "eth0", mac: "0a:58:0a:56:00:02", sandbox: "/run/netns/c1" },
  ],
  ips: [{ interface: 2, address: "10.86.0.2/24", gateway: "10.86.0.1" }],
  routes: [{ dst: "0.0.0.0/0", gw: "10.86.0.1" }, { dst: "fd00::/8", gw: "fd00::1" }],
  dns: { nameservers: ["10.0.0.1"] },
};
/** A valid configuration with every key that a runtime adds. */
const OWN = {
  ...NET,
  mtu: 1400,
  dns: { nameservers: ["10.0.0.1"], search: ["a.b"] },
  runtimeConfig: { ips: ["10.86.0.9"], mac: "0a:00:00:00:00:09" },
  args: { cni: { ips: ["10.86.0.8"], mac: "0a:00:00:00:00:08" } },
  "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }],
  prevResult: PREVIOUS,
};
const PAIR = {
  cniVersion: "1.0.0",
  name: "podnet",
  type: "atomicni",
  bridge: "cni0",
  isGateway: true,
  isDefaultGateway: true,
  forceAddress: false,
  hairpinMode: true,
  portIsolation: false,
  ipMasq: false,
  ipam: {
    type: "host-local",
    ranges: [[{
      subnet: "10.86.0.0/24",
      rangeStart: "10.86.0.5",
      rangeEnd: "10.86.0.9",
      gateway: "10.86.0.1",
    }]],
    routes: [{ dst: "10.1.0.0/16", gw: "10.86.0.1", priority: 5, table: 100, scope: 0, mtu: 1300 }],
    dataDir: "/var/lib/atomicni/sub",
  },
  runtimeConfig: { ipRanges: [[{ subnet: "10.86.0.0/24", rangeStart: "10.86.0.6" }]] },
};
const V6 = { subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
/** The result of an ADD with both families. */
const PREVIOUS_DUAL = {
  ...PREVIOUS,
  ips: [...PREVIOUS.ips, { interface: 2, address: "fd00:88::2/64", gateway: "fd00:88::1" }],
  routes: [{ dst: "0.0.0.0/0", gw: "10.86.0.1" }, { dst: "::/0", gw: "fd00:88::1" }],
};
/** Both families in each dialect, several ranges in a set, and no addresses at all. */
const DUAL = {
  ...OWN,
  ...V6,
  macspoofchk: true,
  ipam: { rangeStart6: "fd00:88::5", rangeEnd6: "fd00:88::9", routes: [{ dst: "::/0" }] },
  runtimeConfig: { ips: ["10.86.0.9", "fd00:88::9"] },
  args: { cni: { ips: ["FD00:88:0::8/64"], mac: "0a:00:00:00:00:08" } },
  prevResult: PREVIOUS_DUAL,
};
const SETS = {
  ...PAIR,
  ipam: {
    type: "host-local",
    ranges: [
      [{ subnet: "10.86.0.0/24", rangeStart: "10.86.0.5" }, { subnet: "10.87.0.0/30" }],
      [{ subnet: "fd00:88::/64", rangeStart: "fd00:88::5", gateway: "fd00:88::fe" }],
    ],
    routes: [{ dst: "fd01::/32", gw: "fd00:88::fe", priority: 5, mtu: 1300 }],
  },
  runtimeConfig: { ips: ["fd00:88::9"], ipRanges: [[{ subnet: "fd00:89::/64" }]] },
};
const LAYER2 = {
  ...{ cniVersion: "1.1.0", name: "podnet", type: "atomicni", bridge: "cni0", ipam: {} },
  disableContainerInterface: true,
  runtimeConfig: { mac: "0a:00:00:00:00:09" },
  prevResult: { cniVersion: "1.1.0", interfaces: PREVIOUS.interfaces },
};
const OLD = {
  ...OWN,
  cniVersion: "0.2.0",
  prevResult: { cniVersion: "0.2.0", ip4: { ip: "10.1.1.1/24" } },
};

/** Values that have broken parsers. */
const VALUES: readonly Json[] = [
  ...[null, true, false, 0, -1, 1, 1.5, 1e308, 4294967296, 9007199254740993, -0],
  ...[
    "",
    " ",
    "0",
    "true",
    "null",
    "\u0000",
    "\n",
    "a\nb",
    "é",
    "\ud800",
    "x".repeat(5000),
    "%s%n",
    "eth0",
    "lo",
  ],
  ...[
    "../../etc/passwd",
    "/etc/passwd",
    "/var/lib/atomicni/../x",
    "-rf",
    "$(id)",
    "`id`",
    "a b",
    "a'b",
    'a"b',
    "\\",
  ],
  ...[
    "10.86.0.0/24",
    "10.86.0.5/24",
    "10.86.0.0/33",
    "10.86.0.0/0",
    "0.0.0.0/0",
    "255.255.255.255/32",
    "10.86.0.0/7",
  ],
  ...[
    "10.86.0.1",
    "010.86.0.1",
    "10.86.1",
    "10.86.0.256",
    "fd00::1",
    "fd00::/64",
    "::",
    "::ffff:10.86.0.1/120",
    "fd00:88::/64",
    "fd00:88::/127",
    "FD00:88::7",
    "fd00:88::7/129",
    "fe80::/64",
    "1:2:3:4:5:6:7:8:9",
    "::1::",
    "fd00::10.0.0.256",
  ],
  ...[
    "0a:58:0a:56:00:02",
    "ff:ff:ff:ff:ff:ff",
    "00:00:00:00:00:00",
    "zz",
    "1.1.0",
    "9.9.9",
    "0.1.0",
    "host-local",
    "dhcp",
  ],
  ...[[], {}, [[]], [null], [{}], [[[]]], { a: { b: [1] } }, [1, "a", null], { length: 5 }],
  ...[{ constructor: 1 }, { toString: 1 }, { hasOwnProperty: null }],
];
const KEYS = [
  "name",
  "cniVersion",
  "ipam",
  "bridge",
  "subnet",
  "subnet6",
  "gateway6",
  "ranges",
  "macspoofchk",
  "BRIDGE",
  "Ipam",
  "__proto__",
  "constructor",
  "toString",
  "",
  "vlan",
  "a",
];
const WORDS = [
  "",
  "c1",
  "c2",
  "-a",
  "a/b",
  "eth0",
  "eth%d",
  "..",
  "/run/netns/c1",
  "/run/netns/gone",
  "/proc/self/ns/net",
  "/etc/passwd",
  "\n",
  "é",
  "x".repeat(300),
  "a;b",
  "a b",
];
const ARGUMENTS = [
  "IP=10.86.0.7",
  "IP=fd00:88::7",
  "IP=fd00:88::7/64",
  "MAC=0a:00:00:00:00:07",
  "IgnoreUnknown=1",
  "IgnoreUnknown=x",
  "K8S_POD_NAME=p",
  "K8S_POD_NAMESPACE=\u001b[31m",
  "FOO=1",
  "",
  "=",
  "A=b=c",
  "IP=",
  "MAC=1",
  "K8S_POD_UID",
];

/** A copy of `value` in which something is replaced, removed or added. */
function mutateJson(value: Json, random: Random, depth = 0): Json {
  const inner = typeof value === "object" && value !== null;
  if (!inner || random() < (depth === 0 ? 0.02 : 0.15)) return pick(random, VALUES);
  const keys = Object.keys(value);
  const key = keys.length === 0 || random() < 0.1 ? pick(random, KEYS) : pick(random, keys);
  const change = random();
  if (Array.isArray(value)) {
    if (change < 0.2) return [...value, ...value];
    const index = Math.floor(random() * Math.max(value.length, 1));
    const element = mutateJson(value[index] ?? pick(random, VALUES), random, depth + 1);
    return [...value.slice(0, index), element, ...value.slice(index + 1)];
  }
  const entries = Object.entries(value).filter(([name]) => name !== key || change >= 0.2);
  if (change < 0.2) return Object.fromEntries(entries);
  const rest = entries.filter(([name]) => name !== key);
  return Object.fromEntries([...rest, [key, mutateJson(value[key], random, depth + 1)]]);
}

function mutateText(text: string, random: Random): string {
  const at = Math.floor(random() * text.length);
  const change = random();
  if (change < 0.3) return text.slice(0, at);
  if (change < 0.6) {
    return text.slice(0, at) +
      pick(random, ['"', "{", "}", ",", "0", "\u0000", "\\", "é", "[", "e9"]) + text.slice(at);
  }
  if (change < 0.8) return text.slice(0, at) + text.slice(at + 1 + Math.floor(random() * 5));
  return change < 0.9
    ? text + text
    : text.replace("{", `{"name":"x","ipam":${JSON.stringify(pick(random, VALUES))},`);
}

const CONFIGURATIONS: readonly Json[] = [OWN, PAIR, OLD, DUAL, SETS, LAYER2];

/** The configuration on which the input of `seed` is based, without values of one container. */
export function networkOf(seed: number): Json {
  const { prevResult: _, args: __, runtimeConfig: ___, ...network } = pick(
    randomFrom(seed),
    CONFIGURATIONS,
  );
  return network;
}

/** The input of `seed`; `previous` is the result of an ADD. */
export function caseOf(seed: number, previous: Json = PREVIOUS): Case {
  const random = randomFrom(seed);
  let config: Json = structuredClone(pick(random, CONFIGURATIONS));
  if (random() < 0.3) delete config.prevResult;
  else if (config.prevResult?.interfaces !== undefined) {
    config.prevResult = structuredClone(previous);
  }
  if (random() < 0.6) delete config.runtimeConfig;
  if (config.prevResult !== undefined && random() < 0.5) {
    config.prevResult = mutateJson(config.prevResult, random, 1);
  }
  for (let times = Math.floor(random() * 4); times > 0; times--) {
    config = mutateJson(config, random);
  }
  let stdin = JSON.stringify(config) ?? "";
  if (random() < 0.1) stdin = mutateText(stdin, random);
  const commands = [
    "ADD",
    "ADD",
    "ADD",
    "ADD",
    "DEL",
    "DEL",
    "CHECK",
    "CHECK",
    "GC",
    "STATUS",
    "VERSION",
    "add",
  ];
  const env: Record<string, string> = {
    CNI_COMMAND: pick(random, commands),
    CNI_CONTAINERID: "c1",
    CNI_NETNS: "/run/netns/c1",
    CNI_IFNAME: "eth0",
    CNI_PATH: "/opt/cni/bin",
  };
  if (random() < 0.3) {
    env["CNI_ARGS"] = Array.from(
      { length: 1 + Math.floor(random() * 3) },
      () => pick(random, ARGUMENTS),
    ).join(";");
  }
  if (random() < 0.2) {
    const name = pick(random, Object.keys(env).filter((it) => it !== "CNI_COMMAND"));
    if (random() < 0.3) delete env[name];
    else env[name] = pick(random, WORDS);
  }
  return { env, stdin };
}
