import { assertEquals, assertThrows } from "@std/assert";
import { parseCniArgs, parseRequestedIp } from "../lib/args.ts";
import { CniError, Malformed } from "../lib/errors.ts";
import { formatIpv4, parseIpv4 } from "../lib/ipv4.ts";
import { parseMac } from "../lib/names.ts";

Deno.test("parseCniArgs() takes the keys it knows", () => {
  const ip = parseIpv4("10.88.0.9");
  const mac = parseMac("02:00:00:00:00:01");
  const pod =
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=web;K8S_POD_NAME=front;K8S_POD_INFRA_CONTAINER_ID=c1";
  const rows: [string, unknown][] = [
    ["", {}],
    ["IP=10.88.0.9", { ip }],
    ["IP=10.88.0.9/24", { ip }],
    ["MAC=02:00:00:00:00:01", { mac }],
    ["IP=10.88.0.9;MAC=02:00:00:00:00:01", { ip, mac }],
    ["IP=", {}],
    [pod, { pod: "web/front" }],
    ["K8S_POD_NAMESPACE=web;K8S_POD_NAME=front;K8S_POD_UID=7", { pod: "web/front" }],
    ["K8S_POD_NAME=front", {}],
    ["IgnoreUnknown=TRUE;FOO=bar", {}],
    ["FOO=bar;IgnoreUnknown=true", {}],
    ["IgnoreUnknown=0", {}],
  ];
  for (const [text, args] of rows) assertEquals<unknown>(parseCniArgs(text), args, text);
});

Deno.test("parseCniArgs() refuses the rest with code 4", () => {
  const rows: [string, string][] = [
    ["FOO", '"FOO" is not one'],
    ["IP=10.88.0.9;", '"" is not one'],
    ["A=b=c;IgnoreUnknown=1", '"A=b=c" is not one'],
    ["=x", '"=x" is not one'],
    ["FOO=bar", 'unknown args ["FOO=bar"]'],
    ["FOO=bar;IgnoreUnknown=0", 'unknown args ["FOO=bar"]'],
    ["ignoreunknown=1", "unknown args"],
    ["IgnoreUnknown=yes;FOO=bar", "IgnoreUnknown=1, true, 0 or false"],
    ["IP=10.88.0.09", "leading zero"],
    ["IP=fd00::1", "IPv4 only"],
    ["MAC=nonsense", "not of that form"],
  ];
  for (const [text, message] of rows) {
    assertEquals(assertThrows(() => parseCniArgs(text), CniError, message).code, 4, text);
  }
});

Deno.test("parseRequestedIp() takes an address with or without prefix length", () => {
  assertEquals(formatIpv4(parseRequestedIp("10.88.0.9")), "10.88.0.9");
  assertEquals(formatIpv4(parseRequestedIp("10.88.0.9/16")), "10.88.0.9");
  for (const bad of ["10.88.0.9/33", "x", 9]) {
    assertThrows(() => parseRequestedIp(bad), Malformed);
  }
});
