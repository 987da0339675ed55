import { assertEquals } from "@std/assert";
import { parseIp } from "../../../lib/base/address.ts";
import { formatRanges } from "../../../lib/base/range.ts";
import { STATE_FOLDER } from "../../../lib/base/scope.ts";
import { isInSubnets } from "../../../lib/base/range.ts";
import { config, NET, refused } from "../../podnet.ts";

const SIX = { ...NET, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
const { subnet: _, gateway: __, ...BARE } = NET;

Deno.test("the plugin's own dialect has its defaults", () => {
  const { routes, sets, configuredSets, ...rest } = config(NET);
  assertEquals(configuredSets, sets);
  assertEquals<unknown>(routes.map(({ dst, via, gw }) => [dst.base, dst.prefix, via, gw]), [
    ["0.0.0.0", 0, "10.86.0.1", "10.86.0.1"],
  ]);
  assertEquals(formatRanges(sets), "10.86.0.0/24 10.86.0.1 10.86.0.254 10.86.0.1");
  assertEquals<unknown>(rest, {
    name: "podnet",
    bridge: "atomic0",
    cniVersion: "1.1.0",
    mtu: 1500,
    dataDir: STATE_FOLDER,
    resolvConf: undefined,
    hairpin: false,
    isolated: false,
    promiscuous: false,
    guarded: false,
    containerUp: true,
    gatewayOnBridge: true,
    forceAddress: false,
    dns: {},
    requestedIps: [],
    requestedMac: undefined,
    prevResult: undefined,
  });
  assertEquals(config({ ...NET, ipam: { routes: [] } }).routes, []);
  assertEquals(config({ ...NET, unknown: 1, ipam: { other: [] } }), config(NET));
});

Deno.test("both families have a set and a default route each, IPv4 first", () => {
  const both = config(SIX);
  assertEquals(
    formatRanges(both.sets),
    "10.86.0.0/24 10.86.0.1 10.86.0.254 10.86.0.1;" +
      "fd00:88::/64 fd00:88::1 fd00:88::ffff:ffff:ffff:ffff fd00:88::1",
  );
  assertEquals<unknown>(both.routes.map(({ dst, via }) => [dst.base, via]), [
    ["0.0.0.0", "10.86.0.1"],
    ["::", "fd00:88::1"],
  ]);
  const alone = config({ ...BARE, subnet6: "FD00:88:0::/64", gateway6: "FD00:88::0:1" });
  assertEquals(formatRanges(alone.sets), formatRanges(both.sets.slice(1)));
  assertEquals(alone.routes.length, 1);
  const ranged = config({
    ...SIX,
    ipam: {
      rangeStart: "10.86.0.9",
      rangeEnd: "10.86.0.20",
      rangeStart6: "fd00:88::9",
      rangeEnd6: "fd00:88::20",
    },
  });
  assertEquals(ranged.sets.flat().map(({ start, end }) => `${start} ${end}`), [
    "10.86.0.9 10.86.0.20",
    "fd00:88::9 fd00:88::20",
  ]);
  assertEquals(config({ ...SIX, mtu: 1280 }).mtu, 1280);
});

Deno.test("valid values are accepted", () => {
  for (const prefix of [8, 16, 30]) {
    config({ ...NET, subnet: `10.0.0.0/${prefix}`, gateway: "10.0.0.1" });
  }
  for (const mtu of [68, 9000, 65535]) assertEquals(config({ ...NET, mtu }).mtu, mtu);
  const ranged = config({ ...NET, ipam: { rangeStart: "10.86.0.9", rangeEnd: "10.86.0.9" } });
  assertEquals<string | undefined>(ranged.sets[0]?.[0]?.end, "10.86.0.9");
  const flags = { hairpinMode: true, portIsolation: true, macspoofchk: true };
  const { hairpin, isolated, promiscuous, guarded } = config({ ...NET, ...flags });
  assertEquals([hairpin, isolated, promiscuous, guarded], [true, true, false, true]);
  assertEquals(config({ ...NET, promiscMode: true }).promiscuous, true);
});

Deno.test("keys are read in any letter case", () => {
  const { subnet, gateway, bridge, ...rest } = NET;
  const spelt = { ...rest, SUBNET: subnet, Gateway: gateway, BRIDGE: bridge, Mtu: 1400 };
  assertEquals(config(spelt), config({ ...NET, mtu: 1400 }));
  const nested = { ...NET, IPAM: { RangeStart: "10.86.0.9", RANGEEND: "10.86.0.9" } };
  assertEquals<string | undefined>(config(nested).sets[0]?.[0]?.start, "10.86.0.9");
  refused({ ...NET, IPMASQ: true }, 2, '"ipMasq"');
  refused({ ...NET, MTU: 7 }, 7, "mtu 7");
});

Deno.test("each malformed value of the table is refused by name", () => {
  const ipam = (value: object) => ({ ...NET, ipam: value });
  const rows: [object, string][] = [
    [{ ...NET, bridge: undefined }, '"bridge" is required'],
    [{ ...NET, subnet: undefined }, '"subnet" is required'],
    [{ ...NET, gateway: undefined }, '"gateway" is required'],
    [BARE, '"subnet" is required'],
    [{ ...NET, subnet6: "fd00:88::/64" }, '"gateway6" is required'],
    [{ ...NET, gateway6: "fd00:88::1" }, '"subnet6" is required'],
    [{ ...SIX, subnet: undefined }, '"subnet" is required'],
    [{ ...SIX, gateway: undefined }, '"gateway" is required'],
    [{ ...NET, bridge: "br%d" }, "bridge"],
    [{ ...NET, bridge: "1234567890123456" }, "too long"],
    [{ ...NET, bridge: "if2" }, "ip would read it as the index of an interface"],
    [{ ...NET, bridge: 7 }, "bridge 7"],
    [{ ...NET, subnet: "10.86.0.0/33" }, "prefix length"],
    [{ ...NET, subnet: "10.86.0.0/31" }, "too small"],
    [{ ...NET, subnet: "0.0.0.0/7" }, "too large"],
    [{ ...NET, subnet: "127.0.0.0/8" }, "loopback"],
    [{ ...NET, subnet: "10.86.0.5/24" }, "the network is 10.86.0.0/24"],
    [{ ...NET, subnet: "fd00::/64" }, "it is of IPv6"],
    [{ ...SIX, subnet6: "10.86.0.0/24" }, "it is of IPv4"],
    [{ ...SIX, subnet6: "fd00:88::1/64" }, "the network is fd00:88::/64"],
    [{ ...SIX, subnet6: "fe80::/64" }, "link-local"],
    [{ ...SIX, subnet6: "fd00:88::/127" }, "too small"],
    [{ ...SIX, gateway6: "fd00:89::1" }, "outside the subnet"],
    [{ ...SIX, gateway6: "fd00:88::" }, "the subnet-router anycast address"],
    [{ ...SIX, gateway6: "10.86.0.1" }, "it is of IPv4"],
    [{ ...SIX, mtu: 1279 }, "IPv6 needs 1280"],
    [{ ...NET, gateway: "10.86.0.01" }, "leading zero"],
    [{ ...NET, gateway: "10.87.0.1" }, "outside the subnet"],
    [{ ...NET, gateway: "10.86.0.0" }, "the network address"],
    [{ ...NET, gateway: "10.86.0.255" }, "the broadcast address"],
    [{ ...NET, gateway: "fd00::1" }, "it is of IPv6"],
    ...[-1, 67, 65536, 1500.5, 1e9, "big", true].map((mtu): [object, string] => [
      { ...NET, mtu },
      "a whole number from 68 to 65535",
    ]),
    [ipam({ rangeStart: "10.86.0.9" }), '"ipam.rangeEnd" is required'],
    [ipam({ rangeEnd: "10.86.0.9" }), '"ipam.rangeStart" is required'],
    [{ ...SIX, ipam: { rangeStart6: "fd00:88::9" } }, '"ipam.rangeEnd6" is required'],
    [{ ...SIX, ipam: { rangeStart6: "10.86.0.9", rangeEnd6: "fd00:88::9" } }, "it is of IPv4"],
    [ipam({ rangeStart: "10.86.0.9", rangeEnd: "10.86.0.8" }), "before the start, 10.86.0.9"],
    [ipam({ rangeStart: "10.85.0.9", rangeEnd: "10.86.0.8" }), "outside the subnet"],
    [ipam({ rangeStart: "10.86.0.9", rangeEnd: "10.87.0.8" }), "outside the subnet"],
    [{ ...NET, ipam: [] }, "ipam [] as an object"],
    [{ ...NET, hairpinMode: "yes" }, "hairpinMode"],
    [{ ...NET, portIsolation: 1 }, "portIsolation"],
    [{ ...NET, promiscMode: 1 }, "promiscMode"],
    [{ ...NET, macspoofchk: "true" }, "macspoofchk"],
    [{ ...NET, hairpinMode: true, promiscMode: true }, "can't have both"],
    [{ ...NET, disableContainerInterface: true }, "an interface that is down can have none"],
  ];
  for (const [value, message] of rows) refused(value, 7, message);
});

Deno.test('"ipam": {} without a subnet is a layer-2 attachment', () => {
  const layer2 = { ...BARE, ipam: {} };
  const { sets, routes, gatewayOnBridge, mtu, bridge } = config(layer2);
  assertEquals<unknown>([sets, routes, gatewayOnBridge, mtu, bridge], [
    [],
    [],
    false,
    undefined,
    "atomic0",
  ]);
  const { bridge: ___, ...nameless } = layer2;
  assertEquals<string>(config({ ...nameless, isDefaultGateway: true }).bridge, "cni0");
  assertEquals(config({ ...layer2, isGateway: true }).gatewayOnBridge, false);
  assertEquals(config({ ...layer2, disableContainerInterface: true }).containerUp, false);
  assertEquals(config({ ...layer2, mtu: 1000, macspoofchk: true }).guarded, true);
  // A missing subnet is an error.
  refused({ ...BARE, ipam: { routes: [] } }, 7, '"subnet" is required');
  refused({ ...BARE, ipam: null }, 7, '"subnet" is required');
});

const LOCAL = {
  name: "podnet",
  type: "atomicni",
  ipam: { type: "host-local", subnet: "10.9.0.0/16" },
};

Deno.test("the dialect of bridge + host-local has that pair's defaults", () => {
  const plain = config(LOCAL);
  assertEquals<unknown>([plain.bridge, plain.mtu, plain.gatewayOnBridge, plain.routes], [
    "cni0",
    undefined,
    false,
    [],
  ]);
  assertEquals(formatRanges(plain.sets), "10.9.0.0/16 10.9.0.1 10.9.255.254 10.9.0.1");
  const gateway = config({ ...LOCAL, isDefaultGateway: true });
  assertEquals([gateway.gatewayOnBridge, gateway.routes.length], [true, 1]);
  assertEquals(config({ ...LOCAL, isGateway: true }).routes, []);
  const both = { ...LOCAL.ipam, routes: [{ dst: "0.0.0.0/0" }] };
  assertEquals(config({ ...LOCAL, isDefaultGateway: true, ipam: both }).routes.length, 1);
  assertEquals([config({ ...LOCAL, mtu: 0 }).mtu, config({ ...LOCAL, mtu: 1400 }).mtu], [
    undefined,
    1400,
  ]);
  assertEquals(config({ ...LOCAL, forceAddress: true }).forceAddress, true);
  refused({ ...LOCAL, mtu: 10 }, 7, "from 68");
  refused({ ...LOCAL, bridge: "if2" }, 7, "index of an interface");
});

Deno.test("host-local's subnet and ranges become sets, with the gateways of each family", () => {
  const range = { subnet: "10.9.0.0/24", rangeStart: "10.9.0.9", gateway: "10.9.0.2" };
  const six = { subnet: "fd00:9::/64" };
  const local = (ipam: object) => ({ ...LOCAL, ipam: { type: "host-local", ...ipam } });
  const rows: [object, string][] = [
    [{ ranges: [[range]] }, "10.9.0.0/24 10.9.0.9 10.9.0.254 10.9.0.2"],
    [
      { ranges: [[range], [six]] },
      "10.9.0.0/24 10.9.0.9 10.9.0.254 10.9.0.2;" +
      "fd00:9::/64 fd00:9::1 fd00:9::ffff:ffff:ffff:ffff fd00:9::1",
    ],
    [
      { subnet: "10.7.0.0/30", ranges: [[six]] },
      "10.7.0.0/30 10.7.0.1 10.7.0.2 10.7.0.1;" +
      "fd00:9::/64 fd00:9::1 fd00:9::ffff:ffff:ffff:ffff fd00:9::1",
    ],
    [
      { ranges: [[{ subnet: "10.7.0.0/30" }, { subnet: "10.8.0.0/30" }]] },
      "10.7.0.0/30 10.7.0.1 10.7.0.2 10.7.0.1,10.8.0.0/30 10.8.0.1 10.8.0.2 10.8.0.1",
    ],
    // Two sets of one family: an address of each.
    [
      { ranges: [[{ subnet: "10.7.0.0/30" }], [{ subnet: "10.8.0.0/30" }]] },
      "10.7.0.0/30 10.7.0.1 10.7.0.2 10.7.0.1;10.8.0.0/30 10.8.0.1 10.8.0.2 10.8.0.1",
    ],
    [{ RANGES: [[{ SUBNET: "10.7.0.0/30" }]] }, "10.7.0.0/30 10.7.0.1 10.7.0.2 10.7.0.1"],
  ];
  for (const [ipam, sets] of rows) assertEquals(formatRanges(config(local(ipam)).sets), sets);
  const dual = local({ ranges: [[six], [range]] });
  assertEquals(
    config({ ...dual, isDefaultGateway: true }).routes.map(({ dst, via }) => [dst.base, via]).map(
      String,
    ),
    ["0.0.0.0,10.9.0.2", "::,fd00:9::1"],
  );
  // The gateway of the first range, until the allocated address decides.
  const two = local({ ranges: [[{ subnet: "10.7.0.0/30" }, { subnet: "10.8.0.0/30" }]] });
  assertEquals<unknown>(
    config({ ...two, isDefaultGateway: true }).routes.map(({ via, byLease }) => [via, byLease]),
    [["10.7.0.1", true]],
  );
  const has6 = { ranges: [[six], [range]], routes: [{ dst: "::/0", gw: "fd00:9::5" }] };
  assertEquals(
    config({ ...local(has6), isDefaultGateway: true }).routes.map(({ via }) => via).map(String),
    ["fd00:9::5", "10.9.0.2"],
  );
  refused(local({}), 7, '"ipam.subnet" is required');
  refused({ ...dual, mtu: 1000 }, 7, "IPv6 needs 1280");
  // The bridge can't carry this gateway. If the bridge carries none, the reference accepts it too.
  const outside = local({ subnet: "10.9.0.0/24", gateway: "10.8.0.1" });
  assertEquals<string | undefined>(config(outside).sets[0]?.[0]?.gateway, "10.8.0.1");
  refused({ ...outside, isGateway: true }, 7, "outside the subnet");
  refused({ ...outside, isDefaultGateway: true }, 7, "outside the subnet");
  refused(
    {
      ...local({ ranges: [[range, { subnet: "10.8.0.0/30", gateway: "10.8.0.3" }]] }),
      isGateway: true,
    },
    7,
    "ipam.ranges[0][1].gateway",
  );
});

Deno.test("isInSubnets() checks every range of every set", () => {
  const { sets } = config({
    ...LOCAL,
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: "10.7.0.0/30" }, { subnet: "10.8.0.0/30" }], [{ subnet: "fd00::/64" }]],
    },
  });
  const rows: [string, boolean][] = [
    ["10.7.0.3", true],
    ["10.8.0.1", true],
    ["10.9.0.1", false],
    ["fd00::9", true],
    ["fd01::9", false],
  ];
  for (const [ip, inside] of rows) assertEquals(isInSubnets(sets, parseIp(ip)), inside, ip);
  assertEquals(isInSubnets([], parseIp("10.7.0.1")), false);
});
