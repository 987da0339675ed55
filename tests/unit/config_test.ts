import { assertEquals, assertThrows } from "@std/assert";
import {
  type Command,
  isCommand,
  parseConfig,
  parseInvocation,
  parseNetwork,
  parseStdin,
  parseValid,
  parseVersion,
} from "../lib/config.ts";
import { CniError } from "../lib/errors.ts";
import { formatIpv4, parseIpv4 } from "../lib/ipv4.ts";
import { STATE_FOLDER } from "../lib/scope.ts";
import { config, NET, refused } from "./podnet.ts";

Deno.test("parseInvocation() needs of each command its own variables", () => {
  const all: Record<string, string> = {
    CNI_CONTAINERID: "c1",
    CNI_NETNS: "/run/netns/c1",
    CNI_IFNAME: "eth0",
    CNI_PATH: "/opt/cni/bin",
  };
  const rows: [Command, string[]][] = [
    ["ADD", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]],
    ["DEL", ["CNI_CONTAINERID", "CNI_IFNAME"]],
    ["CHECK", ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]],
    ["GC", ["CNI_PATH"]],
    ["STATUS", []],
  ];
  for (const [command, needed] of rows) {
    parseInvocation(command, (name) => needed.includes(name) ? all[name] : undefined);
    if (needed.length === 0) continue;
    // An empty value counts as absent (rule E1); all that are missing are told at once (E2).
    const missing = `required env variables [${needed.join(",")}] missing`;
    const error = assertThrows(() => parseInvocation(command, () => ""), CniError, missing);
    assertEquals(error.code, 4);
  }
});

Deno.test("parseInvocation() refuses values that can't be", () => {
  const rows: [string, string, number, string][] = [
    ["CNI_CONTAINERID", "../x", 4, "invalid characters in containerID"],
    ["CNI_CONTAINERID", "c1\n", 4, "invalid characters in containerID"],
    ["CNI_IFNAME", "1234567890123456", 4, "too long"],
    ["CNI_IFNAME", "eth%d", 4, "replace the %"],
    ["CNI_NETNS", "run/netns/c1", 8, "no absolute path"],
    ["CNI_NETNS", "/a\0b", 8, "no absolute path"],
    ["CNI_ARGS", "FOO", 4, "CNI_ARGS"],
  ];
  for (const [name, value, code, message] of rows) {
    const env: Record<string, string> = {
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/c1",
      CNI_IFNAME: "eth0",
      [name]: value,
    };
    const error = assertThrows(() => parseInvocation("ADD", (it) => env[it]), CniError, message);
    assertEquals(error.code, code, name);
  }
  // A value that is wrong is told even where others are missing (rule E3); DEL depends on no arguments (E19).
  assertThrows(
    () => parseInvocation("ADD", (it) => it === "CNI_IFNAME" ? "a b" : undefined),
    CniError,
    "whitespace",
  );
  const env: Record<string, string> = {
    CNI_CONTAINERID: "c1",
    CNI_IFNAME: "eth0",
    CNI_ARGS: "FOO",
  };
  assertEquals(parseInvocation("DEL", (it) => env[it]).args, {});
  assertEquals(["ADD", "add", "VERSION", ""].map(isCommand), [true, false, false, false]);
});

Deno.test("parseStdin() takes one JSON object with a name", () => {
  const rows: [string, number, string][] = [
    ["", 6, "it is empty"],
    [" \n", 6, "it is empty"],
    ["{", 6, "as a network configuration"],
    ["[]", 6, "it is no JSON object"],
    ['"x"', 6, "it is no JSON object"],
    ['{"name":"a"} {}', 6, "as a network configuration"],
    ['{"name":"a"} // comment', 6, "as a network configuration"],
    ["null", 7, "missing network name"],
    ["{}", 7, "missing network name"],
    ['{"name":""}', 7, "missing network name"],
    ['{"name":"../x"}', 7, "invalid characters found in network name"],
    ['{"name":7}', 6, "as a string"],
    ['{"name":"a","cniVersion":1.1}', 6, "as a string"],
  ];
  for (const [text, code, message] of rows) {
    assertEquals(assertThrows(() => parseStdin(text), CniError, message).code, code, text);
  }
  assertEquals(parseVersion(parseStdin('{"name":"a"}'), "ADD"), "0.1.0");
});

Deno.test("what a runtime asks for wins in the order of the conventions", () => {
  const args = { ip: parseIpv4("10.88.0.3") };
  const wanted = (value: object) =>
    formatIpv4(
      parseConfig(parseStdin(JSON.stringify({ ...NET, ...value })), "1.1.0", args).requestedIp ??
        parseIpv4("0.0.0.0"),
    );
  const cni = { args: { cni: { ips: ["10.88.0.4/24"] } } };
  assertEquals(wanted({}), "10.88.0.3");
  assertEquals(wanted(cni), "10.88.0.4");
  assertEquals(
    wanted({ ...cni, runtimeConfig: { ips: ["10.88.0.5", "10.88.0.5/24"] } }),
    "10.88.0.5",
  );
  const mac = config({
    ...NET,
    args: { cni: { mac: "02:00:00:00:00:01" } },
    runtimeConfig: { mac: "02:00:00:00:00:02" },
  });
  assertEquals<string | undefined>(mac.requestedMac, "02:00:00:00:00:02");
  const range = { subnet: "10.88.0.0/24", rangeStart: "10.88.0.9", rangeEnd: "10.88.0.20" };
  const narrowed = config({ ...NET, runtimeConfig: { ipRanges: [[range]] } });
  assertEquals([narrowed.range.start, narrowed.range.end].map(formatIpv4), [
    "10.88.0.9",
    "10.88.0.20",
  ]);
  refused(
    { ...NET, runtimeConfig: { ipRanges: [[{ subnet: "10.89.0.0/24" }]] } },
    7,
    "a part of the pool",
  );
});

Deno.test("parseNetwork() needs a name alone", () => {
  const rows: [object, unknown][] = [
    [{ name: "a" }, { name: "a", dataDir: STATE_FOLDER }],
    [{ name: "a", bridge: 7, subnet: [], ipam: 1 }, { name: "a", dataDir: STATE_FOLDER }],
    [{ name: "a", bridge: "br0", ipam: { dataDir: "/etc" } }, {
      name: "a",
      dataDir: STATE_FOLDER,
      bridge: "br0",
    }],
  ];
  for (const [value, network] of rows) {
    assertEquals<unknown>(parseNetwork(parseStdin(JSON.stringify(value))), network);
  }
});

Deno.test("parseValid() tells an empty list from none", () => {
  const valid = (value: object) => parseValid(parseStdin(JSON.stringify({ name: "a", ...value })));
  const one = [{ containerID: "c1", ifname: "eth0" }];
  const parsed = [{ containerId: "c1", ifname: "eth0" }];
  assertEquals(valid({}), undefined);
  assertEquals(valid({ "cni.dev/valid-attachments": null }), []);
  assertEquals(valid({ "cni.dev/valid-attachments": one }), parsed);
  assertEquals(valid({ "cni.dev/attachments": one }), parsed);
  assertEquals(valid({ "cni.dev/valid-attachments": [], "cni.dev/attachments": one }), []);
  for (const bad of [7, [7], [{ containerID: "c1" }]]) {
    assertThrows(() => valid({ "cni.dev/valid-attachments": bad }), CniError, "valid-attachments");
  }
});
