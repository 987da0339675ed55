import { CONFIG, type Json } from "../integration/host.ts";

/** The content of a network's file below /etc/cni/net.d. */
export interface ConfigurationFile {
  readonly name: string;
  readonly text: string;
  /** The text that a runtime sends to the plugin, if it differs from the file. */
  readonly sent?: Json;
  /** No runtime starts this plugin with such a file. */
  readonly isNotForUs?: boolean;
  /** The reason why STATUS may omit it. */
  readonly statusCant?: string;
}

/** The usual configuration with changes; `undefined` removes a key. */
const changed = (name: string, change: Json, more: Partial<ConfigurationFile> = {}) => ({
  name,
  text: JSON.stringify({ ...CONFIG, ...change }),
  ...more,
});

const hostLocal = (name: string, change: Json, ipam: Json = {}) =>
  changed(name, {
    subnet: undefined,
    gateway: undefined,
    isGateway: true,
    ipam: { type: "host-local", subnet: "10.86.0.0/24", ...ipam },
    ...change,
  });

const TEXTS: readonly ConfigurationFile[] = [
  {
    name: "comments",
    text: JSON.stringify(CONFIG).replace("{", "{ // this one\n").replace(",", ", /* and this */ "),
  },
  { name: "a trailing comma", text: JSON.stringify(CONFIG).replace(/}$/, ",}") },
  { name: "a byte order mark", text: `\ufeff${JSON.stringify(CONFIG)}` },
  { name: "nothing", text: "" },
  { name: "an array", text: "[]" },
  { name: "null", text: "null" },
  { name: "cut in the middle", text: JSON.stringify(CONFIG).slice(0, 40) },
  { name: "a key twice", text: JSON.stringify(CONFIG).replace("{", '{"subnet":"10.1.0.0/24",') },
  changed("a misspelt type", { type: "atomicnl" }, { isNotForUs: true }),
  {
    name: "a list",
    text: JSON.stringify({
      cniVersion: "1.1.0",
      name: CONFIG.name,
      plugins: [CONFIG, { type: "portmap", capabilities: { portMappings: true } }],
    }),
    sent: CONFIG,
  },
  {
    name: "a list with another name than the plugin's entry",
    text: JSON.stringify({ cniVersion: "1.0.0", name: "listed", plugins: [CONFIG] }),
    sent: { ...CONFIG, name: "listed", cniVersion: "1.0.0" },
  },
  {
    name: "a list without this plugin",
    text: JSON.stringify({ cniVersion: "1.1.0", name: "podnet", plugins: [{ type: "bridge" }] }),
    isNotForUs: true,
  },
];

const SUBNETS = [
  "224.0.0.0/24",
  "0.0.0.0/24",
  "127.5.0.0/24",
  "169.254.7.0/24",
  "240.0.0.0/24",
  "255.255.255.0/24",
  "192.0.2.0/24",
  "100.64.0.0/10",
  "10.86.0.0/30",
  "10.86.0.0/31",
  "10.86.0.7/24",
] as const;

const VALUES: readonly ConfigurationFile[] = [
  ...SUBNETS.map((subnet) =>
    changed(`subnet ${subnet}`, { subnet, gateway: subnet.replace(/\d+\/.*/, "1") })
  ),
  changed("no subnet", { subnet: undefined }),
  changed("no bridge", { bridge: undefined }),
  changed("a bridge called lo", { bridge: "lo" }),
  changed("a bridge called if1", { bridge: "if1" }),
  changed("a bridge with a % in its name", { bridge: "br%d" }),
  changed("a bridge called all", { bridge: "all" }),
  changed("a bridge with a blank in its name", { bridge: "br 0" }),
  changed("a bridge with a quote in its name", { bridge: 'br"0' }),
  changed("a bridge with a # in its name", { bridge: "br#0" }),
  changed("a bridge with a backslash in its name", { bridge: "br\\0" }),
  changed("a bridge with a name of 16 bytes", { bridge: "bridge-16-bytes-" }),
  changed("the gateway outside", { gateway: "10.99.0.1" }),
  changed("no cniVersion", { cniVersion: undefined }),
  changed("cniVersion 9.9.9", { cniVersion: "9.9.9" }),
  changed("cniVersion 0.3.1", { cniVersion: "0.3.1" }),
  changed("no name", { name: undefined }),
  changed("a name with a slash", { name: "../x" }),
  ...[-5, 67, 68, 1279, 1280, 65535, 65536].map((mtu) => changed(`mtu ${mtu}`, { mtu })),
  changed("ipMasq", { ipMasq: true }),
  changed("ipMasq false", { ipMasq: false }),
  changed("ipMasq in other letter case", { IPMasq: true }),
  changed("subnet in other letter case", { subnet: undefined, Subnet: "10.86.0.0/24" }),
  changed("vlan", { vlan: 7 }),
  changed("macspoofchk", { macspoofchk: true }),
  changed("hairpinMode and promiscMode", { hairpinMode: true, promiscMode: true }),
  changed("an unknown key", { colour: "blue" }),
  changed("a dataDir below the state folder", { ipam: { dataDir: "/var/lib/atomicni/below" } }),
  changed("a dataDir elsewhere", { ipam: { dataDir: "/tmp/x" } }),
  changed("a dataDir that is hidden", { ipam: { dataDir: "/var/lib/atomicni/.x" } }),
  changed("a dataDir with the name of a state file", {
    ipam: { dataDir: "/var/lib/atomicni/net.json" },
  }),
  changed("a range of only the network address", {
    ipam: { rangeStart: "10.86.0.0", rangeEnd: "10.86.0.0" },
  }),
  changed("a range of only the gateway", {
    ipam: { rangeStart: "10.86.0.1", rangeEnd: "10.86.0.1" },
  }),
  changed("a route through a gateway that can't be reached", {
    ipam: { routes: [{ dst: "10.1.0.0/16", gw: "203.0.113.1" }] },
  }),
  changed("a route through a gateway that an earlier route reaches", {
    ipam: {
      routes: [{ dst: "203.0.113.1/32", scope: 253 }, { dst: "10.1.0.0/16", gw: "203.0.113.1" }],
    },
  }),
  changed("a route on the link with a gateway", {
    ipam: { routes: [{ dst: "10.1.0.0/16", gw: "10.86.0.7", scope: 253 }] },
  }),
  changed("two next hops for one destination", {
    ipam: {
      routes: [{ dst: "10.1.0.0/16", table: 0 }, { dst: "10.1.0.0/16", gw: "10.86.0.7" }],
    },
  }),
  changed("the same route twice", {
    ipam: { routes: [{ dst: "10.1.0.0/16" }, { dst: "10.1.0.0/16" }] },
  }),
  changed("the same IPv6 route twice, with another MTU", {
    subnet6: "fd00:88::/64",
    gateway6: "fd00:88::1",
    ipam: { routes: [{ dst: "fd01::/16", mtu: 1400 }, { dst: "fd01::/16" }] },
  }),
  changed("an IPv6 route through a link-local gateway", {
    subnet6: "fd00:88::/64",
    gateway6: "fd00:88::1",
    ipam: { routes: [{ dst: "fd01::/16", gw: "fe80::1" }] },
  }),
  changed("a route with host bits", { ipam: { routes: [{ dst: "10.1.0.7/16" }] } }),
];

const FAMILIES: readonly ConfigurationFile[] = [
  changed("both families", { subnet6: "fd00:88::/64", gateway6: "fd00:88::1" }),
  changed("IPv6 alone", {
    subnet: undefined,
    gateway: undefined,
    subnet6: "fd00:88::/64",
    gateway6: "fd00:88::1",
  }),
  changed("both families, macspoofchk", {
    subnet6: "fd00:88::/64",
    gateway6: "fd00:88::1",
    macspoofchk: true,
  }),
  changed("IPv6 with an mtu under 1280", {
    subnet6: "fd00:88::/64",
    gateway6: "fd00:88::1",
    mtu: 1200,
  }),
  changed("a link-local IPv6 subnet", { subnet6: "fe80::/64", gateway6: "fe80::1" }),
  changed("an IPv6 subnet of multicast", { subnet6: "ff02::/64", gateway6: "ff02::1" }),
  hostLocal("host-local", {}),
  hostLocal("host-local, forceAddress", { forceAddress: true }),
  hostLocal("host-local without isGateway", { isGateway: false }),
  hostLocal("host-local without subnet", {}, { subnet: undefined }),
  hostLocal("host-local, IPv6", {}, { subnet: "fd00:88::/64" }),
  hostLocal("host-local, two sets", {}, {
    subnet: undefined,
    ranges: [[{ subnet: "10.86.0.0/24" }], [{ subnet: "fd00:88::/64" }]],
  }),
  hostLocal("host-local, two subnets in a set", { isDefaultGateway: true }, {
    subnet: undefined,
    ranges: [[{ subnet: "10.86.0.0/24" }, { subnet: "10.87.0.0/24" }]],
  }),
  hostLocal("host-local, a subnet with only its gateway in the range", {}, {
    rangeStart: "10.86.0.1",
    rangeEnd: "10.86.0.1",
  }),
  hostLocal("disableContainerInterface with addresses", { disableContainerInterface: true }),
  hostLocal("disableContainerInterface without", { disableContainerInterface: true, ipam: {} }),
  hostLocal("macspoofchk at layer 2", { macspoofchk: true, ipam: {} }),
  hostLocal("host-local, ranges that overlap", {}, {
    subnet: undefined,
    ranges: [[{ subnet: "10.86.0.0/24" }, { subnet: "10.86.0.0/16" }]],
  }),
  hostLocal("no ipam", { ipam: undefined }),
  hostLocal("an empty ipam", { ipam: {} }),
  hostLocal("an ipam of another type", { ipam: { type: "dhcp" } }),
  hostLocal("a resolvConf that is missing", {}, { resolvConf: "/var/lib/atomicni/none" }),
];

export const USUAL: ConfigurationFile = changed("the usual configuration", {});

export const FILES: readonly ConfigurationFile[] = [USUAL, ...TEXTS, ...VALUES, ...FAMILIES];
