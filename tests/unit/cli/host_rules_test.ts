import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parseCidr } from "../../../lib/base/address.ts";
import { CniError } from "../../../lib/base/errors.ts";
import { groupOf, type NetworkName } from "../../../lib/base/names.ts";
import { hostRules } from "../../../lib/cli/host_rules.ts";
import { config, NET } from "../../podnet.ts";

/** Lines of the rules that have one of these words. */
function linesOf(rules: string, ...words: string[]): string[] {
  return rules.split("\n").map((line) => line.trim()).filter((line) =>
    words.some((word) => line.includes(word))
  );
}

const DUAL = { ...NET, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };

Deno.test("hostRules() masquerades each family by subnet, except towards networks reached directly", () => {
  const rows: [string[], string, string][] = [
    [[], "{ 10.86.0.0/24, 224.0.0.0/4 }", "{ fd00:88::/64, ff00::/8 }"],
    [
      ["10.244.0.0/16"],
      "{ 10.86.0.0/24, 10.244.0.0/16, 224.0.0.0/4 }",
      "{ fd00:88::/64, ff00::/8 }",
    ],
    // No member overlaps with another: an old nft refuses that.
    [
      ["10.0.0.0/8", "10.244.0.0/16", "10.0.0.0/8", "fd00::/16"],
      "{ 10.0.0.0/8, 224.0.0.0/4 }",
      "{ fd00::/16, ff00::/8 }",
    ],
    [["::/0"], "{ 10.86.0.0/24, 224.0.0.0/4 }", "::/0"],
  ];
  for (const [direct, to, to6] of rows) {
    const rules = hostRules(config(DUAL), direct.map((it) => parseCidr(it)));
    assertEquals(linesOf(rules, " masquerade").filter((it) => !it.startsWith("#")), [
      `ip saddr 10.86.0.0/24 oifname != "atomic0" ip daddr != ${to} masquerade`,
      `ip6 saddr fd00:88::/64 oifname != "atomic0" ip6 daddr != ${to6} masquerade`,
    ]);
  }
});

Deno.test("hostRules() drops sources outside of the network, and the family that it lacks", () => {
  const { subnet: _, gateway: __, ...one } = DUAL;
  const link = "ip6 saddr :: meta l4proto != 58 counter drop";
  const rows: [object, string[]][] = [
    [DUAL, [
      "arp saddr ip != { 10.86.0.0/24, 0.0.0.0 } counter drop",
      "ip saddr != { 10.86.0.0/24, 0.0.0.0 } counter drop",
      link,
      "ip6 saddr != { fd00:88::/64, fe80::/10, :: } counter drop",
    ]],
    [NET, [
      "arp saddr ip != { 10.86.0.0/24, 0.0.0.0 } counter drop",
      "ip saddr != { 10.86.0.0/24, 0.0.0.0 } counter drop",
      link,
      "ip6 saddr != { fe80::/10, :: } counter drop",
    ]],
    [one, [
      "ether type { 0x0800, 0x0806 } counter drop",
      link,
      "ip6 saddr != { fd00:88::/64, fe80::/10, :: } counter drop",
    ]],
  ];
  for (const [network, wanted] of rows) {
    const rules = hostRules(config(network));
    assertEquals(linesOf(rules, "saddr ip !=", "saddr !=", "l4proto !=", "0x0806"), wanted);
    assertEquals(linesOf(rules, "jump sources").length, 2);
    // By the host's routes, which are also right for two networks on one bridge.
    assertStringIncludes(rules, "fib saddr . iif oif missing counter drop");
  }
});

Deno.test("hostRules() lets no port impersonate a gateway on the bridge, or the bridge's link-local address", () => {
  const gateway = (rules: string) =>
    linesOf(rules, "10.86.0.1 ", "fd00:88::1 ", "fe80::8", "@th,64");
  assertEquals(gateway(hostRules(config(DUAL))), [
    "arp saddr ip 10.86.0.1 counter drop",
    "ip saddr 10.86.0.1 counter drop",
    "ip6 saddr fd00:88::1 counter drop",
    "icmpv6 type 136 @th,64,128 0xfd000088000000000000000000000001 counter drop",
    "ip6 saddr fe80::858:aff:fe56:1 counter drop",
    "icmpv6 type 136 @th,64,128 0xfe8000000000000008580afffe560001 counter drop",
  ]);
  // Without a gateway on the bridge, the gateway may be behind a port, and the host may have no route.
  const ipam = { type: "host-local", subnet: NET.subnet };
  const router = hostRules(config({ name: "podnet", bridge: "br0", ipam }));
  assertEquals([...gateway(router), ...linesOf(router, "jump sources")], []);
});

Deno.test("hostRules() keeps isolated containers from reaching each other through their gateway", () => {
  const back = (network: object) => linesOf(hostRules(config(network)), 'oifname "atomic0"');
  assertEquals(back(DUAL), []);
  assertEquals(back({ ...DUAL, portIsolation: true }), [
    'iifname "atomic0" oifname "atomic0" ip saddr 10.86.0.0/24 ip daddr 10.86.0.0/24 counter drop',
    'iifname "atomic0" oifname "atomic0" ip6 saddr { fd00:88::/64, fe80::/10, :: } ip6 daddr { fd00:88::/64, fe80::/10 } counter drop',
  ]);
  assertEquals(
    back({ ...NET, portIsolation: true })[1],
    'iifname "atomic0" oifname "atomic0" ip6 saddr { fe80::/10, :: } ip6 daddr fe80::/10 counter drop',
  );
  // No set of an absent family, because nft refuses an empty one.
  const { subnet: _, gateway: __, ...six } = DUAL;
  assertEquals(back({ ...six, portIsolation: true }).length, 1);
});

Deno.test("hostRules() has no word that an older nftables lacks, and no set with a name", () => {
  for (const network of [DUAL, NET, { ...DUAL, portIsolation: true }]) {
    const rules = hostRules(config(network)).replaceAll(/#.*/g, "");
    assertEquals(rules.match(/taddr|8021|nd-|@(?!th,)|\bset\b|igmp|auto-merge/g), null);
  }
});

Deno.test("hostRules() can be loaded again: each table is created, deleted and created", () => {
  const rules = hostRules(config(DUAL));
  for (const family of ["inet", "arp", "bridge"]) {
    const table = `table ${family} atomicni_podnet`;
    assertStringIncludes(rules, `${table}\ndelete ${table}\n${table} {`);
  }
});

Deno.test("hostRules() of a layer-2 network checks no source", () => {
  const layer2 = hostRules(config({ name: "podnet", bridge: "br0", ipam: {} }));
  assertEquals(linesOf(layer2, "saddr", "jump sources"), [
    "ip6 saddr :: meta l4proto 58 return",
    "fib saddr . iif oif missing counter drop",
  ]);
  assertStringIncludes(layer2, 'iifname "br0" icmpv6 type { 134, 137 } counter drop');
});

Deno.test("hostRules() matches ports by the link group of their network", () => {
  const groups = ["podnet", "other"].map((name) =>
    linesOf(hostRules(config({ ...NET, name })), "iifgroup")
  );
  assertEquals(
    groups,
    ["podnet", "other"].map((name) => [
      ...["counter drop", "counter drop", "jump container"].map((what) =>
        `iifgroup ${groupOf(name as NetworkName)} ${what}`
      ),
    ]),
  );
});

Deno.test("hostRules() refuses a bridge name that nft can't express, code 7", () => {
  const own = config({ ...NET, bridge: "a*" });
  const error = assertThrows(() => hostRules(own), CniError, "as a name in nftables");
  assertEquals(error.code, 7);
});
