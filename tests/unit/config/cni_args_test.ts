import { assertEquals, assertThrows } from "@std/assert";
import { parseIp } from "../../../lib/base/address.ts";
import { CniError } from "../../../lib/base/errors.ts";
import { parseMac } from "../../../lib/base/mac.ts";
import { parseCniArgs } from "../../../lib/config/environment.ts";

Deno.test("parseCniArgs() accepts the known keys", () => {
  const ip = parseIp("10.86.0.9");
  const mac = parseMac("02:00:00:00:00:01");
  const pod =
    "IgnoreUnknown=1;K8S_POD_NAMESPACE=web;K8S_POD_NAME=front;K8S_POD_INFRA_CONTAINER_ID=c1";
  const rows: [string, object][] = [
    ["", {}],
    ["IP=10.86.0.9", { ip }],
    ["IP=10.86.0.9/24", { ip }],
    ["IP=FD00::0:9/64", { ip: parseIp("fd00::9") }],
    ["IP=10.86.0.9;IP=10.86.0.9", { ip }],
    ["FOO=1;IgnoreUnknown=0;FOO=2;IgnoreUnknown=1", {}],
    ["MAC=02:00:00:00:00:01", { mac }],
    ["IP=10.86.0.9;MAC=02:00:00:00:00:01", { ip, mac }],
    ["IP=", {}],
    [pod, { pod: "web/front" }],
    ["K8S_POD_NAMESPACE=web;K8S_POD_NAME=front;K8S_POD_UID=7", { pod: "web/front" }],
    ["K8S_POD_NAME=front", {}],
    ["IgnoreUnknown=TRUE;FOO=bar", {}],
    ["FOO=bar;IgnoreUnknown=true", {}],
    ["IgnoreUnknown=0", {}],
  ];
  const none = { ip: undefined, mac: undefined, pod: undefined };
  for (const [text, args] of rows) {
    assertEquals<unknown>(parseCniArgs(text), { ...none, ...args }, text);
  }
});

Deno.test("parseCniArgs() refuses the rest with code 4", () => {
  const rows: [string, string][] = [
    ["FOO", '"FOO" is not one'],
    ["IP=10.86.0.9;", '"" is not one'],
    ["A=b=c;IgnoreUnknown=1", '"A=b=c" is not one'],
    ["=x", '"=x" is not one'],
    ["FOO=bar", 'unknown args ["FOO=bar"]'],
    ["FOO=bar;IgnoreUnknown=0", 'unknown args ["FOO=bar"]'],
    ["ignoreunknown=1", "unknown args"],
    ["IgnoreUnknown=yes;FOO=bar", "IgnoreUnknown=1, true, 0 or false"],
    ["IP=10.86.0.8;IP=10.86.0.9", 'as one IP: it has "10.86.0.8" and "10.86.0.9"'],
    ["MAC=02:00:00:00:00:01;IP=;MAC=", "as one MAC"],
    ["IP=10.86.0.09", "leading zero"],
    ["IP=fd00::x", "not of that form"],
    ["IP=10.86.0.9/33", "prefix length"],
    ["MAC=nonsense", "not of that form"],
  ];
  for (const [text, message] of rows) {
    assertEquals(assertThrows(() => parseCniArgs(text), CniError, message).code, 4, text);
  }
});
