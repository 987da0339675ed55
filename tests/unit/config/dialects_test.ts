import { assertEquals } from "@std/assert";
import { formatIpv4, parseIpv4 } from "../lib/ipv4.ts";
import { STATE_FOLDER } from "../lib/scope.ts";
import { config, NET, refused } from "./podnet.ts";

Deno.test("the own dialect has its defaults", () => {
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

Deno.test("good values are taken", () => {
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

Deno.test("each malformed value of the table is refused by name", () => {
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

Deno.test("what can't be done is refused by name, code 2", () => {
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

Deno.test("the dialect of bridge + host-local has its own defaults", () => {
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
