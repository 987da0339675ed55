import { assertEquals } from "@std/assert";
import { differences, type Expected } from "../lib/check.ts";
import { parseConfig, parseStdin } from "../lib/config.ts";
import { parseIpv4 } from "../lib/ipv4.ts";
import { type Link, parseLink } from "../lib/links.ts";
import { parseInterfaceName } from "../lib/names.ts";
import type { Seen } from "../lib/netops.ts";

const HOST = "av0123456789abc";

function expected(config: object = {}, prevResult: object = {}): Expected {
  const result = {
    interfaces: [
      { name: "br0", mac: "0a:58:0a:58:00:01", mtu: 1500 },
      { name: HOST, mac: "fe:00:00:00:00:01", mtu: 1500 },
      { name: "eth0", mac: "0A:58:0a:58:00:02", mtu: 1500, sandbox: "/run/netns/c1" },
    ],
    ips: [{ interface: 2, address: "10.88.0.2/24", gateway: "10.88.0.1" }],
    ...prevResult,
  };
  const parsed = parseConfig(
    parseStdin(JSON.stringify({
      name: "podnet",
      bridge: "br0",
      subnet: "10.88.0.0/24",
      gateway: "10.88.0.1",
      prevResult: result,
      ...config,
    })),
    "1.1.0",
    {},
  );
  return {
    config: parsed,
    prevResult: parsed.prevResult ?? { interfaces: [], ips: [], routes: [], dns: {} },
    host: parseInterfaceName(HOST),
    ifname: parseInterfaceName("eth0"),
    netns: "/run/netns/c1",
    lease: { ip: parseIpv4("10.88.0.2"), prefix: 24 },
  };
}

const BRIDGE = link("br0", "bridge", "0a:58:0a:58:00:01", { addresses: ["10.88.0.1/24"] });
const VETH = link(HOST, "veth", "fe:00:00:00:00:01", { master: "br0" });
const ETH0 = link("eth0", "veth", "0a:58:0a:58:00:02", { addresses: ["10.88.0.2/24"] });
const ROUTE = { dst: "0.0.0.0/0", gw: "10.88.0.1", dev: "eth0", table: "main" };
const SEEN: Seen = { bridge: BRIDGE, host: VETH, inside: ETH0, routes: [ROUTE] };

function link(ifname: string, kind: string, mac: string, changes: Partial<Link>): Link {
  return { ...parseLink({ ifname, mtu: 1500, flags: ["UP"] }), kind, mac, ...changes };
}

Deno.test("differences() finds none in what ADD left, nor in what later plugins added", () => {
  assertEquals(differences(expected(), SEEN), []);
  const more: Seen = {
    ...SEEN,
    bridge: { ...BRIDGE, mtu: 1400, addresses: ["10.1.0.1/24", "10.88.0.1/24"] },
    inside: { ...ETH0, addresses: ["10.9.9.9/32", "10.88.0.2/24"] },
    routes: [{ ...ROUTE, dst: "10.9.0.0/16" }, ROUTE],
  };
  assertEquals(differences(expected(), more), []);
  const sparse = { interfaces: [], ips: [{ address: "10.88.0.2/24" }, { address: "fd00::2/64" }] };
  assertEquals(differences(expected({}, sparse), SEEN), []);
});

Deno.test("differences() tells of each what was expected and what was found", () => {
  const flags = { hairpinMode: true, portIsolation: true };
  const rows: [string, object, object, Partial<Seen>, string[]][] = [
    ["bridge", {}, {}, { bridge: undefined }, ["bridge br0: expected a bridge, found none"]],
    ["its kind", {}, {}, { bridge: { ...BRIDGE, kind: "dummy" } }, [
      "kind of br0: expected bridge, found dummy",
    ]],
    ["its state", {}, {}, { bridge: { ...BRIDGE, up: false } }, [
      "state of br0: expected up, found down",
    ]],
    ["its address", {}, {}, { bridge: { ...BRIDGE, addresses: ["110.88.0.1/24"] } }, [
      "address of br0: expected 10.88.0.1/24, found 110.88.0.1/24",
    ]],
    ["its MAC", {}, {}, { bridge: { ...BRIDGE, mac: "0a:58:0a:58:00:09" } }, [
      "MAC of br0: expected 0a:58:0a:58:00:01, found 0a:58:0a:58:00:09",
    ]],
    ["promiscuous", { promiscMode: true }, {}, {}, [
      "promiscuous mode of br0: expected true, found false",
    ]],
    ["host veth", {}, {}, { host: undefined }, [
      `host veth ${HOST}: expected a veth in br0, found none`,
    ]],
    [
      "its name",
      {},
      { interfaces: [{ name: "avfffffffffffff" }], ips: [{ address: "10.88.0.2/24" }] },
      {},
      [
        `host veth: expected avfffffffffffff, found ${HOST}`,
      ],
    ],
    ["its kind", {}, {}, { host: { ...VETH, kind: "dummy" } }, [
      `kind of ${HOST}: expected veth, found dummy`,
    ]],
    ["its master", {}, {}, { host: { ...VETH, master: "" } }, [
      `master of ${HOST}: expected br0, found none`,
    ]],
    ["its state", {}, {}, { host: { ...VETH, up: false } }, [
      `state of ${HOST}: expected up, found down`,
    ]],
    ["its flags", flags, {}, {}, [
      `hairpin mode of ${HOST}: expected true, found false`,
      `isolation of ${HOST}: expected true, found false`,
    ]],
    ["interface", {}, {}, { inside: undefined }, [
      "interface eth0: expected in /run/netns/c1, found none",
    ]],
    ["its state", {}, {}, { inside: { ...ETH0, up: false } }, [
      "state of eth0: expected up, found down",
    ]],
    ["its MAC", {}, {}, { inside: { ...ETH0, mac: "02:00:00:00:00:01" } }, [
      "MAC of eth0: expected 0a:58:0a:58:00:02, found 02:00:00:00:00:01",
    ]],
    ["its MTU", {}, {}, { inside: { ...ETH0, mtu: 1400 } }, [
      "MTU of eth0: expected 1500, found 1400",
    ]],
    ["MTU of the configuration", {}, { interfaces: [], ips: [{ address: "10.88.0.2/24" }] }, {
      inside: { ...ETH0, mtu: 1400 },
    }, [
      "MTU of eth0: expected 1500, found 1400",
    ]],
    ["its address", {}, {}, { inside: { ...ETH0, addresses: ["10.88.0.2/16"] } }, [
      "address of eth0: expected 10.88.0.2/24, found 10.88.0.2/16",
    ]],
    ["its route", {}, {}, { routes: [] }, [
      "route to 0.0.0.0/0: expected via 10.88.0.1 on eth0, found none",
    ]],
    ["its gateway", {}, {}, { routes: [{ ...ROUTE, gw: "10.88.0.9" }] }, [
      "route to 0.0.0.0/0: expected via 10.88.0.1 on eth0, found one via 10.88.0.9",
    ]],
    ["its table", {}, {}, { routes: [{ ...ROUTE, table: "100" }] }, [
      "route to 0.0.0.0/0: expected via 10.88.0.1 on eth0, found none",
    ]],
  ];
  for (const [name, config, result, seen, lines] of rows) {
    const prevResult = { ...result };
    assertEquals(differences(expected(config, prevResult), { ...SEEN, ...seen }), lines, name);
  }
});

Deno.test("differences() compares the lease and the namespace with the result", () => {
  const { lease: _, ...base } = expected();
  assertEquals(differences({ ...base, lease: undefined }, SEEN), [
    "lease: expected one, found none",
  ]);
  const other = { ip: parseIpv4("10.88.0.7"), prefix: 24 };
  assertEquals(differences({ ...base, lease: other }, SEEN), [
    "lease in network podnet: expected one of 10.88.0.2/24, found 10.88.0.7/24",
  ]);
  assertEquals(differences({ ...expected(), netns: "/run/netns/c2" }, SEEN), [
    "sandbox of eth0: expected /run/netns/c1, found /run/netns/c2",
  ]);
});

Deno.test("differences() tells all at once", () => {
  const nothing: Seen = { bridge: undefined, host: undefined, inside: undefined, routes: [] };
  assertEquals(differences({ ...expected(), lease: undefined }, nothing).length, 4);
});
