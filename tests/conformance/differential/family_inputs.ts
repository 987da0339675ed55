import type { Json } from "../../integration/host.ts";
import { add, check, config, del, type Input, life, type Step, VERSIONS } from "./inputs.ts";

const V4 = { subnet: "10.86.0.0/24" };
const OTHER_V4 = { subnet: "10.87.0.0/24" };
const V6 = { subnet: "fd00:88::/64" };
const OTHER_V6 = { subnet: "fd00:89::/64" };
const BOTH = [[V4], [V6]];

/** A configuration that takes its addresses only from `ranges`. */
function of(ranges: Json, change: Json = {}, ipam: Json = {}): Json {
  return config(change, { subnet: undefined, ranges, ...ipam });
}

const PLAIN = { isGateway: false };
const ROUTES = [
  { dst: "0.0.0.0/0" },
  { dst: "::/0" },
  { dst: "fd77::/32", gw: "fd00:88::9" },
];

const GATEWAYS: readonly (readonly [string, Json, Json])[] = [
  ["no gateway", PLAIN, {}],
  ["isGateway", {}, {}],
  ["isDefaultGateway", { isDefaultGateway: true }, {}],
  ["routes", {}, { routes: ROUTES }],
];

const LAYER2_KEYS: readonly (readonly [string, Json])[] = [
  ["isGateway", { isGateway: true }],
  ["isDefaultGateway", { isDefaultGateway: true }],
  ["hairpinMode", { hairpinMode: true }],
  ["promiscMode", { promiscMode: true }],
  ["portIsolation", { portIsolation: true }],
  ["mtu 1400", { mtu: 1400 }],
  ["mtu 20", { mtu: 20 }],
  ["dns", { dns: { nameservers: ["10.0.0.1"] } }],
  ["routes in ipam", { ipam: { routes: [{ dst: "10.9.0.0/16", gw: "10.86.0.1" }] } }],
  ["a requested address", { runtimeConfig: { ips: ["10.86.0.9"] } }],
  ["ipRanges of the runtime", { runtimeConfig: { ipRanges: [[V4]] } }],
  ["disableContainerInterface", { disableContainerInterface: true }],
  ["ipam left out", { ipam: undefined }],
  ["ipam null", { ipam: null }],
  ["an empty type", { ipam: { type: "" } }],
  ["ipam a list", { ipam: [] }],
];

/** Valid and invalid sets, with and without a gateway on the bridge. */
const SETS: readonly (readonly [string, Json, Json?])[] = [
  ["ranges of two ranges", [[V4, OTHER_V4]], PLAIN],
  ["ranges of two ranges, isGateway", [[V4, OTHER_V4]]],
  ["ranges of two IPv6 ranges", [[V6, OTHER_V6]], PLAIN],
  ["two sets of IPv4", [[V4], [OTHER_V4]], PLAIN],
  ["two sets of IPv4, isGateway", [[V4], [OTHER_V4]]],
  ["two sets of IPv6, isDefaultGateway", [[V6], [OTHER_V6]], { isDefaultGateway: true }],
  ["IPv6 before IPv4", [[V6], [V4]], { isDefaultGateway: true }],
  ["three sets", [[V4], [V6], [OTHER_V6]], PLAIN],
  ["a set that is empty", [[]]],
  ["a second set that is empty", [[V4], []]],
  ["a set of both families", [[V4, V6]]],
  ["two ranges that are the same", [[V4, V4]]],
  ["two sets that are the same", [[V6], [V6]]],
  ["two sets that overlap", [[V4], [{ subnet: "10.86.0.0/16" }]]],
  ["two parts of one subnet", [
    [{ ...V4, rangeEnd: "10.86.0.99" }, { ...V4, rangeStart: "10.86.0.100" }],
  ]],
  ["two parts of one IPv6 subnet as sets", [
    [{ ...V6, rangeEnd: "fd00:88::99" }],
    [{ ...V6, rangeStart: "fd00:88::100" }],
  ], PLAIN],
  ["ranges no list", V4],
  ["a set no list", [V4]],
  ["a range no object", [["10.86.0.0/24"]]],
  ["a range without subnet", [[{}]]],
  ["a range with an unknown key", [[{ ...V6, colour: "blue" }]]],
];

const V6_RANGES: readonly (readonly [string, Json, Json?])[] = [
  ["of /120", { subnet: "fd00:88::/120" }],
  ["of /126", { subnet: "fd00:88::/126" }],
  ["of /127", { subnet: "fd00:88::/127" }],
  ["of /128", { subnet: "fd00:88::/128" }],
  ["of /48", { subnet: "fd00:88::/48" }],
  ["with host bits", { subnet: "fd00:88::7/64" }],
  ["in capitals, with zeros", { subnet: "FD00:0088:0:0::/64" }],
  ["without a prefix length", { subnet: "fd00:88::" }],
  ["with prefix length 129", { subnet: "fd00:88::/129" }],
  ["that is link-local", { subnet: "fe80::/64" }],
  ["of multicast", { subnet: "ff02::/64" }],
  ["of mapped IPv4", { subnet: "::ffff:10.86.0.0/120" }],
  ["with rangeStart", { ...V6, rangeStart: "fd00:88::50" }],
  ["with rangeEnd", { ...V6, rangeEnd: "fd00:88::50" }],
  ["with both ends", { ...V6, rangeStart: "fd00:88::50", rangeEnd: "fd00:88::60" }],
  ["with rangeStart in capitals", { ...V6, rangeStart: "FD00:88::AB" }],
  ["with rangeStart outside", { ...V6, rangeStart: "fd00:89::50" }],
  ["with rangeStart of IPv4", { ...V6, rangeStart: "10.86.0.5" }],
  ["the wrong way round", { ...V6, rangeStart: "fd00:88::60", rangeEnd: "fd00:88::50" }],
  ["with a gateway", { ...V6, gateway: "fd00:88::fe" }],
  ["with a gateway in the range", { ...V6, gateway: "fd00:88::2" }],
  ["with the anycast address as gateway", { ...V6, gateway: "fd00:88::" }],
  ["with a gateway outside, isGateway", { ...V6, gateway: "fd00:89::1" }],
  ["with a gateway outside", { ...V6, gateway: "fd00:89::1" }, PLAIN],
  ["with a gateway of IPv4", { ...V6, gateway: "10.86.0.1" }],
];

/** Keys that are not about one family. */
const KEYS: readonly (readonly [string, Json, Json?])[] = [
  ["subnet and ranges", {}, { subnet: "10.90.0.0/24", ranges: [[V6]] }],
  ["ipRanges and ranges", { ...PLAIN, runtimeConfig: { ipRanges: [[OTHER_V6]] } }],
  ["ipRanges alone", { runtimeConfig: { ipRanges: BOTH } }, { ranges: undefined }],
  ["ipRanges that overlap", { runtimeConfig: { ipRanges: [[V6]] } }],
  ["mtu 1280", { mtu: 1280 }],
  ["mtu 1279", { mtu: 1279 }],
  ["hairpinMode", { hairpinMode: true }],
  ["promiscMode", { promiscMode: true }],
  ["forceAddress", { forceAddress: true }],
  ["enabledad", { enabledad: true }],
  ["dns", { dns: { nameservers: ["fd00::53"] } }],
  ["a default route of IPv6 with gw, isDefaultGateway", { isDefaultGateway: true }, {
    routes: [{ dst: "::/0", gw: "fd00:88::1" }],
  }],
  ["a default route of IPv6 without gw, isDefaultGateway", { isDefaultGateway: true }, {
    routes: [{ dst: "::/0" }],
  }],
  ["a default route of IPv4 with gw, isDefaultGateway", { isDefaultGateway: true }, {
    routes: [{ dst: "0.0.0.0/0", gw: "10.86.0.9" }],
  }],
  ["two next hops of IPv6", {}, {
    routes: [{ dst: "fd05::/32", gw: "fd00:88::10" }, { dst: "fd05::/32", gw: "fd00:88::11" }],
  }],
  ["an IPv6 route on an unreachable gateway", {}, {
    routes: [{ dst: "fd05::/32", gw: "fd99::1" }],
  }],
  ["an IPv6 route through IPv4", {}, { routes: [{ dst: "fd05::/32", gw: "10.86.0.9" }] }],
  ["an IPv6 route with host bits", {}, { routes: [{ dst: "fd05::1/32", gw: "fd00:88::9" }] }],
  ["an IPv6 route without prefix length", {}, { routes: [{ dst: "fd05::1" }] }],
  ["a route of a family without addresses", {}, { ranges: [[V4]], routes: [{ dst: "::/0" }] }],
  ["ranges in other letter case", {}, { ranges: undefined, RANGES: BOTH }],
  ["keys of a range in other letter case", {}, {
    ranges: [[{ SUBNET: "10.86.0.0/24", RangeStart: "10.86.0.9" }]],
  }],
];

/** Requested addresses of one container. */
const ASKED: readonly (readonly [string, Json])[] = [
  ["of both families", ["10.86.0.77", "fd00:88::77"]],
  ["in the other order", ["fd00:88::77", "10.86.0.77"]],
  ["with prefix length", ["10.86.0.77/24", "fd00:88::77/64"]],
  ["with another prefix length", ["10.86.0.77/16", "fd00:88::77/128"]],
  ["in another spelling", ["10.86.0.77", "FD00:88:0:0::0077"]],
  ["of IPv6 alone", ["fd00:88::77"]],
  ["of IPv4 alone", ["10.86.0.77"]],
  ["twice the same", ["fd00:88::77", "fd00:88::77"]],
  ["two of one set", ["fd00:88::77", "fd00:88::78"]],
  ["one outside", ["10.86.0.77", "fd00:99::77"]],
  ["the gateway of IPv6", ["10.86.0.77", "fd00:88::1"]],
  ["the anycast address", ["fd00:88::"]],
  ["the last address of the subnet", ["fd00:88::ffff:ffff:ffff:ffff"]],
  ["none", []],
  ["no address", ["10.86.0.77", "x"]],
  ["a number", [7]],
];

const ASKED_BY_ARGS: readonly string[] = [
  "IgnoreUnknown=1;IP=fd00:88::77",
  "IgnoreUnknown=1;IP=fd00:88::77/64",
  "IgnoreUnknown=1;IP=10.86.0.77/24",
  "IgnoreUnknown=1;IP=fd00:99::77",
];

const both = of(BOTH, { isDefaultGateway: true });
const CHECKS: readonly (readonly [string, Partial<Step>])[] = [
  ["the IPv6 address gone", { script: "ip -n c1 -6 addr flush dev eth0 scope global" }],
  ["the IPv6 default route gone", { script: "ip -n c1 -6 route del default" }],
  ["the IPv6 gateway off the bridge", { script: "ip addr del fd00:88::1/64 dev cni0" }],
  ["IPv6 not listed", { previous: (it) => it.ips.splice(1) }],
  ["another IPv6 address listed", { previous: (it) => it.ips[1].address = "fd00:88::9/64" }],
  ["the IPv6 address in another spelling", {
    previous: (it) => it.ips[1].address = "FD00:88:0:0::0002/64",
  }],
  ["another IPv6 prefix length", { previous: (it) => it.ips[1].address = "fd00:88::2/65" }],
  ["an IPv6 route more listed", {
    previous: (it) => it.routes.push({ dst: "fd05::/32", gw: "fd00:88::1" }),
  }],
];

const made = (address: string) =>
  `ip link add cni0 type bridge; ip link set dev cni0 up; ip addr add ${address} dev cni0 nodad`;
const asking = (...ips: string[]) => ({ ...both, runtimeConfig: { ips } });
const narrow = of([[V4], [{ ...V6, rangeStart: "fd00:88::5", rangeEnd: "fd00:88::5" }]]);
const small = of([[{ subnet: "10.86.0.0/30" }, { subnet: "10.87.0.0/30" }]], PLAIN);
const layer2 = config({ ipam: {}, isGateway: undefined });

/** Steps under one configuration. */
const under = (config: Json, ...steps: Step[]): Step[] => steps.map((it) => ({ config, ...it }));

const SEQUENCES: readonly Input[] = [
  { name: "ADD twice", steps: under(both, { command: "ADD" }, { command: "ADD" }) },
  {
    name: "ADD again with the same requested addresses",
    steps: [
      add({ config: asking("10.86.0.7", "fd00:88::7") }),
      add({ config: asking("10.86.0.7", "fd00:88::7") }),
    ],
  },
  {
    name: "ADD again with other requested addresses",
    steps: [add({ config: both }), add({ config: asking("10.86.0.7", "fd00:88::7") })],
  },
  {
    name: "two interfaces",
    steps: under(
      of(BOTH),
      { command: "ADD" },
      { command: "ADD", ifname: "eth1" },
      { command: "DEL" },
      { command: "DEL", ifname: "eth1" },
    ),
  },
  {
    name: "an IPv6 address that is held",
    steps: [
      add({ config: asking("fd00:88::7") }),
      add({ config: asking("10.86.0.8", "fd00:88::7"), id: "c2" }),
    ],
  },
  {
    name: "the second set full",
    steps: [add({ config: narrow }), add({ config: narrow, id: "c2" })],
  },
  {
    name: "the second set full, then freed",
    steps: [
      add({ config: narrow }),
      del({ config: narrow }),
      add({ config: narrow, id: "c2" }),
    ],
  },
  {
    name: "from range to range, full, and around",
    steps: [
      add({ config: small }),
      add({ config: small, id: "c2" }),
      add({ config: small, id: "c3" }),
    ],
  },
  {
    name: "from range to range, and around",
    steps: [
      add({ config: small }),
      add({ config: small, id: "c2" }),
      del({ config: small }),
      add({ config: small, id: "c4" }),
    ],
  },
  {
    name: "round robin",
    steps: under(
      both,
      { command: "ADD" },
      { command: "DEL" },
      { command: "ADD" },
      { command: "DEL" },
      { command: "ADD", id: "c2" },
    ),
  },
  { name: "DEL of nothing", steps: [del({ config: both }), del({ config: both, netns: "" })] },
  {
    name: "DEL with an empty namespace",
    steps: [add({ config: both }), del({ config: both, netns: "" })],
  },
  {
    name: "DEL after the ranges changed",
    steps: [add({ config: both }), del({ config: of([[OTHER_V4]]) })],
  },
  {
    name: "DEL with invalid ranges",
    steps: [add({ config: both }), del({ config: of([[{ subnet: "x" }]]) })],
  },
  {
    name: "DEL with two addresses of a family in 0.2.0",
    steps: [
      add({ config: of([[V4], [OTHER_V4]], PLAIN) }),
      del({ config: of([[V4], [OTHER_V4]], { ...PLAIN, cniVersion: "0.2.0" }) }),
    ],
  },
  {
    name: "a disjoint IPv6 address on the bridge",
    steps: [add({ config: both, script: made("fd09::1/64") })],
  },
  {
    name: "the gateways on the bridge already",
    steps: [
      add({ config: both, script: `${made("fd00:88::1/64")}; ip addr add 10.86.0.1/24 dev cni0` }),
    ],
  },
  {
    name: "an overlapping IPv6 address on the bridge",
    steps: [add({ config: both, script: made("fd00:88::9/64") })],
  },
  {
    name: "an overlapping IPv6 address on the bridge, forceAddress",
    steps: [add({ config: of(BOTH, { forceAddress: true }), script: made("fd00:88::9/64") })],
  },
  {
    name: "another IPv4 address on the bridge",
    steps: [add({ config: both, script: made("10.1.1.1/24") })],
  },
  {
    name: "another IPv4 address on the bridge, IPv6 alone",
    steps: [add({ config: of([[V6]]), script: made("10.1.1.1/24") })],
  },
  {
    name: "prevResult on ADD",
    steps: [
      add({
        config: {
          ...both,
          prevResult: { cniVersion: "1.0.0", ips: [{ address: "fd07::2/64" }] },
        },
      }),
    ],
  },
];

const LAYER2_SEQUENCES: readonly Input[] = [
  {
    name: "layer 2, ADD twice",
    steps: under(layer2, { command: "ADD" }, { command: "ADD" }),
  },
  {
    name: "layer 2, DEL of nothing",
    steps: under(layer2, { command: "DEL" }, { command: "DEL", netns: "" }),
  },
  {
    name: "layer 2, DEL with an empty namespace",
    steps: under(layer2, { command: "ADD" }, { command: "DEL", netns: "" }),
  },
  {
    name: "layer 2, CHECK without prevResult",
    steps: [add({ config: layer2 }), check({ config: { ...layer2, prevResult: null } })],
  },
  {
    name: "layer 2, eth0 in the container already",
    steps: [add({ config: layer2, script: "ip -n c1 link add eth0 type bridge" })],
  },
  {
    name: "layer 2, no bridge of that name",
    steps: [add({ config: layer2, script: "ip link add cni0 type veth peer name p0" })],
  },
];

const prefixed = (kind: string, inputs: readonly Input[]): Input[] =>
  inputs.map(({ name, steps }) => ({ name: `${kind}: ${name}`, steps }));

/** Inputs about ranges, both families, or networks without addresses. */
export const FAMILY_INPUTS: readonly Input[] = [
  ...VERSIONS.flatMap((cniVersion) =>
    GATEWAYS.map(([name, change, ipam]) =>
      life(`dual: ${name} in ${cniVersion}`, of(BOTH, { cniVersion, ...change }, ipam))
    )
  ),
  ...VERSIONS.flatMap((cniVersion) => [
    life(`IPv6 alone in ${cniVersion}`, of([[V6]], { cniVersion, isDefaultGateway: true })),
    life(`two sets of IPv4 in ${cniVersion}`, of([[V4], [OTHER_V4]], { cniVersion, ...PLAIN })),
    life(`layer 2 in ${cniVersion}`, config({ cniVersion, ipam: {}, isGateway: undefined })),
  ]),
  ...LAYER2_KEYS.map(([name, change]) => life(`layer 2: ${name}`, { ...layer2, ...change })),
  ...SETS.map(([name, ranges, change]) => life(`sets: ${name}`, of(ranges, change))),
  ...V6_RANGES.map(([name, range, change]) =>
    life(`an IPv6 range ${name}`, of([[V4], [range]], change))
  ),
  ...KEYS.map(([name, change, ipam]) => life(`dual: ${name}`, of(BOTH, change, ipam))),
  ...ASKED.map(([name, ips]) => ({
    name: `requested: ${name}`,
    steps: under(of(BOTH, { runtimeConfig: { ips } }), { command: "ADD" }, { command: "DEL" }),
  })),
  ...ASKED_BY_ARGS.map((args) => ({
    name: `dual: CNI_ARGS ${args}`,
    steps: under(of(BOTH), { command: "ADD", args }, { command: "DEL" }),
  })),
  {
    name: "requested: by args.cni",
    steps: [add({ config: of(BOTH, { args: { cni: { ips: ["10.86.0.77", "fd00:88::77"] } } }) })],
  },
  ...CHECKS.map(([name, step]) => ({
    name: `dual: CHECK: ${name}`,
    steps: [add({ config: both }), check({ config: both, ...step })],
  })),
  ...prefixed("dual", SEQUENCES),
  ...LAYER2_SEQUENCES,
];
