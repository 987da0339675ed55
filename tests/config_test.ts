import { assertEquals, assertThrows } from "@std/assert";
import {
  type Command,
  isCommand,
  type NetworkConfig,
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

const NET = {
  cniVersion: "1.1.0",
  name: "podnet",
  type: "atomicni",
  bridge: "atomic0",
  subnet: "10.88.0.0/24",
  gateway: "10.88.0.1",
};

function config(value: object): NetworkConfig {
  return parseConfig(parseStdin(JSON.stringify(value)), "1.1.0", {});
}

function refused(value: object, code: number, message: string): void {
  const error = assertThrows(() => config(value), CniError, message);
  assertEquals(error.code, code, error.message);
}

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

Deno.test("parseConfig() fills in the defaults of the own dialect", () => {
  const { dst, via, gw } = config(NET).routes[0] ?? {};
  assertEquals<unknown>([dst, via, gw], [
    { base: 0, prefix: 0 },
    parseIpv4("10.88.0.1"),
    parseIpv4("10.88.0.1"),
  ]);
  const { range, mtu, dataDir, hairpin, isolated, promiscuous, gatewayOnBridge, dns } = config(NET);
  assertEquals([range.start, range.end].map(formatIpv4), ["10.88.0.1", "10.88.0.254"]);
  assertEquals({ mtu, dataDir, hairpin, isolated, promiscuous, gatewayOnBridge, dns }, {
    mtu: 1500,
    dataDir: STATE_FOLDER,
    hairpin: false,
    isolated: false,
    promiscuous: false,
    gatewayOnBridge: true,
    dns: {},
  });
  assertEquals(config({ ...NET, ipam: { routes: [] } }).routes, []);
  assertEquals(config({ ...NET, unknown: 1, ipam: { other: [] } }), config(NET));
});

Deno.test("parseConfig() takes good values", () => {
  for (const prefix of [8, 16, 30]) {
    config({ ...NET, subnet: `10.0.0.0/${prefix}`, gateway: "10.0.0.1" });
  }
  for (const mtu of [68, 9000, 65535]) assertEquals(config({ ...NET, mtu }).mtu, mtu);
  const ranged = config({ ...NET, ipam: { rangeStart: "10.88.0.9", rangeEnd: "10.88.0.9" } });
  assertEquals(formatIpv4(ranged.range.end), "10.88.0.9");
  for (
    const [given, folder] of [
      ["", STATE_FOLDER],
      [`${STATE_FOLDER}/`, STATE_FOLDER],
      [`${STATE_FOLDER}/a/../b`, `${STATE_FOLDER}/b`],
    ]
  ) {
    assertEquals(config({ ...NET, ipam: { dataDir: given } }).dataDir, folder);
  }
  const [route] = config({ ...NET, ipam: { routes: [{ dst: "10.9.0.0/16", scope: 253 }] } }).routes;
  assertEquals([route?.via, route?.scope], [undefined, 253]);
  assertEquals(config({ ...NET, dns: { nameservers: ["10.88.0.1"] } }).dns, {
    nameservers: ["10.88.0.1"],
  });
});

Deno.test("parseConfig() refuses each malformed value of the table by name", () => {
  const ipam = (value: object) => ({ ...NET, ipam: value });
  const rows: [object, string][] = [
    [{ ...NET, bridge: undefined }, '"bridge": it is missing'],
    [{ ...NET, subnet: undefined }, '"subnet": it is missing'],
    [{ ...NET, gateway: undefined }, '"gateway": it is missing'],
    [{ ...NET, bridge: "br%d" }, "bridge"],
    [{ ...NET, bridge: 7 }, "bridge 7"],
    [{ ...NET, subnet: "10.88.0.0/33" }, "prefix length"],
    [{ ...NET, subnet: "10.88.0.0/31" }, "too small"],
    [{ ...NET, subnet: "0.0.0.0/7" }, "too large"],
    [{ ...NET, subnet: "10.88.0.5/24" }, "the network is 10.88.0.0/24"],
    [{ ...NET, subnet: "fd00::/64" }, "IPv4 only"],
    [{ ...NET, gateway: "10.88.0.01" }, "leading zero"],
    [{ ...NET, gateway: "10.89.0.1" }, "outside the subnet"],
    [{ ...NET, gateway: "10.88.0.0" }, "the network address"],
    [{ ...NET, gateway: "10.88.0.255" }, "the broadcast address"],
    [{ ...NET, gateway: "fd00::1" }, "IPv4 only"],
    ...[-1, 67, 65536, 1500.5, 1e9, "big", true].map((mtu): [object, string] => [
      { ...NET, mtu },
      "a whole number from 68 to 65535",
    ]),
    [ipam({ rangeStart: "10.88.0.9" }), '"ipam.rangeEnd": it is missing'],
    [ipam({ rangeEnd: "10.88.0.9" }), '"ipam.rangeStart": it is missing'],
    [ipam({ rangeStart: "10.88.0.9", rangeEnd: "10.88.0.8" }), "before the start, 10.88.0.9"],
    [ipam({ rangeStart: "10.87.0.9", rangeEnd: "10.88.0.8" }), "outside the subnet"],
    [ipam({ rangeStart: "10.88.0.9", rangeEnd: "10.89.0.8" }), "outside the subnet"],
    [ipam({ dataDir: "/var/lib/other" }), `outside ${STATE_FOLDER}`],
    [ipam({ dataDir: `${STATE_FOLDER}/../x` }), `outside ${STATE_FOLDER}`],
    [ipam({ dataDir: "var/lib/atomicni" }), `outside ${STATE_FOLDER}`],
    [ipam({ dataDir: `${STATE_FOLDER}x` }), `outside ${STATE_FOLDER}`],
    [ipam({ dataDir: 7 }), "ipam.dataDir 7"],
    [ipam({ routes: {} }), "as a list"],
    [ipam({ routes: ["10.0.0.0/8"] }), "ipam.routes[0]"],
    [ipam({ routes: [{}] }), '"ipam.routes[0].dst": it is missing'],
    [ipam({ routes: [{ dst: "::/0" }] }), "IPv4 only"],
    [ipam({ routes: [{ dst: "10.0.0.0/8", gw: "x" }] }), "ipam.routes[0].gw"],
    [{ ...NET, ipam: [] }, "ipam [] as an object"],
    [{ ...NET, hairpinMode: "yes" }, "hairpinMode"],
    [{ ...NET, portIsolation: 1 }, "portIsolation"],
    [{ ...NET, promiscMode: 1 }, "promiscMode"],
    [{ ...NET, hairpinMode: true, promiscMode: true }, "can't have both"],
    [{ ...NET, dns: { nameservers: "x" } }, "dns.nameservers"],
    [{ ...NET, prevResult: 7 }, "prevResult"],
    [{ ...NET, runtimeConfig: { ips: ["10.88.0.8", "10.88.0.9"] } }, "gives one address"],
    [{ ...NET, runtimeConfig: { mac: "x" } }, "runtimeConfig.mac"],
  ];
  for (const [value, message] of rows) refused(value, 7, message);
});

Deno.test("parseConfig() refuses by name what it can't do, code 2", () => {
  const rows: [object, string][] = [
    [{ ipMasq: true }, '"ipMasq"'],
    [{ vlan: 100 }, '"vlan"'],
    [{ vlanTrunk: [{ id: 1 }] }, '"vlanTrunk"'],
    [{ macspoofchk: true }, '"macspoofchk"'],
    [{ disableContainerInterface: true }, '"disableContainerInterface"'],
    [{ ipam: { type: "dhcp" } }, '"ipam.type": "dhcp"'],
    [{ ipam: { resolvConf: "/etc/resolv.conf" } }, "ipam.resolvConf"],
  ];
  for (const [keys, message] of rows) refused({ ...NET, ...keys }, 2, message);
  config({ ...NET, ipMasq: false, vlan: 0, vlanTrunk: [], macspoofchk: false });
});

Deno.test("parseConfig() reads the dialect of bridge + host-local with its defaults", () => {
  const base = {
    name: "podnet",
    type: "atomicni",
    ipam: { type: "host-local", subnet: "10.9.0.0/16" },
  };
  const plain = config(base);
  assertEquals<unknown>([plain.bridge, plain.mtu, plain.gatewayOnBridge, plain.routes], [
    "cni0",
    undefined,
    false,
    [],
  ]);
  assertEquals(formatIpv4(plain.gateway), "10.9.0.1");
  const gateway = config({ ...base, isDefaultGateway: true });
  assertEquals([gateway.gatewayOnBridge, gateway.routes.length], [true, 1]);
  const both = { ...base.ipam, routes: [{ dst: "0.0.0.0/0" }] };
  assertEquals(config({ ...base, isDefaultGateway: true, ipam: both }).routes.length, 1);
  const range = { subnet: "10.9.0.0/24", rangeStart: "10.9.0.9", gateway: "10.9.0.2" };
  const ranged = config({ ...base, ipam: { type: "host-local", ranges: [[range]] } });
  assertEquals([ranged.range.start, ranged.gateway].map(formatIpv4), ["10.9.0.9", "10.9.0.2"]);
  const rows: [object, number, string][] = [
    [{ ...base, ipam: { type: "host-local" } }, 7, '"ipam.subnet": it is missing'],
    [{ ...base, ipam: { type: "host-local", ranges: [[range, range]] } }, 2, "more than one range"],
    [{ ...base, ipam: { type: "host-local", ranges: [[range], [range]] } }, 2, "more than one"],
    [{ ...base, ipam: { ...base.ipam, ranges: [[range]] } }, 2, "more than one range"],
    [{ ...base, ipam: { ...base.ipam, dataDir: "/var/lib/cni" } }, 2, "outside"],
    [{ ...base, mtu: 10 }, 7, "from 68"],
  ];
  for (const [value, code, message] of rows) refused(value, code, message);
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
