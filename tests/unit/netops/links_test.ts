import { assertEquals } from "@std/assert";
import { parseLink, parseRouteFound, sameAddress } from "../lib/links.ts";

Deno.test("parseLink() reads what ip -d -j prints of a bridge port", () => {
  const link = parseLink({
    ifindex: 7,
    link_index: 2,
    ifname: "av1",
    flags: ["BROADCAST", "UP", "LOWER_UP"],
    mtu: 1500,
    master: "br0",
    address: "fe:00:00:00:00:01",
    link_netnsid: 0,
    ifalias: "podnet/c1/eth0",
    linkinfo: {
      info_kind: "veth",
      info_slave_kind: "bridge",
      info_slave_data: { hairpin: true, isolated: false },
    },
    addr_info: [
      { family: "inet", local: "10.88.0.1", prefixlen: 24 },
      { family: "inet6", local: "fe80::1", prefixlen: 64 },
      7,
    ],
  });
  assertEquals(link, {
    ifindex: 7,
    peerIndex: 2,
    ifname: "av1",
    up: true,
    promiscuous: false,
    mtu: 1500,
    master: "br0",
    mac: "fe:00:00:00:00:01",
    netnsId: 0,
    alias: "podnet/c1/eth0",
    kind: "veth",
    hairpin: true,
    isolated: false,
    addresses: ["10.88.0.1/24"],
  });
});

Deno.test("parseLink() finds empty what the output lacks or has of another type", () => {
  for (const raw of [{}, { flags: "UP", linkinfo: [], addr_info: {}, ifindex: "7", master: 1 }]) {
    const { ifindex, ifname, up, kind, netnsId, addresses, master } = parseLink(raw);
    assertEquals([ifindex, ifname, up, kind, netnsId, addresses, master], [
      0,
      "",
      false,
      "",
      undefined,
      [],
      "",
    ]);
  }
});

Deno.test("parseRouteFound() writes each destination with its prefix length", () => {
  const rows: [Record<string, unknown>, unknown][] = [
    [{ dst: "default", gateway: "10.88.0.1", dev: "eth0" }, {
      dst: "0.0.0.0/0",
      gw: "10.88.0.1",
      dev: "eth0",
      table: "main",
    }],
    [{ type: "unicast", dst: "10.1.2.3", dev: "eth0", table: 100 }, {
      dst: "10.1.2.3/32",
      gw: "",
      dev: "eth0",
      table: "100",
    }],
    [{ type: "local", dst: "10.88.0.2", table: "local" }, undefined],
    [{ type: "broadcast", dst: "10.88.0.255" }, undefined],
  ];
  for (const [raw, found] of rows) assertEquals<unknown>(parseRouteFound(raw), found);
});

Deno.test("sameAddress() compares what is meant", () => {
  assertEquals(sameAddress("10.88.0.1/24", "10.88.0.1/24"), true);
  assertEquals(sameAddress("FD00::1/64", "fd00::1/64"), true);
  assertEquals(sameAddress("110.22.0.1/24", "10.22.0.1/24"), false);
  assertEquals(sameAddress("10.22.0.1/24", "10.22.0.1/16"), false);
});
