import { assert, assertEquals, assertThrows } from "@std/assert";
import { Malformed } from "../../../lib/base/errors.ts";
import {
  compareIps,
  contains,
  extentOf,
  type Family,
  familyOf,
  formatCidr,
  formatInterfaceAddress,
  ipOf,
  networkOf,
  overlap,
  parseCidr,
  parseInterfaceAddress,
  parseIp,
  sameNetwork,
  tryIp,
  valueOf,
} from "../../../lib/base/address.ts";
import { drawFrom, seed } from "../generated.ts";

Deno.test("parseIp(, 4) accepts a dotted quad, which is already canonical", () => {
  const rows: [string, bigint][] = [
    ["0.0.0.0", 0n],
    ["10.86.0.2", 0x0a560002n],
    ["128.0.0.1", 0x80000001n],
    ["255.255.255.255", 0xffffffffn],
  ];
  for (const [text, value] of rows) {
    assertEquals<string>(parseIp(text, 4), text);
    assertEquals(valueOf(parseIp(text, 4)), value);
    assertEquals<string>(ipOf(value, 4), text);
  }
});

Deno.test("parseIp(, 4) refuses anything else and says why", () => {
  const rows: [unknown, string][] = [
    ["", "not of that form"],
    ["10.77.0", "not of that form"],
    ["10.77.0.", "not of that form"],
    [".10.77.0", "not of that form"],
    ["10..77.0", "not of that form"],
    ["10.77.0.1.1", "not of that form"],
    ["10.77.0.256", "not of that form"],
    ["10.77.0.4294967297", "not of that form"],
    ["10.77.0.01", "leading zero"],
    ["010.77.0.1", "leading zero"],
    ["10.77.00.1", "leading zero"],
    [" 10.77.0.1", "not of that form"],
    ["10.77.0.1\n", "not of that form"],
    ["10.77.0.1/24", "not of that form"],
    ["0x0a.1.1.1", "not of that form"],
    ["-1.0.0.1", "not of that form"],
    ["10.77.0.１", "not of that form"],
    ["fd00::1", "it is of IPv6"],
    [177, "got 177"],
    [null, "got null"],
    [undefined, "got undefined"],
    [["10.77.0.1"], 'got ["10.77.0.1"]'],
  ];
  for (const [value, found] of rows) {
    assertThrows(() => parseIp(value, 4), Malformed, found);
    if (typeof value === "string" && !value.includes(":")) assertEquals(tryIp(value), undefined);
  }
});

Deno.test("parseIp(, 6) accepts every form of RFC 4291 and writes the form of RFC 5952", () => {
  const rows: [string, string][] = [
    ["2001:DB8:0:0:8:800:200C:417A", "2001:db8::8:800:200c:417a"],
    ["FF01:0:0:0:0:0:0:101", "ff01::101"],
    ["0:0:0:0:0:0:0:1", "::1"],
    ["0:0:0:0:0:0:0:0", "::"],
    ["::", "::"],
    ["::1", "::1"],
    ["fd00::", "fd00::"],
    ["2001:0db8::0001", "2001:db8::1"],
    ["2001:db8:0:0:0:0:2:1", "2001:db8::2:1"],
    // §4.2.2: one group of zeros is not a run.
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    // §4.2.3: the longest run, or the first of two.
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"],
    ["0:0:1:0:0:0:0:0", "0:0:1::"],
    ["2001:db8:AAAA:bbbb:CCCC:dddd:EEEE:1", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:1"],
    ["::ffff:192.0.2.1", "::ffff:192.0.2.1"],
    ["::ffff:c000:201", "::ffff:192.0.2.1"],
    ["0:0:0:0:0:FFFF:129.144.52.38", "::ffff:129.144.52.38"],
    ["::13.1.68.3", "::d01:4403"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
    ["fd00::10.86.0.2", "fd00::a56:2"],
    ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
  ];
  for (const [text, canonical] of rows) {
    assertEquals<string>(parseIp(text, 6), canonical, text);
    assertEquals<string>(parseIp(canonical), canonical);
  }
});

Deno.test("parseIp(, 6) refuses everything else", () => {
  const rows = [
    ":",
    ":::",
    "1",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1::2::3",
    "1:2:3:4::5:6:7:8",
    "::1:2:3:4:5:6:7:8",
    ":1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:",
    "12345::",
    "g::1",
    "fd00::1%eth0",
    "[fd00::1]",
    "fd00::1/64",
    " fd00::1",
    "fd00::1\n",
    "::1.2.3",
    "::1.2.3.256",
    "::01.2.3.4",
    "1.2.3.4::",
    "::1.2.3.4:5",
    "1:2:3:4:5:6:7:1.2.3.4",
    "::-1",
    "::0x1",
  ];
  for (const text of rows) {
    assertEquals(tryIp(text), undefined, text);
    assertThrows(() => parseIp(text, 6), Malformed);
  }
  assertThrows(() => parseIp("10.0.0.1", 6), Malformed, "it is of IPv4");
  assertThrows(() => parseIp(6, 6), Malformed, "got 6");
  assertThrows(() => parseIp("fd00::x"), Malformed, "an IPv6 address (fd00::2)");
  assertThrows(() => parseIp("x"), Malformed, "an IPv4 address");
});

/** An address with runs of zeros and ones, which are hard to write canonically. */
function drawValue(draw: (below: number) => number, family: Family): bigint {
  const groups = family === 4 ? 2 : 8;
  let value = 0n;
  for (let index = 0; index < groups; index++) {
    const group = [0, 0, 0, 0xffff, 1, draw(0x10000)][draw(6)] ?? 0;
    value = (value << 16n) | BigInt(group);
  }
  return value;
}

/** One of the ways to write an IPv6 address. */
function spell(value: bigint, draw: (below: number) => number): string {
  const groups = Array.from(
    { length: 8 },
    (_, i) => Number((value >> BigInt(112 - 16 * i)) & 0xffffn),
  );
  const words = groups.map((group) => {
    const word = group.toString(16).padStart(draw(2) === 0 ? 1 : 4, "0");
    return draw(2) === 0 ? word : word.toUpperCase();
  });
  if (draw(3) === 0) {
    const [a = 0, b = 0] = groups.slice(6);
    words.splice(6, 2, [a >> 8, a & 255, b >> 8, b & 255].join("."));
  }
  const zeros = groups.slice(0, words.length - (words.length < 8 ? 1 : 0));
  const start = zeros.findIndex((group) => group === 0);
  if (start < 0 || draw(3) === 0) return words.join(":");
  let length = 1;
  while (zeros[start + length] === 0 && draw(4) > 0) length++;
  return `${words.slice(0, start).join(":")}::${words.slice(start + length).join(":")}`;
}

Deno.test("an address in any spelling has one canonical text, which parses to the same address", () => {
  const from = seed();
  const draw = drawFrom(from);
  for (let round = 0; round < 3000; round++) {
    const why = `TEST_SEED=${from}, round ${round}`;
    const v4 = drawValue(draw, 4);
    assertEquals(valueOf(parseIp(ipOf(v4, 4), 4)), v4, why);
    const v6 = drawValue(draw, 6);
    const text = ipOf(v6, 6);
    const spelt = spell(v6, draw);
    assertEquals(parseIp(spelt, 6), text, `${why}: ${spelt}`);
    assertEquals(valueOf(text), v6, `${why}: ${text}`);
    // RFC 5952 by the rule of URLs (WHATWG), which has no mapped form.
    if (v6 >> 32n !== 0xffffn) {
      assertEquals(new URL(`http://[${spelt}]`).hostname, `[${text}]`, why);
    }
  }
});

Deno.test("the network of an address, and overlaps, agree with arithmetic", () => {
  const from = seed();
  const draw = drawFrom(from);
  for (let round = 0; round < 2000; round++) {
    const family: Family = draw(2) === 0 ? 4 : 6;
    const bits = family === 4 ? 32 : 128;
    const drawn = () => networkOf(ipOf(drawValue(draw, family), family), draw(bits + 1));
    const [left, right] = [drawn(), drawn()];
    const why = `TEST_SEED=${from}, round ${round}: ${formatCidr(left)} ${formatCidr(right)}`;
    const [from1, from2] = [valueOf(left.base), valueOf(right.base)];
    assertEquals(from1 % extentOf(left), 0n, why);
    const meets = from1 < from2 + extentOf(right) && from2 < from1 + extentOf(left);
    assertEquals([overlap(left, right), overlap(right, left)], [meets, meets], why);
    const last = ipOf(from1 + extentOf(left) - 1n, family);
    assert(contains(left, left.base) && contains(left, last), why);
    if (valueOf(last) + 1n < 1n << BigInt(bits)) {
      assertEquals(contains(left, ipOf(valueOf(last) + 1n, family)), false, why);
    }
    if (from1 > 0n) assertEquals(contains(left, ipOf(from1 - 1n, family)), false, why);
    assertEquals(parseCidr(formatCidr(left)), left, why);
  }
});

Deno.test("parseInterfaceAddress() accepts an address with a prefix length of its family", () => {
  for (
    const text of ["0.0.0.0/0", "10.1.2.3/24", "10.1.2.3/32", "::/0", "fd00::2/64", "fd00::2/128"]
  ) {
    assertEquals(formatInterfaceAddress(parseInterfaceAddress(text)), text);
  }
  assertEquals(formatInterfaceAddress(parseInterfaceAddress("FD00:0::2/64")), "fd00::2/64");
  const rows: [unknown, Family | undefined, string][] = [
    ["10.1.2.3", undefined, "no prefix length"],
    ["10.1.2.3/", undefined, 'prefix length ""'],
    ["10.1.2.3/33", undefined, 'prefix length "33" is not a number from 0 to 32'],
    ["10.1.2.3/024", undefined, 'prefix length "024"'],
    ["10.1.2.3/-1", undefined, 'prefix length "-1"'],
    ["10.1.2.3/24/8", undefined, 'prefix length "24/8"'],
    ["10.1.2/24", undefined, "not of that form"],
    ["fd00::1/129", undefined, 'prefix length "129" is not a number from 0 to 128'],
    ["fd00::1/064", undefined, 'prefix length "064"'],
    ["fd00::1", undefined, "no prefix length"],
    ["fd00::1/64", 4, "it is of IPv6"],
    ["10.0.0.1/24", 6, "it is of IPv4"],
    [24, undefined, "got 24"],
  ];
  for (const [value, family, found] of rows) {
    assertThrows(() => parseInterfaceAddress(value, family), Malformed, found);
  }
});

Deno.test("parseCidr() shows the right network if host bits are set", () => {
  for (
    const text of [
      "0.0.0.0/0",
      "10.86.0.0/16",
      "255.255.255.252/30",
      "10.0.0.1/32",
      "::/0",
      "fd00::/8",
    ]
  ) {
    assertEquals(formatCidr(parseCidr(text)), text);
  }
  const rows: [string, string][] = [
    ["10.86.0.7/16", "the network is 10.86.0.0/16"],
    ["192.168.1.129/25", "the network is 192.168.1.128/25"],
    ["fd00::1/64", "the network is fd00::/64"],
    ["fd00:0:0:1:8000::/64", "the network is fd00:0:0:1::/64"],
    ["ffff::1/127", "the network is ffff::/127"],
  ];
  for (const [text, found] of rows) assertThrows(() => parseCidr(text), Malformed, found);
});

Deno.test("contains() knows whether an address is in a network", () => {
  const rows: [string, string, boolean][] = [
    ["10.22.0.0/24", "10.22.0.255", true],
    ["10.22.0.0/24", "10.22.1.0", false],
    ["10.22.0.0/24", "110.22.0.1", false],
    ["0.0.0.0/0", "255.255.255.255", true],
    ["fd00::/64", "fd00::ffff:ffff:ffff:ffff", true],
    ["fd00::/64", "fd00:0:0:1::", false],
    ["fd00::/64", "10.22.0.1", false],
    ["0.0.0.0/0", "::1", false],
    ["::/0", "0.0.0.1", false],
    ["::ffff:0:0/96", "1.2.3.4", false],
  ];
  for (const [network, ip, inside] of rows) {
    assertEquals(contains(parseCidr(network), parseIp(ip)), inside, `${network} ${ip}`);
  }
  assertEquals(overlap(parseCidr("0.0.0.0/0"), parseCidr("::/0")), false);
  assertEquals(sameNetwork(parseCidr("fd00::/64"), parseCidr("FD00:0::/64")), true);
  assertEquals(sameNetwork(parseCidr("fd00::/64"), parseCidr("fd00::/65")), false);
  assertEquals(extentOf(parseCidr("::/0")), 1n << 128n);
  assertEquals(formatCidr(networkOf(parseIp("255.255.255.255", 4), 1)), "128.0.0.0/1");
});

Deno.test("compareIps() orders IPv4 first, and compares numbers instead of text", () => {
  const sorted = ["2.0.0.9", "2.0.0.10", "10.0.0.1", "::1", "2::", "10::"].map((it) => parseIp(it));
  assertEquals([...sorted].reverse().sort(compareIps), sorted);
  assertEquals(sorted.map(familyOf), [4, 4, 4, 6, 6, 6]);
});
