import { assert, assertEquals, assertMatch, assertNotEquals, assertThrows } from "@std/assert";
import { parseIp } from "../../../lib/base/address.ts";
import { Malformed } from "../../../lib/base/errors.ts";
import {
  freshHostMac,
  isHostMac,
  isLayer2HostMac,
  layer2Mac,
  macOf,
  macOfAll,
  macOfBridge,
  macProvenBy,
  parseMac,
} from "../../../lib/base/mac.ts";

Deno.test("parseMac() accepts unicast addresses and prints them in lower case", () => {
  assertEquals<string>(parseMac("0A:58:0a:56:00:02"), "0a:58:0a:56:00:02");
  const rows: [unknown, string][] = [
    ["0a-58-0a-56-00-02", "not of that form"],
    ["0a:58:0a:56:00", "not of that form"],
    ["0a:58:0a:56:00:02:03", "not of that form"],
    ["0a:58:0a:56:00:02\n", "not of that form"],
    ["01:00:5e:00:00:01", "multicast"],
    ["ff:ff:ff:ff:ff:ff", "multicast"],
    ["00:00:00:00:00:00", "all zeros"],
    [5, "got 5"],
  ];
  for (const [mac, found] of rows) assertThrows(() => parseMac(mac), Malformed, found);
});

Deno.test("macOf() depends only on the address", () => {
  const rows: [string, string][] = [
    ["10.86.0.2", "0a:58:0a:56:00:02"],
    ["255.255.255.255", "0a:58:ff:ff:ff:ff"],
    ["fd00::2", "d2:a7:2e:10:c1:76"],
    ["::", "a6:e0:db:a6:91:75"],
  ];
  for (const [ip, mac] of rows) assertEquals<string>(macOf(parseIp(ip)), mac);
});

Deno.test("a MAC of an IPv6 address or a bridge's name is local, unicast, unique, and never that of a host veth", () => {
  // Groups for which a simple fold would collide, and two adjacent networks.
  const hosts = Array.from({ length: 2_000 }, (_, host) => host.toString(16));
  const ips = hosts.flatMap((host) => [
    `fd00:1:2:3::${host}`,
    `fd00:1:2:4::${host}`,
    `fd00:1:2:3:${host}::1`,
    `fd00:1:2:3::${host}:0:1`,
  ]);
  const macs = [
    ...[...new Set(ips.map((it) => parseIp(it)))].map(macOf),
    ...hosts.map((host) => macOfBridge(`br${host}`)),
  ];
  assertEquals(new Set(macs).size, macs.length);
  for (const mac of macs) {
    assertEquals(parseInt(parseMac(mac).slice(0, 2), 16) & 3, 2, mac);
    assert(!isHostMac(mac), mac);
  }
  // Each of the 46 bits is set in about half of them.
  for (let bit = 0; bit < 48; bit++) {
    if (bit === 40 || bit === 41) continue;
    const ones = macs.filter((mac) => BigInt(`0x${mac.replaceAll(":", "")}`) >> BigInt(bit) & 1n);
    assert(Math.abs(ones.length / macs.length - 0.5) < 0.05, `bit ${bit}: ${ones.length}`);
  }
});

Deno.test("macOfAll() is the MAC of the first IPv4 address or, without one, of the first address", () => {
  const rows: [string[], string | undefined][] = [
    [[], undefined],
    [["10.0.0.2"], "0a:58:0a:00:00:02"],
    [["fd00::2", "10.0.0.2", "10.0.0.3"], "0a:58:0a:00:00:02"],
    [["::2", "::3"], macOf(parseIp("::2"))],
  ];
  for (const [ips, mac] of rows) {
    assertEquals<string | undefined>(macOfAll(ips.map((it) => parseIp(it))), mac);
  }
});

Deno.test("a host veth's MAC is random, unicast and above any vendor MAC; the peer's MAC is derived from it", () => {
  const fresh = freshHostMac(true);
  assertMatch(fresh, /^fe(:[0-9a-f]{2}){5}$/);
  assertNotEquals(fresh, freshHostMac(true));
  parseMac(fresh);
  assert(isHostMac(fresh));
  assertEquals(["0a:58:00:00:00:01", "fe8:1", ""].map(isHostMac), [false, false, false]);
  assertEquals<string>(layer2Mac(parseMac("fe:11:22:33:44:55")), "0a:5a:22:33:44:55");
});

Deno.test("a host veth's MAC shows whether the attachment has addresses", () => {
  for (let count = 0; count < 200; count++) {
    for (const hasAddresses of [true, false]) {
      const mac = freshHostMac(hasAddresses);
      assert(isHostMac(mac), mac);
      assertEquals(isLayer2HostMac(mac), !hasAddresses, mac);
      if (!hasAddresses) assertEquals(macProvenBy(mac), layer2Mac(mac), mac);
    }
    const requested = freshHostMac(false, true);
    assertEquals([isLayer2HostMac(requested), macProvenBy(requested)], [true, undefined]);
  }
  const foreign = ["02:00:00:00:00:01", ""];
  assertEquals(foreign.map(isLayer2HostMac), [false, false]);
  assertEquals(foreign.map(macProvenBy), [undefined, undefined]);
});
