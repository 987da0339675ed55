import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { parseIp } from "../../../lib/base/address.ts";
import { Malformed } from "../../../lib/base/errors.ts";
import {
  freshHostMac,
  freshMac,
  isHostMac,
  macOf,
  macOfAll,
  parseMac,
} from "../../../lib/base/mac.ts";

Deno.test("parseMac() takes unicast addresses and prints them in lower case", () => {
  assertEquals<string>(parseMac("0A:58:0a:58:00:02"), "0a:58:0a:58:00:02");
  const rows: [unknown, string][] = [
    ["0a-58-0a-58-00-02", "not of that form"],
    ["0a:58:0a:58:00", "not of that form"],
    ["0a:58:0a:58:00:02:03", "not of that form"],
    ["0a:58:0a:58:00:02\n", "not of that form"],
    ["01:00:5e:00:00:01", "multicast"],
    ["ff:ff:ff:ff:ff:ff", "multicast"],
    ["00:00:00:00:00:00", "all zeros"],
    [5, "got 5"],
  ];
  for (const [mac, found] of rows) assertThrows(() => parseMac(mac), Malformed, found);
});

Deno.test("macOf() is of the address alone", () => {
  const rows: [string, string][] = [
    ["10.88.0.2", "0a:58:0a:58:00:02"],
    ["255.255.255.255", "0a:58:ff:ff:ff:ff"],
    ["fd00::2", "0a:59:fd:00:00:02"],
    ["::102:304", "0a:59:01:02:03:04"],
    ["0:0:102:304::", "0a:59:01:02:03:04"],
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0a:59:00:00:00:00"],
  ];
  for (const [ip, mac] of rows) {
    assertEquals<string>(macOf(parseIp(ip)), mac);
    parseMac(mac);
  }
  const subnet = Array.from(
    { length: 300 },
    (_, host) => macOf(parseIp(`fd00:1:2:3::${host.toString(16)}`)),
  );
  assertEquals(new Set(subnet).size, 300);
});

Deno.test("macOfAll() is of the first IPv4 address, without one of the first", () => {
  const rows: [string[], string | undefined][] = [
    [[], undefined],
    [["10.0.0.2"], "0a:58:0a:00:00:02"],
    [["fd00::2", "10.0.0.2", "10.0.0.3"], "0a:58:0a:00:00:02"],
    [["::2", "::3"], "0a:59:00:00:00:02"],
  ];
  for (const [ips, mac] of rows) {
    assertEquals<string | undefined>(macOfAll(ips.map((it) => parseIp(it))), mac);
  }
});

Deno.test("fresh MACs are unicast; a host veth's lies above any vendor's", () => {
  assertMatch(freshHostMac(), /^fe(:[0-9a-f]{2}){5}$/);
  assertMatch(freshMac(), /^0a:5a(:[0-9a-f]{2}){4}$/);
  for (const fresh of [freshMac, freshHostMac]) {
    assertNotEquals(fresh(), fresh());
    parseMac(fresh());
  }
  assert(isHostMac(freshHostMac()));
  assertEquals([freshMac(), "fe8:1", ""].map(isHostMac), [false, false, false]);
});
