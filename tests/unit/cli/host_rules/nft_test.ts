import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parseCidr } from "../../../../lib/base/address.ts";
import { CniError } from "../../../../lib/base/errors.ts";
import { groupOf, type NetworkName } from "../../../../lib/base/names.ts";
import { hostRules } from "../../../../lib/cli/host_rules/nft.ts";
import { config, NET } from "../../../podnet.ts";

/** Lines of the rules that have one of these words. */
function linesOf(rules: string, ...words: string[]): string[] {
  return rules.split("\n").map((line) => line.trim()).filter((line) =>
    words.some((word) => line.includes(word))
  );
}

const DUAL = { ...NET, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };

Deno.test("hostRules() masquerades each family by subnet, except towards what is reached directly", () => {
  const direct = ["10.244.0.0/16", "fd00::/16"].map((it) => parseCidr(it));
  const rules = hostRules(config(DUAL), direct);
  assertEquals(linesOf(rules, "masquerade", "elements").filter((it) => !it.startsWith("#")), [
    "elements = { 10.88.0.0/24, 10.244.0.0/16, 224.0.0.0/4 }",
    "elements = { fd00:88::/64, fd00::/16, ff00::/8 }",
    'ip saddr 10.88.0.0/24 oifname != "atomic0" ip daddr != @direct masquerade',
    'ip6 saddr fd00:88::/64 oifname != "atomic0" ip6 daddr != @direct6 masquerade',
  ]);
});

Deno.test("hostRules() drops sources outside of the network on the way to the host and between ports", () => {
  assertEquals(linesOf(hostRules(config(DUAL)), "saddr ip !=", "ip saddr !=", "ip6 saddr !="), [
    "ip saddr != 10.88.0.0/24 counter drop",
    "ip6 saddr != { fd00:88::/64, fe80::/10, :: } counter drop",
    "arp saddr ip != { 10.88.0.0/24, 0.0.0.0 } counter drop",
    "ip saddr != { 10.88.0.0/24, 0.0.0.0 } counter drop",
    "ip6 saddr != { fd00:88::/64, fe80::/10, :: } counter drop",
  ]);
});

Deno.test("hostRules() lets no port speak for a gateway that the bridge carries", () => {
  assertEquals(linesOf(hostRules(config(DUAL)), "10.88.0.1 ", "fd00:88::1 "), [
    "arp saddr ip 10.88.0.1 counter drop",
    "ip saddr 10.88.0.1 counter drop",
    "ip6 saddr fd00:88::1 counter drop",
    "icmpv6 type nd-neighbor-advert icmpv6 taddr fd00:88::1 counter drop",
  ]);
  // Without a gateway on the bridge it may be behind a port.
  const ipam = { type: "host-local", subnet: NET.subnet };
  const router = hostRules(config({ name: "podnet", bridge: "br0", ipam }));
  assertEquals(linesOf(router, "10.88.0.1 "), []);
});

Deno.test("hostRules() can be loaded again: each table is made, deleted and made", () => {
  const rules = hostRules(config(DUAL));
  for (const family of ["inet", "bridge"]) {
    const table = `table ${family} atomicni_podnet`;
    assertStringIncludes(rules, `${table}\ndelete ${table}\n${table} {`);
  }
});

Deno.test("hostRules() has of a family that the network lacks no rule by source", () => {
  const rules = hostRules(config(NET));
  assertEquals(linesOf(rules, "ip6 saddr", "direct6"), []);
  assertStringIncludes(rules, "nd-router-advert, nd-redirect } counter drop");
  const layer2 = hostRules(config({ name: "podnet", bridge: "br0", ipam: {} }));
  assertEquals(linesOf(layer2, "saddr"), []);
  assertStringIncludes(layer2, 'iifname "br0"');
});

Deno.test("hostRules() knows ports by the link group of their network", () => {
  const groups = ["podnet", "other"].map((name) =>
    linesOf(hostRules(config({ ...NET, name })), "iifgroup")
  );
  assertEquals(
    groups,
    ["podnet", "other"].map((name) => [
      `iifgroup ${groupOf(name as NetworkName)} jump container`,
    ]),
  );
});

Deno.test("hostRules() refuses a bridge that no such file can name, code 7", () => {
  for (const bridge of ['a"b', "a\\b", "a*"]) {
    const spec = { ...config(NET), bridge };
    const error = assertThrows(() => hostRules(spec), CniError, "as a name in nftables");
    assertEquals(error.code, 7);
  }
});
