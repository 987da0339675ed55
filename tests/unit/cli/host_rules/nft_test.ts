import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parseCidr } from "../../../../lib/base/address.ts";
import { CniError } from "../../../../lib/base/errors.ts";
import { hostRules } from "../../../../lib/cli/host_rules/nft.ts";
import { config, NET } from "../../../podnet.ts";

/** Lines of the rules that have one of these words. */
function linesOf(rules: string, ...words: string[]): string[] {
  return rules.split("\n").map((line) => line.trim()).filter((line) =>
    words.some((word) => line.includes(word))
  );
}

Deno.test("hostRules() masquerades each family by subnet, except towards what is reached directly", () => {
  const dual = { ...NET, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
  const direct = ["10.244.0.0/16", "fd00::/16"].map((it) => parseCidr(it));
  const rules = hostRules(config(dual), direct);
  assertEquals(linesOf(rules, "masquerade", "elements").filter((it) => !it.startsWith("#")), [
    "elements = { 10.88.0.0/24, 10.244.0.0/16, 224.0.0.0/4 }",
    'ip saddr { 10.88.0.0/24 } oifname != "atomic0" ip daddr != @direct masquerade',
    "elements = { fd00:88::/64, fd00::/16, ff00::/8 }",
    'ip6 saddr { fd00:88::/64 } oifname != "atomic0" ip6 daddr != @direct masquerade',
  ]);
  assertEquals(linesOf(rules, "saddr ip", "ip saddr !=", "ip6 saddr !="), [
    "ether type ip ip saddr != { 10.88.0.0/24 } counter drop",
    "ether type arp arp saddr ip != { 0.0.0.0, 10.88.0.0/24 } counter drop",
    "ether type ip6 ip6 saddr != { ::, fe80::/10, fd00:88::/64 } counter drop",
  ]);
  // Each table is made before it is deleted, so that loading it again replaces it.
  for (const family of ["ip", "ip6", "bridge"]) {
    const table = `table ${family} atomicni_podnet`;
    assertStringIncludes(rules, `${table}\ndelete ${table}\n${table} {`);
  }
});

Deno.test("hostRules() has of a family that the network lacks no rule by source", () => {
  const rules = hostRules(config(NET));
  assertEquals(rules.includes("table ip6 "), false);
  assertEquals(rules.includes("ether type ip6"), false);
  assertStringIncludes(rules, "nd-router-advert counter drop");
  const layer2 = hostRules(config({ name: "podnet", bridge: "br0", ipam: {} }));
  assertEquals(linesOf(layer2, "masquerade;", "saddr"), []);
  assertStringIncludes(layer2, 'meta ibrname "br0"');
});

Deno.test("hostRules() refuses a bridge that no such file can name, code 7", () => {
  for (const bridge of ['a"b', "a\\b", "a*"]) {
    const spec = { ...config(NET), bridge };
    const error = assertThrows(() => hostRules(spec), CniError, "as a name in nftables");
    assertEquals(error.code, 7);
  }
});
