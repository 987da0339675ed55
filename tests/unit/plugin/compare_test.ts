import { assertEquals } from "@std/assert";
import { parseInterfaceAddress, parseIp } from "../../../lib/base/address.ts";
import { parseContainerId, parseInterfaceName } from "../../../lib/base/names.ts";
import type { LeaseRecord } from "../../../lib/ipam.ts";
import type { Link, LinkAddress, RouteFound, Seen } from "../../../lib/netops.ts";
import { parseLink } from "../../../lib/netops/links.ts";
import { differences, type Expected } from "../../../lib/plugin/compare.ts";
import { config as parse } from "../../podnet.ts";

const HOST = "av0123456789abc";

function expected(config: object = {}, prevResult: object = {}, ...ips: string[]): Expected {
  const result = {
    interfaces: [
      { name: "br0", mac: "0a:58:0a:56:00:01", mtu: 1500 },
      { name: HOST, mac: "fe:00:00:00:00:01", mtu: 1500 },
      { name: "eth0", mac: "0A:58:0a:56:00:02", mtu: 1500, sandbox: "/run/netns/c1" },
    ],
    ips: [{ interface: 2, address: "10.86.0.2/24", gateway: "10.86.0.1" }],
    routes: [{ dst: "0.0.0.0/0", gw: "10.86.0.1" }],
    ...prevResult,
  };
  const parsed = parse({
    name: "podnet",
    bridge: "br0",
    subnet: "10.86.0.0/24",
    gateway: "10.86.0.1",
    prevResult: result,
    ...config,
  });
  return {
    config: parsed,
    prevResult: parsed.prevResult ?? { interfaces: [], ips: [], routes: [], dns: {} },
    host: parseInterfaceName(HOST),
    ifname: parseInterfaceName("eth0"),
    netns: "/run/netns/c1",
    lease: lease(...(ips.length > 0 ? ips : ["10.86.0.2"])),
  };
}

const RECORD: LeaseRecord = { since: "2026-01-01T00:00:00Z", hostMac: "fe:00:00:00:00:01" };

function lease(...ips: string[]): Expected["lease"] {
  const owner = { containerId: parseContainerId("c1"), ifname: parseInterfaceName("eth0") };
  return { owner, ips: ips.map((it) => parseIp(it)), record: RECORD };
}

function addresses(...texts: string[]): LinkAddress[] {
  return texts.map((text) => ({ ...parseInterfaceAddress(text), isDynamic: false }));
}

function link(ifname: string, kind: string, mac: string, changes: Partial<Link>): Link {
  return { ...parseLink({ ifname, mtu: 1500, flags: ["UP"] }), kind, mac, ...changes };
}

const BRIDGE = link("br0", "bridge", "0a:58:0a:56:00:01", {
  addresses: addresses("10.86.0.1/24"),
});
const VETH = link(HOST, "veth", "fe:00:00:00:00:01", {
  master: "br0",
  ifindex: 7,
  peerIndex: 2,
});
const ETH0 = link("eth0", "veth", "0a:58:0a:56:00:02", {
  ifindex: 2,
  peerIndex: 7,
  addresses: addresses("10.86.0.2/24"),
});
const ROUTE: RouteFound = {
  dst: "0.0.0.0/0",
  gw: parseIp("10.86.0.1"),
  dev: "eth0",
  table: 254,
  metric: 0,
  isDynamic: false,
};
const SEEN: Seen = {
  bridge: BRIDGE,
  host: VETH,
  inside: ETH0,
  routes: [ROUTE],
  entries: [],
  bridgeNeighbours: [],
  insideNeighbours: [],
};

Deno.test("differences() finds none after an ADD, nor in additions of later plugins", () => {
  assertEquals(differences(expected(), SEEN), []);
  const more: Seen = {
    ...SEEN,
    bridge: { ...BRIDGE, mtu: 1400, addresses: addresses("10.1.0.1/24", "10.86.0.1/24") },
    inside: { ...ETH0, addresses: addresses("10.9.9.9/32", "10.86.0.2/24") },
    routes: [{ ...ROUTE, dst: "10.9.0.0/16" }, ROUTE],
  };
  assertEquals(differences(expected(), more), []);
  const sparse = { interfaces: [], ips: [{ address: "10.86.0.2/24" }] };
  assertEquals(differences(expected({}, sparse), SEEN), []);
  // An interface of the host may have the same name as the container's interface.
  const named = {
    interfaces: [
      { name: "eth0", mac: "02:00:00:00:00:09" },
      { name: "br0", mac: "02:00:00:00:00:08", sandbox: "/run/netns/c1" },
      { name: "eth0", sandbox: "/run/netns/c1" },
    ],
    ips: [
      { interface: 0, address: "10.86.0.9/24" },
      { interface: 2, address: "10.86.0.2/24", gateway: "10.86.0.1" },
    ],
  };
  assertEquals(differences(expected({}, named), SEEN), []);
});

Deno.test("differences() has the expected and the found value of each", () => {
  const flags = { hairpinMode: true, portIsolation: true };
  const rows: [string, object, object, Partial<Seen>, string[]][] = [
    ["bridge", {}, {}, { bridge: undefined }, ["bridge br0: expected a bridge, found none"]],
    ["its kind", {}, {}, { bridge: { ...BRIDGE, kind: "dummy" } }, [
      "kind of br0: expected bridge, found dummy",
    ]],
    ["its state", {}, {}, { bridge: { ...BRIDGE, up: false } }, [
      "state of br0: expected up, found down",
    ]],
    ["its address", {}, {}, { bridge: { ...BRIDGE, addresses: addresses("110.86.0.1/24") } }, [
      "address of br0: expected 10.86.0.1/24, found 110.86.0.1/24",
    ]],
    ["its MAC", {}, {}, { bridge: { ...BRIDGE, mac: "0a:58:0a:56:00:09" } }, [
      "MAC of br0: expected 0a:58:0a:56:00:01, found 0a:58:0a:56:00:09",
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
      { interfaces: [{ name: "avfffffffffffff" }], ips: [{ address: "10.86.0.2/24" }] },
      {},
      [
        `host veth: expected avfffffffffffff, found ${HOST}`,
      ],
    ],
    ["its kind", {}, {}, { host: { ...VETH, kind: "dummy" } }, [
      `kind of ${HOST}: expected veth, found dummy`,
    ]],
    ["its other end", {}, {}, { host: { ...VETH, peerIndex: 9 } }, [
      `other end of ${HOST}: expected eth0 (interface 2), found interface 9`,
    ]],
    ["the other end of its other end", {}, {}, { inside: { ...ETH0, peerIndex: 9 } }, [
      `other end of ${HOST}: expected eth0 (interface 2), found interface 2`,
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
      "MAC of eth0: expected 0a:58:0a:56:00:02, found 02:00:00:00:00:01",
    ]],
    ["its MTU", {}, {}, { inside: { ...ETH0, mtu: 1400 } }, [
      "MTU of eth0: expected 1500, found 1400",
    ]],
    ["its address", {}, {}, { inside: { ...ETH0, addresses: addresses("10.86.0.2/16") } }, [
      "address of eth0: expected 10.86.0.2/24, found 10.86.0.2/16",
    ]],
    ["its route", {}, {}, { routes: [] }, [
      "route to 0.0.0.0/0: expected via 10.86.0.1 on eth0, found none",
    ]],
    ...[[], [ROUTE], [{ ...ROUTE, dst: "10.9.0.0/16", gw: parseIp("10.86.0.9") }]].map((
      routes,
    ): [string, object, object, Partial<Seen>, string[]] => [
      `its route of the result, with ${routes.length} others`,
      { ipam: { routes: [] } },
      {
        routes: [{ dst: "10.9.0.0/16", gw: "10.86.0.1" }],
      },
      { routes },
      ["route to 10.9.0.0/16: expected via 10.86.0.1 on eth0, found none"],
    ]),
    [
      "its route on the link",
      { ipam: { routes: [{ dst: "10.9.0.0/16", scope: 253 }] } },
      { routes: [{ dst: "10.9.0.0/16", scope: 253 }] },
      {},
      ["route to 10.9.0.0/16: expected on eth0, found none"],
    ],
    [
      "its table, by number",
      { ipam: { routes: [{ dst: "0.0.0.0/0", table: 7 }] } },
      { routes: [{ dst: "0.0.0.0/0" }] },
      {},
      ["route to 0.0.0.0/0: expected via 10.86.0.1 on eth0, found none"],
    ],
    ["its gateway", {}, {}, { routes: [{ ...ROUTE, gw: parseIp("10.86.0.9") }] }, [
      "route to 0.0.0.0/0: expected via 10.86.0.1 on eth0, found one via 10.86.0.9",
    ]],
    ["its missing gateway", {}, {}, { routes: [{ ...ROUTE, gw: undefined }] }, [
      "route to 0.0.0.0/0: expected via 10.86.0.1 on eth0, found one on the link",
    ]],
    ["its table", {}, {}, { routes: [{ ...ROUTE, table: 100 }] }, [
      "route to 0.0.0.0/0: expected via 10.86.0.1 on eth0, found none",
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
    "lease in network podnet: expected 10.86.0.2, found none",
  ]);
  const other = lease("10.86.0.7");
  assertEquals(differences({ ...base, lease: other }, SEEN), [
    "lease in network podnet: expected 10.86.0.2, found 10.86.0.7",
  ]);
  assertEquals(differences({ ...expected(), netns: "/run/netns/c2" }, SEEN), [
    "sandbox of eth0: expected /run/netns/c1, found /run/netns/c2",
  ]);
});

Deno.test("differences() reports all at once", () => {
  const nothing: Seen = {
    ...SEEN,
    bridge: undefined,
    host: undefined,
    inside: undefined,
    routes: [],
  };
  assertEquals(differences({ ...expected(), lease: undefined }, nothing).length, 4);
});

const DUAL = { subnet6: "fd00::/64", gateway6: "fd00::1" };
const SEEN6: Seen = {
  ...SEEN,
  bridge: { ...BRIDGE, addresses: addresses("10.86.0.1/24", "fd00::1/64") },
  inside: { ...ETH0, addresses: addresses("10.86.0.2/24", "fd00::2/64") },
  routes: [ROUTE, { ...ROUTE, dst: "::/0", gw: parseIp("fd00::1") }],
};
const BOTH = [
  { interface: 2, address: "10.86.0.2/24", gateway: "10.86.0.1" },
  { interface: 2, address: "FD00:0::2/64", gateway: "fd00:0::1" },
];
const ROUTES = [{ dst: "0.0.0.0/0", gw: "10.86.0.1" }, { dst: "0::/0", gw: "fd00::0:1" }];

Deno.test("differences() compares both families in any spelling of an address", () => {
  const dual = (changes: object = {}) =>
    expected(DUAL, { ips: BOTH, routes: ROUTES, ...changes }, "10.86.0.2", "fd00::2");
  assertEquals(differences(dual(), SEEN6), []);
  const routes = [...ROUTES, { dst: "fd09::/16", gw: "fd09::1" }];
  assertEquals(differences(dual({ routes }), SEEN6), []);
  assertEquals(differences(dual(), SEEN), [
    "address of br0: expected fd00::1/64, found 10.86.0.1/24",
    "address of eth0: expected FD00:0::2/64, found 10.86.0.2/24",
    "route to ::/0: expected via fd00::1 on eth0, found none",
  ]);
  assertEquals(differences(expected(DUAL, { ips: BOTH }, "10.86.0.2"), SEEN6), [
    "lease in network podnet: expected fd00::2, found 10.86.0.2",
  ]);
  const sparse = { interfaces: [], ips: [{ address: "10.86.0.2/24" }, { address: "fd00::2/64" }] };
  assertEquals(differences(dual(sparse), SEEN6), []);
  const advertised = { ...SEEN6.routes[1], isDynamic: true, gw: parseIp("fe80::1") } as RouteFound;
  assertEquals(differences(dual(), { ...SEEN6, routes: [...SEEN6.routes, advertised] }), []);
});

Deno.test("differences() compares the values of the result, not those of a changed configuration", () => {
  const rows: [string, Expected, Partial<Seen>][] = [
    ["a family added", expected(DUAL), {}],
    ["a route added", expected({ ipam: { routes: [{ dst: "10.9.0.0/16" }] } }), {}],
    ["a route taken out by a later plugin", expected({}, { routes: [] }), { routes: [] }],
    ["an address taken out by a later plugin", expected({}, { ips: [], routes: [] }), {
      inside: { ...ETH0, addresses: [] },
      routes: [],
    }],
    ["subnets added to a layer-2 network", { ...expected({}, { ips: [] }), lease: undefined }, {}],
    ["an MTU that the result does not have", expected({}, { interfaces: [], ips: [BARE] }), {
      inside: { ...ETH0, mtu: 1400 },
    }],
    [
      "an MTU that a later plugin has put into it",
      expected({}, { interfaces: [TUNED], ips: [BARE] }),
      {
        inside: { ...ETH0, mtu: 1400 },
      },
    ],
    ["a gateway that a later plugin took out", expected({}, { ips: [BARE] }), {
      bridge: { ...BRIDGE, addresses: [] },
    }],
  ];
  for (const [name, it, seen] of rows) {
    assertEquals(differences(it, { ...SEEN, ...seen }), [], name);
  }
  // Another plugin's address on another interface is not compared, even in this subnet.
  const interfaces = [{ name: "eth0", sandbox: "/run/netns/c1" }, { name: "net1", sandbox: "/x" }];
  const ips = [{ interface: 1, address: "10.86.0.9/24", gateway: "10.86.0.8" }];
  assertEquals(differences(expected({}, { interfaces, ips }), SEEN), []);
  const guarded = expected({ ...DUAL, macspoofchk: true });
  const lines = differences(guarded, SEEN).filter((line) => line.includes("fd00::1"));
  assertEquals(lines, [], "a gateway that was added later");
});

const TUNED = { name: "eth0", mtu: 1400, sandbox: "/run/netns/c1" };
const BARE = { address: "10.86.0.2/24" };

Deno.test("differences() of a layer-2 attachment needs no lease", () => {
  const layer2 = { subnet: undefined, gateway: undefined, ipam: {} };
  const seen: Seen = {
    ...SEEN,
    bridge: { ...BRIDGE, addresses: [] },
    inside: { ...ETH0, addresses: [], up: false },
    routes: [],
  };
  const base = {
    ...expected({ ...layer2, disableContainerInterface: true }, { ips: [], routes: [] }),
    lease: undefined,
  };
  assertEquals(differences(base, seen), []);
  assertEquals(differences({ ...expected(layer2, { ips: [] }), lease: undefined }, seen), [
    "state of eth0: expected up, found down",
  ]);
});

Deno.test("differences() compares each part of a guard", () => {
  const guarded = expected({ ...DUAL, macspoofchk: true }, { ips: BOTH }, "10.86.0.2", "fd00::2");
  const [own, linkLocal] = ["0a:58:0a:56:00:02", "fe80::858:aff:fe56:2"];
  const neighbour = (ip: string, mac: string, dev: string) => ({
    ip: parseIp(ip),
    mac,
    dev,
    isFixed: true,
    isStatic: false,
  });
  const entry = (mac: string, isStatic = true) => ({
    ...{ ip: undefined, mac, dev: HOST, isFixed: true, isStatic },
  });
  const seen: Seen = {
    ...SEEN6,
    host: {
      ...VETH,
      port: { ...VETH.port, learning: false, locked: true, forwardsReserved: true },
    },
    entries: [entry(own)],
    bridgeNeighbours: ["10.86.0.2", "fd00::2", linkLocal].map((ip) => neighbour(ip, own, "br0")),
    insideNeighbours: [
      neighbour("10.86.0.1", BRIDGE.mac, "eth0"),
      neighbour("fd00::1", BRIDGE.mac, "eth0"),
      neighbour("fe80::858:aff:fe56:1", BRIDGE.mac, "eth0"),
    ],
  };
  const other = "02:00:00:00:00:09";
  const vlans = [entry(VETH.mac, false), entry(VETH.mac, false)];
  const rows: [Partial<Seen>, string[]][] = [
    [{}, []],
    [{
      host: {
        ...VETH,
        port: { ...VETH.port, learning: true, locked: false, forwardsReserved: false },
      },
    }, [
      `guard of ${HOST}: locked: expected true, found false`,
      `guard of ${HOST}: learning: expected false, found true`,
      `guard of ${HOST}: bridges reserved frames: expected true, found false`,
    ]],
    [{ entries: [] }, [`guard of ${HOST}: expected the static entry ${own}, found none`]],
    [{ inside: undefined, insideNeighbours: [] }, [
      "interface eth0: expected in /run/netns/c1, found none",
    ]],
    [{ inside: { ...SEEN6.inside as Link, mac: other } }, [
      `MAC of eth0: expected ${own}, found ${other}`,
      `guard of ${HOST}: MAC of eth0: expected ${own}, found ${other}`,
    ]],
    [{ entries: [entry(other)] }, [
      `guard of ${HOST}: expected the static entry ${own}, found ${other}`,
    ]],
    // The port's own MAC has an entry for each VLAN.
    [{ entries: [...vlans, entry(own), entry(own)] }, []],
    [{ entries: [...vlans, entry(own)] }, [
      `guard of ${HOST}: expected the static entry ${own} for each VLAN, found ${own}`,
    ]],
    [{ bridgeNeighbours: seen.bridgeNeighbours.slice(1) }, [
      `guard of ${HOST} on br0: expected ${own} as permanent neighbour 10.86.0.2, found none`,
    ]],
    [
      { bridgeNeighbours: seen.bridgeNeighbours.map((it) => ({ ...it, mac: other })) },
      ["10.86.0.2", "fd00::2", linkLocal].map((ip) =>
        `guard of ${HOST} on br0: expected ${own} as permanent neighbour ${ip}, found ${other}`
      ),
    ],
    [{ insideNeighbours: seen.insideNeighbours.slice(0, 1) }, [
      `guard of eth0: expected ${BRIDGE.mac} as permanent neighbour fd00::1, found none`,
      `guard of eth0: expected ${BRIDGE.mac} as permanent neighbour fe80::858:aff:fe56:1, found none`,
    ]],
  ];
  for (const [changes, lines] of rows) {
    assertEquals(differences(guarded, { ...seen, ...changes }), lines);
  }
  // A later plugin lists the MAC that it has set, and its container can't send.
  const inside = { ...SEEN6.inside as Link, mac: other };
  const interfaces = guarded.prevResult.interfaces.map((it) =>
    it.name === "eth0" ? { ...it, mac: other } : it
  );
  const after = { ...guarded, prevResult: { ...guarded.prevResult, interfaces } };
  assertEquals(differences(after, { ...seen, inside }), [
    `guard of ${HOST}: MAC of eth0: expected ${own}, found ${other}`,
  ]);
  // Without a lease, the container's present MAC counts.
  const layer2 = { subnet: undefined, gateway: undefined, ipam: {}, macspoofchk: true };
  const alone = { ...expected(layer2, { ips: [], routes: [] }), lease: undefined };
  assertEquals(differences(alone, { ...seen, bridgeNeighbours: [], insideNeighbours: [] }), []);
  // The guard is not compared if the network is not guarded.
  assertEquals(differences(expected(DUAL, { ips: BOTH }, "10.86.0.2", "fd00::2"), seen), []);
});
