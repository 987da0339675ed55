import { assertEquals, assertThrows } from "@std/assert";
import { parseCidr, parseIp } from "../../../lib/base/address.ts";
import { Malformed } from "../../../lib/base/errors.ts";
import {
  type AddressRange,
  allocatingRange,
  formatRange,
  formatRanges,
  formatSet,
  inRange,
  isAllocatable,
  overlapping,
  parseSubnet,
  reservedAs,
  sizeOf,
  subnetsOf,
  usable,
} from "../../../lib/base/range.ts";
import { range } from "../sets.ts";

Deno.test("parseSubnet() accepts the prefix lengths of each family", () => {
  for (const text of ["10.0.0.0/8", "10.86.0.0/30", "fd00::/8", "fd00:88::/126", "2001:db8::/64"]) {
    assertEquals(parseSubnet(text), parseCidr(text));
  }
  const rows: [string, 4 | 6 | undefined, string][] = [
    ["10.0.0.0/31", undefined, "/31 is too small"],
    ["10.0.0.0/32", undefined, "/32 is too small"],
    ["0.0.0.0/7", undefined, "/7 is too large"],
    ["fd00::/127", undefined, "/127 is too small"],
    ["fd00::/128", undefined, "/128 is too small"],
    ["fc00::/7", undefined, "/7 is too large"],
    ["::/0", undefined, "/0 is too large"],
    ["fd00::/64", 4, "it is of IPv6"],
    ["10.0.0.0/8", 6, "it is of IPv4"],
    ["10.0.0.1/8", 4, "the network is 10.0.0.0/8"],
  ];
  for (const [text, family, found] of rows) {
    assertThrows(() => parseSubnet(text, family), Malformed, found);
  }
});

Deno.test("parseSubnet() refuses networks whose addresses no container can have, and overlaps with them", () => {
  const rows: [string, string][] = [
    ["0.0.0.0/8", "without an address"],
    ["0.1.0.0/16", "without an address"],
    ["127.0.0.0/8", "loopback"],
    ["127.5.0.0/24", "loopback"],
    ["169.254.0.0/16", "link-local"],
    ["169.254.9.0/24", "link-local"],
    ["169.0.0.0/8", "link-local"],
    ["224.0.0.0/8", "multicast"],
    ["239.1.0.0/16", "multicast"],
    ["::/96", "loopback"],
    ["::/64", "loopback"],
    ["0::/8", "loopback"],
    ["::ffff:0:0/96", "mapped"],
    ["::ffff:10.0.0.0/104", "mapped"],
    ["fe80::/10", "link-local"],
    ["fe80::/64", "link-local"],
    ["febf::/16", "link-local"],
    ["ff00::/8", "multicast"],
    ["ff02::/16", "multicast"],
  ];
  for (const [text, purpose] of rows) assertThrows(() => parseSubnet(text), Malformed, purpose);
  for (const beside of ["1.0.0.0/8", "126.0.0.0/8", "128.0.0.0/8", "169.253.0.0/16", "fec0::/10"]) {
    parseSubnet(beside);
  }
});

Deno.test("usable() and reservedAs() depend on the family", () => {
  const rows: [string, string, string, [string, string | undefined][]][] = [
    ["10.86.0.0/24", "10.86.0.1", "10.86.0.254", [
      ["10.86.0.0", "the network address"],
      ["10.86.0.255", "the broadcast address"],
      ["10.86.0.1", undefined],
    ]],
    ["10.0.0.0/8", "10.0.0.1", "10.255.255.254", [["10.255.255.255", "the broadcast address"]]],
    ["255.255.255.252/30", "255.255.255.253", "255.255.255.254", [
      ["255.255.255.255", "the broadcast address"],
    ]],
    ["fd00::/64", "fd00::1", "fd00::ffff:ffff:ffff:ffff", [
      ["fd00::", "the subnet-router anycast address"],
      ["fd00::ffff:ffff:ffff:ffff", undefined],
    ]],
    ["fd00::8/126", "fd00::9", "fd00::b", [
      ["fd00::8", "the subnet-router anycast address"],
      ["fd00::b", undefined],
    ]],
  ];
  for (const [text, first, last, reserved] of rows) {
    const subnet = parseCidr(text);
    assertEquals<unknown>(usable(subnet), { start: first, end: last }, text);
    for (const [ip, name] of reserved) assertEquals(reservedAs(subnet, parseIp(ip)), name, ip);
  }
});

Deno.test("sizeOf() is the number of addresses that can be allocated", () => {
  const rows: [ReturnType<typeof range>, bigint][] = [
    [range("10.0.0.0/29"), 5n],
    [range("10.0.0.0/29", { start: "10.0.0.0", end: "10.0.0.7" }), 5n],
    [range("10.0.0.0/29", { start: "10.0.0.2", end: "10.0.0.3" }), 2n],
    [range("10.0.0.0/29", { start: "10.0.0.1", end: "10.0.0.1" }), 0n],
    [range("10.0.0.0/30"), 1n],
    [range("10.0.0.0/30", { gateway: "10.0.0.0" }), 2n],
    [range("10.0.0.0/8"), (1n << 24n) - 3n],
    [range("10.0.0.0/24", { gateway: "10.9.9.9" }), 254n],
    [range("10.0.0.0/29", { gateway: "10.0.0.7", end: "10.0.0.7" }), 6n],
    [range("fd00::/126"), 2n],
    [range("fd00::/126", { start: "fd00::" }), 2n],
    [range("fd00::/64"), (1n << 64n) - 2n],
    [range("fd00::/8"), (1n << 120n) - 2n],
  ];
  for (const [it, size] of rows) {
    assertEquals(sizeOf(it), size, formatRange(it));
    if (size > 16n) continue;
    const { base } = it.subnet;
    const hosts = Array.from({ length: 16 }, (_, host) => parseIp(hostOf(base, host)));
    assertEquals(BigInt(hosts.filter((ip) => isAllocatable(it, ip)).length), size, formatRange(it));
  }
});

function hostOf(base: string, host: number): string {
  return base.includes(":") ? `${base}${host.toString(16)}` : base.replace(/\d+$/, String(host));
}

Deno.test("a range contains its addresses except gateway and reserved ones", () => {
  const whole = range("10.0.0.0/29", { start: "10.0.0.0", end: "10.0.0.7", gateway: "10.0.0.3" });
  const six = range("fd00::/125", { start: "fd00::", end: "fd00::4", gateway: "fd00::2" });
  const rows: [string, boolean, boolean][] = [
    ["10.0.0.0", true, false],
    ["10.0.0.1", true, true],
    ["10.0.0.3", true, false],
    ["10.0.0.7", true, false],
    ["10.0.0.8", false, false],
    ["fd00::", true, false],
    ["fd00::1", true, true],
    ["fd00::2", true, false],
    ["fd00::4", true, true],
    ["fd00::5", false, false],
  ];
  for (const [text, within, givable] of rows) {
    const ip = parseIp(text);
    const it = text.includes(":") ? six : whole;
    assertEquals([inRange(it, ip), isAllocatable(it, ip)], [within, givable], text);
    assertEquals(inRange(text.includes(":") ? whole : six, ip), false, "of the other family");
    assertEquals(allocatingRange([whole, six], ip), givable ? it : undefined, text);
  }
});

Deno.test("sets are written in one line, which identifies the sets of one network", () => {
  const sets = [
    [range("10.0.0.0/29"), range("10.0.1.0/29", { start: "10.0.1.3", gateway: "10.0.1.2" })],
    [range("fd00::/125"), range("fd00::/125")],
  ];
  assertEquals(formatSet(sets[0] ?? []), "10.0.0.1 - 10.0.0.6, 10.0.1.3 - 10.0.1.6");
  assertEquals(
    formatRanges(sets),
    "10.0.0.0/29 10.0.0.1 10.0.0.6 10.0.0.1,10.0.1.0/29 10.0.1.3 10.0.1.6 10.0.1.2;" +
      "fd00::/125 fd00::1 fd00::7 fd00::1,fd00::/125 fd00::1 fd00::7 fd00::1",
  );
  assertEquals(
    subnetsOf(sets),
    ["10.0.0.0/29", "10.0.1.0/29", "fd00::/125"].map((it) => parseCidr(it)),
  );
});

Deno.test("overlapping() compares both ends of both ranges", () => {
  const at = (start: string, end: string) => range("10.0.0.0/24", { start, end });
  const middle = at("10.0.0.20", "10.0.0.29");
  const rows: [AddressRange, boolean][] = [
    [at("10.0.0.10", "10.0.0.19"), false],
    [at("10.0.0.10", "10.0.0.20"), true],
    [at("10.0.0.22", "10.0.0.23"), true],
    [at("10.0.0.10", "10.0.0.40"), true],
    [at("10.0.0.29", "10.0.0.40"), true],
    [at("10.0.0.30", "10.0.0.40"), false],
    [range("fd00::/64"), false],
  ];
  for (const [other, expected] of rows) {
    const found = [overlapping(middle, other), overlapping(other, middle)];
    assertEquals(found, [expected, expected], formatRange(other));
  }
});
