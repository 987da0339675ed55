import { assertEquals, assertThrows } from "@std/assert";
import { Malformed } from "../lib/errors.ts";
import {
  after,
  broadcastOf,
  contains,
  formatCidr,
  formatInterfaceAddress,
  formatIpv4,
  inRange,
  networkOf,
  parseCidr,
  parseInterfaceAddress,
  parseIpv4,
  sizeOf,
  tryIpv4,
  usable,
} from "../lib/ipv4.ts";

Deno.test("parseIpv4() takes a dotted quad, and formatIpv4() prints it again", () => {
  const rows: [string, number][] = [
    ["0.0.0.0", 0],
    ["10.88.0.2", 0x0a580002],
    ["128.0.0.1", 0x80000001],
    ["255.255.255.255", 0xffffffff],
  ];
  for (const [text, ip] of rows) {
    assertEquals<number>(parseIpv4(text), ip);
    assertEquals(formatIpv4(parseIpv4(text)), text);
  }
});

Deno.test("parseIpv4() refuses anything else and says why", () => {
  const rows: [unknown, string][] = [
    ["", "not of that form"],
    ["10.77.0", "not of that form"],
    ["10.77.0.1.1", "not of that form"],
    ["10.77.0.256", "not of that form"],
    ["10.77.0.01", "leading zero"],
    ["010.77.0.1", "leading zero"],
    [" 10.77.0.1", "not of that form"],
    ["10.77.0.1\n", "not of that form"],
    ["10.77.0.1/24", "not of that form"],
    ["0x0a.1.1.1", "not of that form"],
    ["-1.0.0.1", "not of that form"],
    ["fd00::1", "IPv4 only"],
    [177, "got 177"],
    [null, "got null"],
    [undefined, "got undefined"],
    [["10.77.0.1"], 'got ["10.77.0.1"]'],
  ];
  for (const [value, found] of rows) assertThrows(() => parseIpv4(value), Malformed, found);
  assertEquals(tryIpv4("10.77.0.01"), undefined);
});

Deno.test("parseInterfaceAddress() takes an address with a prefix length from 0 to 32", () => {
  for (const text of ["0.0.0.0/0", "10.1.2.3/24", "10.1.2.3/32"]) {
    assertEquals(formatInterfaceAddress(parseInterfaceAddress(text)), text);
  }
  const rows: [unknown, string][] = [
    ["10.1.2.3", "no prefix length"],
    ["10.1.2.3/", 'prefix length ""'],
    ["10.1.2.3/33", 'prefix length "33"'],
    ["10.1.2.3/024", 'prefix length "024"'],
    ["10.1.2.3/-1", 'prefix length "-1"'],
    ["10.1.2.3/24/8", 'prefix length "24/8"'],
    ["10.1.2/24", "not of that form"],
    ["fd00::1/64", "IPv4 only"],
    ["fd00::1", "IPv4 only"],
    [24, "got 24"],
  ];
  for (const [value, found] of rows) {
    assertThrows(() => parseInterfaceAddress(value), Malformed, found);
  }
});

Deno.test("parseCidr() shows the right network where host bits are set", () => {
  for (const text of ["0.0.0.0/0", "10.88.0.0/16", "255.255.255.252/30", "10.0.0.1/32"]) {
    assertEquals(formatCidr(parseCidr(text)), text);
  }
  assertThrows(() => parseCidr("10.88.0.7/16"), Malformed, "the network is 10.88.0.0/16");
  assertThrows(() => parseCidr("192.168.1.129/25"), Malformed, "the network is 192.168.1.128/25");
});

Deno.test("a network knows its broadcast address, its usable range and what is in it", () => {
  const rows: [string, string, string, string][] = [
    ["10.88.0.0/24", "10.88.0.1", "10.88.0.254", "10.88.0.255"],
    ["10.0.0.0/8", "10.0.0.1", "10.255.255.254", "10.255.255.255"],
    ["255.255.255.252/30", "255.255.255.253", "255.255.255.254", "255.255.255.255"],
  ];
  for (const [text, first, last, broadcast] of rows) {
    const subnet = parseCidr(text);
    assertEquals(formatIpv4(usable(subnet).start), first);
    assertEquals(formatIpv4(usable(subnet).end), last);
    assertEquals(formatIpv4(broadcastOf(subnet)), broadcast);
    assertEquals(contains(subnet, parseIpv4(broadcast)), true);
  }
  const subnet = parseCidr("10.22.0.0/24");
  assertEquals(contains(subnet, parseIpv4("10.22.1.0")), false);
  assertEquals(contains(subnet, parseIpv4("110.22.0.1")), false);
  assertEquals(contains(parseCidr("0.0.0.0/0"), parseIpv4("255.255.255.255")), true);
  assertEquals(formatIpv4(networkOf(parseIpv4("255.255.255.255"), 1)), "128.0.0.0");
});

Deno.test("after() wraps at the end of the range, at the highest address too", () => {
  const range = { start: parseIpv4("10.0.0.2"), end: parseIpv4("10.0.0.4") };
  const top = { start: parseIpv4("255.255.255.253"), end: parseIpv4("255.255.255.255") };
  const rows: [string, typeof range, string][] = [
    ["10.0.0.2", range, "10.0.0.3"],
    ["10.0.0.4", range, "10.0.0.2"],
    ["10.0.0.1", range, "10.0.0.2"],
    ["10.0.0.9", range, "10.0.0.2"],
    ["255.255.255.254", top, "255.255.255.255"],
    ["255.255.255.255", top, "255.255.255.253"],
  ];
  for (const [ip, within, next] of rows) {
    assertEquals(formatIpv4(after(parseIpv4(ip), within)), next);
  }
  assertEquals(sizeOf(range), 3);
  assertEquals(inRange(range, parseIpv4("10.0.0.5")), false);
});
