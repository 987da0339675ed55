import type { Json } from "../integration/host.ts";
import { part, route, type Subnet, subnets } from "./addressing.ts";
import type { Random } from "../random.ts";

/** The bridge before the ADD. */
const BRIDGES = {
  "": "",
  plain: "ip link add name BR type bridge && ip link set dev BR up",
  down: "ip link add name BR type bridge",
  "another address": "ip link add name BR type bridge && ip link set dev BR up && " +
    "ip addr add 192.0.2.1/24 dev BR && ip -6 addr add 2001:db8:bad::1/64 dev BR nodad",
} as const;

/** All parts of one attachment. */
export interface Attachment {
  readonly config: Json;
  readonly ifname: string;
  readonly args?: string;
  readonly bridge: keyof typeof BRIDGES;
  /** Whether another container of the same network is attached first. */
  readonly hasNeighbour: boolean;
}

/** The shell script that creates the bridge in the wanted state. */
export function bridgeScript({ bridge, config }: Attachment): string {
  const name = keyOf(config, "bridge");
  return BRIDGES[bridge].replaceAll("BR", `'${typeof name === "string" ? name : "cni0"}'`);
}

/** The value of a key in any letter case; the exact one comes first. */
export function keyOf(config: Json, key: string): Json {
  const found = Object.keys(config).find((it) => it.toLowerCase() === key.toLowerCase());
  return config[key] ?? (found === undefined ? undefined : config[found]);
}

const IFNAMES = ["eth0", "net1", "if3", "if1", "e", "av0123456789abc", "eth0.5", "a@b"] as const;
const BRIDGE_NAMES = ["atomic0", "br-0.x", "if2", "b", "bridge-15-bytes"] as const;
const NAMES = ["podnet", "p.n_-1", `n${"o".repeat(60)}`] as const;

/** Settings of an attachment, most of them valid, in one of the two dialects. */
export function attachment(random: Random): Attachment {
  const families = random.one([[false], [false], [false], [true], [false, true], [true, false]]);
  const own = random.chance(0.45);
  const { config, pools } = own ? ownDialect(random, families) : hostLocal(random, families);
  const args = cniArgs(random, pools);
  const asked = askedFor(random, pools);
  return {
    config: mischief(random, {
      cniVersion: random.one(["0.4.0", "1.0.0", "1.1.0"]),
      name: random.chance(0.8) ? "podnet" : random.one(NAMES),
      type: "atomicni",
      ...recased(random, { ...config, ...flags(random), ...asked }),
    }),
    ifname: random.chance(0.7) ? "eth0" : random.one(IFNAMES),
    ...(args !== "" && { args }),
    bridge: random.chance(0.7) ? "" : random.one(["plain", "down", "another address"]),
    hasNeighbour: random.chance(0.15),
  };
}

interface Dialect {
  readonly config: Json;
  readonly pools: readonly Subnet[];
}

function ownDialect(random: Random, families: readonly boolean[]): Dialect {
  const pools = [...new Set(families)].flatMap((isIpv6) => subnets(random, isIpv6, 1));
  const config: Json = { bridge: random.chance(0.7) ? "atomic0" : random.one(BRIDGE_NAMES) };
  const ipam: Json = {
    ...random.maybe(0.45, "routes", () => routes(random, pools)),
    ...random.maybe(0.1, "dataDir", () => "/var/lib/atomicni/below/it"),
  };
  for (const subnet of pools) {
    const suffix = subnet.isIpv6 ? "6" : "";
    config[`subnet${suffix}`] = subnet.text;
    config[`gateway${suffix}`] = random.chance(0.6) ? subnet.at(1) : subnet.some(random);
    if (!random.chance(0.3)) continue;
    const [start, end] = part(random, subnet);
    ipam[`rangeStart${suffix}`] = subnet.at(start);
    ipam[`rangeEnd${suffix}`] = subnet.at(end);
  }
  return { config: { ...config, ...(Object.keys(ipam).length > 0 && { ipam }) }, pools };
}

function hostLocal(random: Random, families: readonly boolean[]): Dialect {
  const pools: Subnet[] = [];
  const sets = families.map((isIpv6) => {
    const ranges = subnets(random, isIpv6, random.chance(0.75) ? 1 : 2);
    pools.push(...ranges);
    return ranges.map((subnet) => range(random, subnet));
  });
  const isFlat = sets.length === 1 && sets[0]?.length === 1 && random.chance(0.6);
  const isLayer2 = random.chance(0.1);
  const ipam: Json = {
    type: "host-local",
    ...(isFlat ? sets[0]?.[0] : { ranges: sets }),
    ...random.maybe(0.5, "routes", () => routes(random, pools)),
    ...random.maybe(0.06, "dataDir", () => "/var/lib/atomicni/hl"),
  };
  return {
    config: {
      ...random.maybe(0.85, "bridge", () => random.chance(0.7) ? "cni0" : random.one(BRIDGE_NAMES)),
      ...random.maybe(0.6, "isGateway", () => true),
      ...random.maybe(0.3, "isDefaultGateway", () => true),
      ...random.maybe(0.2, "forceAddress", () => true),
      ipam: isLayer2 ? {} : ipam,
      ...(isLayer2 && random.maybe(0.5, "disableContainerInterface", () => true)),
    },
    pools: isLayer2 ? [] : pools,
  };
}

function range(random: Random, subnet: Subnet): Json {
  const [start, end] = part(random, subnet);
  return {
    subnet: subnet.text,
    ...random.maybe(0.3, "gateway", () => subnet.some(random)),
    ...random.maybe(0.25, "rangeStart", () => subnet.at(start)),
    ...random.maybe(0.25, "rangeEnd", () => subnet.at(end)),
  };
}

function routes(random: Random, pools: readonly Subnet[]): Json[] {
  return Array.from({ length: random.between(0, 3) }, () => route(random, pools));
}

function flags(random: Random): Json {
  return {
    ...random.maybe(0.15, "hairpinMode", () => true),
    ...random.maybe(0.15, "promiscMode", () => true),
    ...random.maybe(0.15, "portIsolation", () => true),
    ...random.maybe(0.2, "macspoofchk", () => true),
    ...random.maybe(0.3, "mtu", () => random.one([0, 68, 576, 1279, 1280, 1400, 9000, 65535])),
    ...random.maybe(0.15, "dns", () => ({
      nameservers: ["10.0.0.53", "fd00::53"].slice(random.between(0, 1)),
      ...random.maybe(0.5, "search", () => ["a.example", "b.example"]),
    })),
  };
}

/** Addresses and MACs that the runtime requests, by `runtimeConfig` or `args.cni`. */
function askedFor(random: Random, pools: readonly Subnet[]): Json {
  if (pools.length === 0 || random.chance(0.7)) return {};
  const chosen = pools.filter(() => random.chance(0.6));
  const ips = chosen.map((subnet) => {
    const ip = subnet.some(random);
    return random.chance(0.3) ? `${ip}/${subnet.text.split("/")[1]}` : ip;
  });
  const wanted = {
    ...(ips.length > 0 && { ips }),
    ...random.maybe(0.4, "mac", () => random.one(["0a:00:00:00:00:07", "02:AA:bb:cc:dd:ee"])),
  };
  const [pool] = pools;
  const ranges = pool !== undefined && random.chance(0.1) ? [[range(random, pool)]] : undefined;
  return random.chance(0.5)
    ? { runtimeConfig: { ...wanted, ...(ranges !== undefined && { ipRanges: ranges }) } }
    : { args: { cni: wanted } };
}

function cniArgs(random: Random, pools: readonly Subnet[]): string {
  const words: string[] = [];
  if (random.chance(0.4)) {
    words.push("IgnoreUnknown=1", "K8S_POD_NAMESPACE=ns", "K8S_POD_NAME=pod-1");
  }
  const [pool] = pools;
  if (random.chance(0.08) && pool !== undefined) words.push(`IP=${pool.some(random)}`);
  if (random.chance(0.05)) words.push("MAC=0a:00:00:00:00:09");
  return words.join(";");
}

/** Go reads keys in any letter case, and so do the runtimes' own types. */
function recased(random: Random, config: Json): Json {
  const key = random.one(Object.keys(config));
  if (random.chance(0.93) || ["cniVersion", "name", "type"].includes(key)) return config;
  const { [key]: value, ...rest } = config;
  const other = random.one([key.toUpperCase(), key[0]?.toUpperCase() + key.slice(1)]);
  return { ...rest, [other]: value };
}

/** Rarely one more setting that is odd or wrong: the plugin has to refuse it properly or handle it correctly. */
function mischief(random: Random, config: Json): Json {
  if (random.chance(0.78)) return config;
  const odd = random.one<Json>([
    { ipMasq: true },
    { vlan: 5 },
    { IPMasq: true },
    { mtu: -5 },
    { mtu: "1500" },
    { gateway: "10.99.0.1" },
    { hairpinMode: "yes" },
    { bridge: "" },
    { bridge: "a/b" },
    { enabledad: true },
    { subnet: "10.86.0.7/24" },
    { subnet: "224.0.0.0/24" },
    { ipam: { type: "dhcp" } },
    { ipam: { dataDir: "/tmp" } },
    { Bridge: "other0" },
    { colour: "blue", "cni.dev/x": 1 },
    { cniVersion: "9.9.9" },
    { dns: { nameservers: [5] } },
    { name: "a b" },
  ]);
  return { ...config, ...odd };
}
