import { assertEquals } from "@std/assert";
import {
  type Link,
  type LinkAddress,
  parseLink,
  parseNeighbour,
  parseRoutes,
  type RouteFound,
} from "../../../lib/netops/links.ts";

Deno.test("parseLink() reads a bridge port from the output of ip -d -j", () => {
  const link = parseLink({
    ifindex: 7,
    link_index: 2,
    ifname: "av1",
    altnames: ["web0"],
    flags: ["BROADCAST", "UP", "LOWER_UP"],
    mtu: 1500,
    master: "br0",
    address: "fe:00:00:00:00:01",
    link_netnsid: 0,
    ifalias: "podnet/c1/eth0",
    linkinfo: {
      info_kind: "veth",
      info_slave_kind: "bridge",
      info_slave_data: {
        ...{ hairpin: true, isolated: false, learning: false, locked: true },
        group_fwd_mask: "0xfffd",
      },
    },
    addr_info: [
      { family: "inet", local: "10.86.0.1", prefixlen: 24, dynamic: true },
      { family: "inet6", local: "fd00:0:0:0::1", prefixlen: 64 },
      { family: "inet6", local: "fe80::1", prefixlen: 64 },
      { family: "inet6", local: "febf::1", prefixlen: 64 },
      { family: "inet", local: "10.86.0.1" },
      { family: "inet", local: "10.86.0.01", prefixlen: 24 },
      7,
    ],
  });
  assertEquals<unknown>(link, {
    ifindex: 7,
    peerIndex: 2,
    ifname: "av1",
    altnames: ["web0"],
    up: true,
    promiscuous: false,
    mtu: 1500,
    master: "br0",
    mac: "fe:00:00:00:00:01",
    netnsId: 0,
    alias: "podnet/c1/eth0",
    kind: "veth",
    port: {
      ...{ hairpin: true, isolated: false, learning: false, locked: true },
      forwardsReserved: true,
    },
    group: 0,
    bridge: { followsPorts: false, stp: false, snoops: false, dropsUntagged: false },
    addresses: [
      { ip: "10.86.0.1", prefix: 24, isDynamic: true },
      { ip: "fd00::1", prefix: 64, isDynamic: false },
    ],
  });
});

Deno.test("parseLink() reads the addresses of both families, with names and with -N", () => {
  const rows: [object, LinkAddress[] | unknown[]][] = [
    [{ family: "inet", local: "10.0.0.2", prefixlen: 24, scope: "global" }, [
      { ip: "10.0.0.2", prefix: 24, isDynamic: false },
    ]],
    [{ family: "inet", local: "10.0.0.2", prefixlen: 24, scope: "0", protocol: "kernel_lo" }, [
      { ip: "10.0.0.2", prefix: 24, isDynamic: false },
    ]],
    [{ family: "inet6", local: "fd00::2", prefixlen: 64, nodad: true, scope: "global" }, [
      { ip: "fd00::2", prefix: 64, isDynamic: false },
    ]],
    [{ family: "inet6", local: "fd00::2", prefixlen: 64, dynamic: true, mngtmpaddr: true }, [
      { ip: "fd00::2", prefix: 64, isDynamic: true },
    ]],
    [{ family: "inet6", local: "::1", prefixlen: 128 }, [{
      ip: "::1",
      prefix: 128,
      isDynamic: false,
    }]],
    [{ family: "inet6", local: "fec0::1", prefixlen: 64 }, [
      { ip: "fec0::1", prefix: 64, isDynamic: false },
    ]],
    // Link-local addresses: IPv6 ones are left out, IPv4 ones were configured.
    [{ family: "inet6", local: "fe80::a:1", prefixlen: 64, scope: "link" }, []],
    [{ family: "inet6", local: "fe80::a:1", prefixlen: 64, scope: "253" }, []],
    [{ family: "inet", local: "169.254.1.1", prefixlen: 16 }, [
      { ip: "169.254.1.1", prefix: 16, isDynamic: false },
    ]],
  ];
  for (const [raw, addresses] of rows) {
    assertEquals<unknown>(
      parseLink({ addr_info: [raw] }).addresses,
      addresses,
      JSON.stringify(raw),
    );
  }
});

Deno.test("parseLink() reads the settings of a bridge", () => {
  const rows: [object, Link["bridge"]][] = [
    [{}, { followsPorts: false, stp: false, snoops: false, dropsUntagged: false }],
    [{ bridge_id: "8000.0:0:0:0:0:0" }, {
      followsPorts: true,
      stp: false,
      snoops: false,
      dropsUntagged: false,
    }],
    [{ bridge_id: "8000.a:58:a:56:0:1" }, {
      followsPorts: false,
      stp: false,
      snoops: false,
      dropsUntagged: false,
    }],
    [{ stp_state: 1 }, { followsPorts: false, stp: true, snoops: false, dropsUntagged: false }],
    [{ stp_state: "1" }, { followsPorts: false, stp: true, snoops: false, dropsUntagged: false }],
    [{ vlan_filtering: 1, vlan_default_pvid: 0 }, {
      followsPorts: false,
      stp: false,
      snoops: false,
      dropsUntagged: true,
    }],
    [{ vlan_filtering: 1, vlan_default_pvid: 1 }, {
      followsPorts: false,
      stp: false,
      snoops: false,
      dropsUntagged: false,
    }],
    [{ vlan_filtering: 0, vlan_default_pvid: 0 }, {
      followsPorts: false,
      stp: false,
      snoops: false,
      dropsUntagged: false,
    }],
  ];
  for (const [info_data, bridge] of rows) {
    assertEquals(parseLink({ linkinfo: { info_kind: "bridge", info_data } }).bridge, bridge);
  }
});

Deno.test("parseLink() returns empty fields if the output lacks them or has another type", () => {
  for (
    const raw of [
      {},
      { flags: "UP", linkinfo: [], addr_info: {}, ifindex: "7", master: 1 },
      { linkinfo: { info_data: 7, info_slave_data: [] }, link_netnsid: "0" },
    ]
  ) {
    const { ifindex, ifname, up, kind, netnsId, addresses, master, port } = parseLink(raw);
    assertEquals([ifindex, ifname, up, kind, netnsId, addresses, master], [
      0,
      "",
      false,
      "",
      undefined,
      [],
      "",
    ]);
    // An old ip shows no lock; a port learns by default.
    assertEquals(port, {
      ...{ hairpin: false, isolated: false },
      ...{ learning: true, locked: undefined, forwardsReserved: false },
    });
  }
});

Deno.test("parseRoutes() returns each destination with its prefix length and each table as a number", () => {
  const none = { gw: undefined, dev: "eth0", table: 254, metric: 0, isDynamic: false };
  const rows: [Record<string, unknown>, Record<keyof RouteFound, unknown>[]][] = [
    [{ dst: "default", gateway: "10.86.0.1", dev: "eth0" }, [
      { ...none, dst: "0.0.0.0/0", gw: "10.86.0.1" },
    ]],
    [{ dst: "default", gateway: "fd00::1", dev: "eth0", pref: "medium" }, [
      { ...none, dst: "::/0", gw: "fd00::1" },
    ]],
    // Without a gateway only `pref` shows the family.
    [{ dst: "default", dev: "eth0", scope: "link" }, [{ ...none, dst: "0.0.0.0/0" }]],
    [{ dst: "default", dev: "eth0", metric: 512, pref: "medium" }, [{
      ...none,
      dst: "::/0",
      metric: 512,
    }]],
    [{ type: "unicast", dst: "10.1.2.3", dev: "eth0", table: 100 }, [
      { ...none, dst: "10.1.2.3/32", table: 100 },
    ]],
    [{ dst: "fd00::9", dev: "eth0", table: "100" }, [{ ...none, dst: "fd00::9/128", table: 100 }]],
    [{ dst: "10.1.0.0/16", dev: "eth0", table: "main" }, [{ ...none, dst: "10.1.0.0/16" }]],
    // With -N, types, tables and protocols are numbers, or numbers as text.
    [{ type: "1", dst: "10.1.0.0/16", dev: "eth0", table: "254", protocol: "3" }, [
      { ...none, dst: "10.1.0.0/16" },
    ]],
    [{ type: "1", dst: "fd00::/64", dev: "eth0", table: "254", protocol: "9" }, [
      { ...none, dst: "fd00::/64", isDynamic: true },
    ]],
    [{ dst: "fd00::/64", dev: "eth0", protocol: "ra" }, [
      { ...none, dst: "fd00::/64", isDynamic: true },
    ]],
    [{
      dst: "10.1.0.0/16",
      nexthops: [
        { gateway: "10.86.0.1", dev: "eth0", weight: 1 },
        { gateway: "10.86.0.9", dev: "eth1", weight: 1 },
      ],
    }, [
      { ...none, dst: "10.1.0.0/16", gw: "10.86.0.1" },
      { ...none, dst: "10.1.0.0/16", gw: "10.86.0.9", dev: "eth1" },
    ]],
    [{ dst: "default", dev: "eth0", nexthops: [{ gateway: "fd00::1" }, { gateway: "fd00::2" }] }, [
      { ...none, dst: "::/0", gw: "fd00::1" },
      { ...none, dst: "::/0", gw: "fd00::2" },
    ]],
    // A gateway of the other family is ignored, because we never create such routes.
    [{ dst: "10.1.0.0/16", dev: "eth0", via: { family: "inet6", host: "fe80::1" } }, [
      { ...none, dst: "10.1.0.0/16" },
    ]],
    [{ type: "local", dst: "10.86.0.2", table: "local" }, []],
    [{ type: "2", dst: "10.86.0.2", table: "255" }, []],
    [{ type: "broadcast", dst: "10.86.0.255" }, []],
    [{ type: "multicast", dst: "ff00::/8", dev: "eth0" }, []],
    [{ type: "5", dst: "ff00::/8", dev: "eth0" }, []],
    [{ type: "unreachable", dst: "10.9.0.0/16" }, []],
    [{ dst: "nonsense", dev: "eth0" }, []],
    [{ dev: "eth0" }, []],
  ];
  for (const [raw, found] of rows) {
    assertEquals<unknown>(parseRoutes(raw), found, JSON.stringify(raw));
  }
});

Deno.test("parseNeighbour() reads a neighbour, or an entry of a forwarding table", () => {
  const mac = "02:00:00:00:00:01";
  const rows: [Record<string, unknown>, unknown][] = [
    [{ dst: "10.0.0.2", dev: "br0", lladdr: mac, state: ["PERMANENT"] }, {
      ip: "10.0.0.2",
      mac,
      dev: "br0",
      isFixed: true,
      isStatic: false,
    }],
    [{ dst: "fd00::0:2", dev: "br0", lladdr: mac, state: ["REACHABLE"] }, {
      ip: "fd00::2",
      mac,
      dev: "br0",
      isFixed: false,
      isStatic: false,
    }],
    [{ dev: "av0", lladdr: mac, state: ["NOARP"] }, {
      ip: undefined,
      mac,
      dev: "av0",
      isFixed: true,
      isStatic: true,
    }],
    [{}, { ip: undefined, mac: "", dev: "", isFixed: false, isStatic: false }],
  ];
  for (const [raw, found] of rows) assertEquals<unknown>(parseNeighbour(raw), found);
});
