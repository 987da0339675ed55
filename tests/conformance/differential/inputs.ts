import type { Json } from "../../integration/host.ts";

/** One run of both plugins. Their `type` and their own `prevResult` are put into the configuration. */
export interface Step {
  readonly command: string;
  readonly config?: Json;
  /** Text for stdin instead of `config`. */
  readonly stdin?: string;
  readonly id?: string;
  readonly ifname?: string;
  readonly netns?: string;
  readonly args?: string;
  /** Environment variables instead of the usual ones. */
  readonly env?: Readonly<Record<string, string>>;
  /** Shell that runs on both hosts before the step; HOST stands for the first attachment's host veth. */
  readonly script?: string;
  /** Changes to the result of the ADD before it is passed as `prevResult`. */
  readonly previous?: (result: Json) => void;
}

export interface Input {
  readonly name: string;
  readonly steps: readonly Step[];
}

/** A configuration of bridge + host-local in 1.0.0, the newest version that the packaged reference knows. */
export function config(change: Json = {}, ipam: Json = {}): Json {
  return {
    cniVersion: "1.0.0",
    name: "podnet",
    bridge: "cni0",
    isGateway: true,
    ...change,
    ...(change.ipam === undefined
      ? { ipam: { type: "host-local", subnet: "10.86.0.0/24", ...ipam } }
      : {}),
  };
}

export const add = (more: Partial<Step> = {}): Step => ({
  command: "ADD",
  config: config(),
  ...more,
});
export const del = (more: Partial<Step> = {}): Step => ({
  command: "DEL",
  config: config(),
  ...more,
});
export const check = (more: Partial<Step> = {}): Step => ({
  command: "CHECK",
  config: config(),
  ...more,
});
export const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0"];

/** The life of one attachment next to another one, under one configuration. */
export function life(name: string, it: Json): Input {
  const checks = (it.cniVersion ?? "0.1.0") >= "0.4.0" ? [check({ config: it })] : [];
  return {
    name,
    steps: [
      add({ config: it }),
      add({ config: it, id: "c2" }),
      ...checks,
      del({ config: it }),
      del({ config: it }),
    ],
  };
}

const GATEWAYS: readonly (readonly [string, Json, Json])[] = [
  ["no gateway", { isGateway: false }, {}],
  ["isGateway", {}, {}],
  ["isDefaultGateway", { isDefaultGateway: true }, {}],
  ["routes", { isGateway: true }, {
    routes: [{ dst: "0.0.0.0/0" }, { dst: "10.99.0.0/16", gw: "10.86.0.9" }],
  }],
];

const KEYS: readonly (readonly [string, Json, Json])[] = [
  ["hairpinMode", { hairpinMode: true }, {}],
  ["promiscMode", { promiscMode: true }, {}],
  ["hairpinMode and promiscMode", { promiscMode: true, hairpinMode: true }, {}],
  ["portIsolation", { portIsolation: true }, {}],
  ["mtu 1400", { mtu: 1400 }, {}],
  ["mtu 0", { mtu: 0 }, {}],
  ["mtu -5", { mtu: -5 }, {}],
  ["mtu 20", { mtu: 20 }, {}],
  ["forceAddress", { forceAddress: true }, {}],
  ["bridge left out", { bridge: undefined }, {}],
  ["ipMasq false", { ipMasq: false }, {}],
  ["ipMasq", { ipMasq: true }, {}],
  ["vlan 0", { vlan: 0 }, {}],
  ["vlan 100", { vlan: 100 }, {}],
  ["macspoofchk false", { macspoofchk: false }, {}],
  ["dns", { dns: { nameservers: ["10.0.0.1"], search: ["a.b"] } }, {}],
  ["dns with an empty list", { dns: { nameservers: [] } }, {}],
  ["an unknown key", { colour: "blue", "cni.dev/x": 1 }, {}],
  ["capabilities", { capabilities: { ips: true } }, {}],
  ["rangeStart and rangeEnd", {}, { rangeStart: "10.86.0.10", rangeEnd: "10.86.0.12" }],
  ["rangeStart alone", {}, { rangeStart: "10.86.0.10" }],
  ["rangeStart outside", {}, { rangeStart: "10.87.0.10" }],
  ["range the wrong way round", {}, { rangeStart: "10.86.0.12", rangeEnd: "10.86.0.10" }],
  ["gateway at the end", {}, { gateway: "10.86.0.254" }],
  ["gateway in the range", {}, { gateway: "10.86.0.2" }],
  ["gateway outside, isGateway", {}, { gateway: "10.99.0.1" }],
  ["gateway outside, no isGateway", { isGateway: false }, { gateway: "10.99.0.1" }],
  ["subnet of /29", {}, { subnet: "10.86.0.0/29" }],
  ["subnet of /30", {}, { subnet: "10.86.0.0/30" }],
  ["subnet of /31", {}, { subnet: "10.86.0.0/31" }],
  ["subnet of /16", {}, { subnet: "10.86.0.0/16" }],
  ["host bits in the subnet", {}, { subnet: "10.86.0.7/24" }],
  ["no subnet", {}, { subnet: undefined }],
  ["an invalid subnet", {}, { subnet: "10.86.0.0" }],
  ["ranges", {}, {
    subnet: undefined,
    ranges: [[{ subnet: "10.86.0.0/24", rangeStart: "10.86.0.50" }]],
  }],
  ["ranges of two ranges", {}, {
    subnet: undefined,
    ranges: [[{ subnet: "10.86.0.0/24" }, { subnet: "10.87.0.0/24" }]],
  }],
  ["two range sets", {}, {
    subnet: undefined,
    ranges: [[{ subnet: "10.86.0.0/24" }], [{ subnet: "10.87.0.0/24" }]],
  }],
  ["ranges empty", {}, { subnet: undefined, ranges: [] }],
  ["an IPv6 subnet", { isGateway: false }, { subnet: "fd00:1::/64" }],
  ["routes empty", {}, { routes: [] }],
  ["a route on an unreachable gateway", {}, { routes: [{ dst: "10.1.0.0/16", gw: "10.200.0.1" }] }],
  ["a route without dst", {}, { routes: [{ gw: "10.86.0.1" }] }],
  ["a default route with gw, isDefaultGateway", { isDefaultGateway: true }, {
    routes: [{ dst: "0.0.0.0/0", gw: "10.86.0.1" }],
  }],
  ["a default route without gw, isDefaultGateway", { isDefaultGateway: true }, {
    routes: [{ dst: "0.0.0.0/0" }],
  }],
  ["two next hops", {}, {
    routes: [{ dst: "10.5.0.0/16", gw: "10.86.0.10" }, { dst: "10.5.0.0/16", gw: "10.86.0.11" }],
  }],
  ["a route to the own subnet", {}, { routes: [{ dst: "10.86.0.0/24" }] }],
  ["a route to the own subnet with gw", {}, {
    routes: [{ dst: "10.86.0.0/24", gw: "10.86.0.9" }],
  }],
  ["a route twice", {}, { routes: [{ dst: "10.5.0.0/16" }, { dst: "10.5.0.0/16" }] }],
  ["the broadcast address as gw", {}, { routes: [{ dst: "10.5.0.0/16", gw: "10.86.0.255" }] }],
  ["an empty gw", {}, { routes: [{ dst: "10.5.0.0/16", gw: "" }] }],
  ["empty addresses of a range", {}, { gateway: "", rangeStart: "", rangeEnd: "" }],
  ["an empty subnet", {}, { subnet: "" }],
  ["an empty MAC", { runtimeConfig: { mac: "" }, args: { cni: { mac: "" } } }, {}],
  ["no ipam", { ipam: {} }, {}],
  ["ipam of another type", { ipam: { type: "nonesuch" } }, {}],
  ["a null in place of a flag", { hairpinMode: null, mtu: null }, {}],
  ["a MAC by runtimeConfig", { runtimeConfig: { mac: "0a:00:00:00:00:07" } }, {}],
  ["a MAC by args", { args: { cni: { mac: "0a:00:00:00:00:07" } } }, {}],
  ["an invalid MAC", { runtimeConfig: { mac: "x" } }, {}],
  ["an address by runtimeConfig", { runtimeConfig: { ips: ["10.86.0.77"] } }, {}],
  ["an address with prefix by args", { args: { cni: { ips: ["10.86.0.77/24"] } } }, {}],
  ["an address outside", { runtimeConfig: { ips: ["10.99.0.77"] } }, {}],
  ["the gateway's address", { runtimeConfig: { ips: ["10.86.0.1"] } }, {}],
  ["the broadcast address", { runtimeConfig: { ips: ["10.86.0.255"] } }, {}],
  ["an invalid address", { runtimeConfig: { ips: ["x"] } }, {}],
  ["ipRanges of the runtime", {
    runtimeConfig: {
      ipRanges: [[{ subnet: "10.86.0.0/24", rangeStart: "10.86.0.30", rangeEnd: "10.86.0.33" }]],
    },
  }, { subnet: undefined }],
];

const ARGS = [
  "FOO=1",
  "IgnoreUnknown=1;FOO=1",
  "FOO=1;IgnoreUnknown=TRUE",
  "IgnoreUnknown=yes",
  "IgnoreUnknown=0",
  "X",
  "IgnoreUnknown=1;",
  "IgnoreUnknown=1;A=b=c",
  "ignoreunknown=1;FOO=1",
  "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=c1",
  "K8S_POD_NAMESPACE=shop",
  "IP=10.86.0.77",
  "IgnoreUnknown=1;IP=10.86.0.77",
  "IgnoreUnknown=1;IP=10.86.0.1",
  "IgnoreUnknown=1;IP=x",
  "IgnoreUnknown=1;IP=10.86.0.77;IP=10.86.0.78",
  "IgnoreUnknown=1;IP=10.86.0.77;IP=10.86.0.77",
  "MAC=0a:00:00:00:00:07",
  "IgnoreUnknown=1;MAC=0a:00:00:00:00:07",
  "IgnoreUnknown=1;MAC=x",
];
const IDS = ["-a", "_a", ".a", "a b", "a/b", "aé", "cc\n", "9", "a".repeat(200)];
const IFNAMES = [
  "sixteen-bytes-xx",
  ".",
  "..",
  "a:b",
  "a/b",
  "a b",
  "a\u00a0b",
  "fifteen-bytes-x",
  "foo%d",
  "a'b",
  'a"b',
  "lo",
];
const STDINS: readonly (readonly [string, string])[] = [
  ["nothing", ""],
  ["a list", "[]"],
  ["a string", '"x"'],
  ["null", "null"],
  ["text behind", `${JSON.stringify(config())} x`],
  ["a number as name", '{"name":5}'],
  ["no name", '{"cniVersion":"1.0.0"}'],
  ["a slash in the name", '{"cniVersion":"1.0.0","name":"a/b"}'],
  ["a string as flag", JSON.stringify(config({ isGateway: "true" }))],
  ["a string as mtu", JSON.stringify(config({ mtu: "1500" }))],
  ["a number as bridge", JSON.stringify(config({ bridge: 5 }))],
  [
    "a key in capitals",
    JSON.stringify(config({ isGateway: undefined, ISGATEWAY: true, type: "TYPE" })),
  ],
];
const BAD_VERSIONS = ["9.9.9", "0.9.0", "1.0", "v1.0.0", "abc", ""];

const CHECKS: readonly (readonly [string, Partial<Step>])[] = [
  ["another MAC of the bridge", { previous: (it) => it.interfaces[0].mac = "0a:00:00:00:00:99" }],
  ["another MAC of the host veth", {
    previous: (it) => it.interfaces[1].mac = "0a:00:00:00:00:99",
  }],
  ["another MAC of the container", {
    previous: (it) => it.interfaces[2].mac = "0a:00:00:00:00:99",
  }],
  ["another sandbox", { previous: (it) => it.interfaces[2].sandbox = "/run/netns/c9" }],
  ["a foreign address", { previous: (it) => it.ips[0].address = "10.86.0.9/24" }],
  ["no ips", { previous: (it) => delete it.ips }],
  ["a further route through us", {
    previous: (it) => it.routes = [...it.routes ?? [], { dst: "10.77.0.0/16", gw: "10.86.0.1" }],
  }],
  ["no version", { previous: (it) => delete it.cniVersion }],
  ["the version 0.4.0", { previous: (it) => it.cniVersion = "0.4.0" }],
  ["the interface down", { script: "ip -n c1 link set dev eth0 down" }],
  ["the address gone", { script: "ip -n c1 addr flush dev eth0" }],
  ["the interface gone", { script: "ip -n c1 link del dev eth0" }],
  ["the bridge gone", { script: "ip link del dev cni0" }],
  ["out of the bridge", { script: "ip link set dev HOST nomaster" }],
  ["another container ID", { id: "c9", netns: "c1" }],
  ["the container's MTU", { script: "ip -n c1 link set dev eth0 mtu 1300" }],
  ["the gateway off the bridge", { script: "ip addr flush dev cni0" }],
];

const conflict =
  "ip link add cni0 type bridge; ip link set dev cni0 up; ip addr add 10.1.1.1/24 dev cni0";
const small = config({}, { subnet: "10.86.0.0/29" });
const fill = ["c1", "c2", "c3", "c4", "c5"].map((id) => add({ config: small, id }));

const SEQUENCES: readonly Input[] = [
  { name: "ADD twice", steps: [add(), add()] },
  {
    name: "two interfaces",
    steps: [add(), add({ ifname: "eth1" }), del(), del({ ifname: "eth1" })],
  },
  {
    name: "a second network",
    steps: [
      add(),
      add({
        ifname: "eth1",
        config: config({ name: "other", bridge: "cni1" }, { subnet: "10.87.0.0/24" }),
      }),
      del(),
    ],
  },
  { name: "DEL of nothing", steps: [del(), del({ netns: "" })] },
  { name: "DEL with an empty namespace", steps: [add(), del({ netns: "" })] },
  {
    name: "DEL with the namespace gone",
    steps: [add(), del({ script: "ip netns del c1", netns: "/run/netns/c1" })],
  },
  { name: "DEL with a file as namespace", steps: [add(), del({ netns: "/etc/passwd" })] },
  { name: "DEL with bad arguments", steps: [add(), del({ args: "X" })] },
  {
    name: "DEL with a bad ipam",
    steps: [add(), del({ config: config({}, { subnet: undefined }) })],
  },
  {
    name: "DEL with prevResult of another family",
    steps: [add(), del({ previous: (it) => it.cniVersion = "0.2.0" })],
  },
  {
    name: "DEL after the range changed",
    steps: [add(), del({ config: config({}, { rangeStart: "10.86.0.100" }) })],
  },
  {
    name: "a pool filled",
    steps: [
      ...fill,
      add({ config: small, id: "c6" }),
      del({ config: small, id: "c3" }),
      add({ config: small, id: "c7" }),
    ],
  },
  { name: "round robin", steps: [add(), del(), add(), del(), add({ id: "c2" })] },
  {
    name: "an address that is held",
    steps: [
      add({ args: "IgnoreUnknown=1;IP=10.86.0.5" }),
      add({ id: "c2", args: "IgnoreUnknown=1;IP=10.86.0.5" }),
    ],
  },
  {
    name: "IP and args",
    steps: [
      add({
        args: "IgnoreUnknown=1;IP=10.86.0.5",
        config: config({ args: { cni: { ips: ["10.86.0.6"] } } }),
      }),
    ],
  },
  { name: "another address on the bridge", steps: [add({ script: conflict })] },
  {
    name: "another address on the bridge, forceAddress",
    steps: [add({ script: conflict, config: config({ forceAddress: true }) })],
  },
  {
    name: "an existing bridge",
    steps: [add({ script: "ip link add cni0 address 0a:00:00:00:00:55 type bridge" }), del()],
  },
  {
    name: "no bridge of that name",
    steps: [add({ script: "ip link add cni0 type veth peer name p0" })],
  },
  {
    name: "eth0 in the container already",
    steps: [add({ script: "ip -n c1 link add eth0 type bridge" })],
  },
  { name: "a namespace that is missing", steps: [add({ netns: "/run/netns/gone" })] },
  { name: "a file as namespace", steps: [add({ netns: "/etc/passwd" })] },
  {
    name: "the own namespace, ADD",
    steps: [add({ netns: "/proc/self/ns/net", script: "ip link add nic0 type bridge" })],
  },
  { name: "the own namespace, DEL", steps: [del({ netns: "/proc/self/ns/net" })] },
  {
    name: "prevResult on ADD",
    steps: [
      add({
        config: config({
          prevResult: {
            cniVersion: "1.0.0",
            interfaces: [{ name: "x0" }],
            ips: [{ address: "10.7.0.2/24", interface: 0 }],
          },
        }),
      }),
    ],
  },
  {
    name: "CHECK without prevResult",
    steps: [add(), check({ config: config({ prevResult: null }) })],
  },
  { name: "the last port leaves", steps: [add(), del(), add({ id: "c2" })] },
  { name: "VERSION", steps: [{ command: "VERSION", stdin: '{"cniVersion":"1.0.0"}' }] },
  { name: "VERSION with garbage", steps: [{ command: "VERSION", stdin: "garbage" }] },
  { name: "an unknown command", steps: [{ command: "add", config: config() }] },
  { name: "an unknown command, nothing on stdin", steps: [{ command: "FOO", stdin: "" }] },
  { name: "ADD with nothing", steps: [{ command: "ADD", config: config(), env: {} }] },
  { name: "DEL with nothing", steps: [{ command: "DEL", config: config(), env: {} }] },
  {
    name: "CHECK with an ID alone",
    steps: [{ command: "CHECK", config: config(), env: { CNI_CONTAINERID: "c1" } }],
  },
  {
    name: "ADD with a bad ID alone",
    steps: [{ command: "ADD", config: config(), env: { CNI_CONTAINERID: "-a" } }],
  },
  {
    name: "ADD with empty values",
    steps: [{
      command: "ADD",
      config: config(),
      env: { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "" },
    }],
  },
];

/** The keys of a configuration that a version keeps; older versions only know fewer commands. */
export const INPUTS: readonly Input[] = [
  ...VERSIONS.flatMap((cniVersion) =>
    GATEWAYS.map(([name, change, ipam]) =>
      life(`${name} in ${cniVersion}`, config({ cniVersion, ...change }, ipam))
    )
  ),
  life("no cniVersion", config({ cniVersion: undefined })),
  ...KEYS.map(([name, change, ipam]) => life(name, config(change, ipam))),
  ...KEYS.slice(0, 12).map(([name, change, ipam]) =>
    life(`${name} in 0.3.1`, config({ cniVersion: "0.3.1", ...change }, ipam))
  ),
  ...ARGS.map((args) => ({ name: `CNI_ARGS ${args}`, steps: [add({ args }), del()] })),
  ...IDS.map((id) => ({
    name: `container ID ${JSON.stringify(id.slice(0, 9))}`,
    steps: [add({ id, netns: "c1" }), del({ id, netns: "c1" })],
  })),
  ...IFNAMES.map((ifname) => ({
    name: `interface ${JSON.stringify(ifname)}`,
    steps: [add({ ifname }), del({ ifname })],
  })),
  ...STDINS.map(([name, stdin]) => ({
    name: `stdin: ${name}`,
    steps: [{ command: "ADD", stdin }, { command: "DEL", stdin }],
  })),
  ...BAD_VERSIONS.map((cniVersion) => ({
    name: `cniVersion "${cniVersion}"`,
    steps: ["ADD", "CHECK", "DEL"].map((command) => ({ command, config: config({ cniVersion }) })),
  })),
  ...CHECKS.map(([name, step]) => ({ name: `CHECK: ${name}`, steps: [add(), check(step)] })),
  ...SEQUENCES,
];
