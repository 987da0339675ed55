import { assert, assertEquals, assertMatch } from "@std/assert";
import { CONFIG, type Json, STATE_FOLDER } from "../../integration/host.ts";
import { type Lab, refused, type Row, row } from "../lab.ts";
import { BOTH, ips, ranges } from "./ranges.ts";
import { VERSIONS } from "./results.ts";

/** Both families in the plugin's own dialect. */
export const DUAL = { ...CONFIG, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };

/** Changes of DUAL; `null` is the same as absent. */
const BAD_OWN: readonly (readonly [string, Json, RegExp])[] = [
  ["H3", { subnet6: "10.87.0.0/24" }, /subnet6 "10\.87\.0\.0\/24".*IPv6/],
  ["H5", { gateway6: null }, /"gateway6" is required/],
  ["H4", { ipam: { rangeStart6: "fd00:88::5" } }, /"ipam\.rangeEnd6" is required.*or neither/],
  ["B7", { mtu: 1279 }, /mtu 1279.*IPv6 needs 1280/],
  [
    "H6",
    { subnet6: null, gateway6: null, ipam: { routes: [{ dst: "::/0" }] } },
    /no IPv6/,
  ],
];

/** The result of an ADD with both families in each version, without MACs and the host veth's name. */
function expected(cniVersion: string): Json {
  const [gw, gw6] = ["10.86.0.1", "fd00:88::1"];
  if (cniVersion < "0.3.0") {
    return {
      cniVersion,
      ip4: { ip: "10.86.0.2/24", gateway: gw, routes: [{ dst: "0.0.0.0/0", gw }] },
      ip6: { ip: "fd00:88::2/64", gateway: gw6, routes: [{ dst: "::/0", gw: gw6 }] },
      dns: {},
    };
  }
  const version = (it: string) => cniVersion < "1.0.0" ? { version: it } : {};
  return {
    cniVersion,
    ips: [
      { ...version("4"), interface: 2, address: "10.86.0.2/24", gateway: gw },
      { ...version("6"), interface: 2, address: "fd00:88::2/64", gateway: gw6 },
    ],
    routes: [{ dst: "0.0.0.0/0", gw }, { dst: "::/0", gw: gw6 }],
    ...(cniVersion < "1.0.0" && { dns: {} }),
  };
}

const RESULT: readonly Row[] = [
  ...BAD_OWN.map(([rules, change, says]) =>
    refused(
      rules,
      `both families, ${JSON.stringify(change)}`,
      "ADD",
      { config: { ...DUAL, ...change } },
      7,
      says,
    )
  ),
  ...VERSIONS.map((cniVersion) =>
    row("R3 R4 R6 R7 P13", `both families in ${cniVersion}`, async (lab) => {
      const config = { ...DUAL, cniVersion };
      const { interfaces, ...result } = await lab.add({ config });
      assertEquals(result, expected(cniVersion));
      assertEquals(interfaces?.length, cniVersion < "0.3.0" ? undefined : 3);
      assertEquals(await lab.addresses("c1", "eth0"), ["10.86.0.2/24", "fd00:88::2/64"]);
      await lab.silent("DEL", { config });
      await lab.host.assertNothingLeft();
    })
  ),
  row("R3 R4 R6 H1", "IPv6 alone, in the oldest version and the newest", async (lab) => {
    const alone = { ...DUAL, subnet: undefined, gateway: undefined };
    const old = await lab.add({ config: { ...alone, cniVersion: "0.2.0" } });
    assertEquals([old.ip4, old.ip6.ip, old.ip6.gateway], [
      undefined,
      "fd00:88::2/64",
      "fd00:88::1",
    ]);
    const { ips: [given], routes } = await lab.add({ id: "c2", config: alone });
    assertEquals(given, { interface: 2, address: "fd00:88::3/64", gateway: "fd00:88::1" });
    assertEquals(routes, [{ dst: "::/0", gw: "fd00:88::1" }]);
    assert(await lab.host.pings("c2", "fd00:88::1"));
    assert(await lab.host.pings("c2", "fd00:88::2"));
  }),
  row("R12", "prevResult before both families", async (lab) => {
    const prevResult = { cniVersion: "1.1.0", ips: [{ address: "fd07::2/64" }] };
    const result = await lab.add({ config: { ...DUAL, prevResult } });
    assertEquals(ips(result), ["fd07::2", "10.86.0.2", "fd00:88::2"]);
  }),
];

const KERNEL: readonly Row[] = [
  row(
    "B2 A1",
    "usable at once: no address is tentative, the first ping is answered",
    async (lab) => {
      await lab.add({ config: DUAL });
      for (const gateway of ["fd00:88::1", "10.86.0.1"]) {
        assert(
          await lab.host.pings("c1", gateway),
        );
      }
      assertEquals(await lab.addresses("", "atomic0"), ["10.86.0.1/24", "fd00:88::1/64"]);
      for (const [at, dev] of [["", "atomic0"], ["c1", "eth0"]] as const) {
        const { addr_info } = (await lab.host.ip(at, "addr", "show", "dev", dev))[0];
        const [ours] = addr_info.filter(({ local }: Json) => local.startsWith("fd00"));
        assertEquals([ours.tentative, ours.nodad], [undefined, true]);
      }
    },
  ),
  row(
    "B2 B3",
    "no gateway flag: neither family is on the bridge or has a default route",
    async (lab) => {
      const { routes } = await lab.add({ config: ranges(BOTH, { isGateway: false }) });
      assertEquals([await lab.addresses("", "cni0"), routes], [[], undefined]);
      assertEquals((await lab.routes6()).map(({ dst }) => dst), ["fd00:88::/64"]);
    },
  ),
  row("B3", "isDefaultGateway: a default route of each family", async (lab) => {
    const { routes } = await lab.add({ config: ranges(BOTH, { isDefaultGateway: true }) });
    const [v4, v6] = [{ dst: "0.0.0.0/0", gw: "10.86.0.1" }, { dst: "::/0", gw: "fd00:88::1" }];
    assertEquals(routes, [v4, v6]);
    // A route from a router advertisement has metric 1024.
    const defaults = (await lab.routes6()).filter(({ dst }) => dst === "default");
    assertEquals(defaults.map((it) => [it.gateway, it.metric]), [["fd00:88::1", 512]]);
  }),
  row("B3", "isDefaultGateway and a default route of one family", async (lab) => {
    const own = { dst: "::/0", gw: "fd00:88::9" };
    const config = ranges(BOTH, { isDefaultGateway: true }, { routes: [own] });
    assertEquals((await lab.add({ config })).routes, [own, { dst: "0.0.0.0/0", gw: "10.86.0.1" }]);
  }),
  row(
    "B3 H1",
    "isDefaultGateway with two subnets of a family: the gateway of the first",
    async (lab) => {
      const config = ranges([[{ subnet: "10.87.0.0/24" }], [{ subnet: "10.86.0.0/24" }]], {
        isDefaultGateway: true,
      });
      assertEquals((await lab.add({ config })).routes, [{ dst: "0.0.0.0/0", gw: "10.87.0.1" }]);
    },
  ),
  row("B4", "an IPv6 address of an overlapping subnet on the bridge", async (lab) => {
    const made = (address: string) =>
      `ip link add cni0 type bridge; ip link set dev cni0 up; ip addr add ${address} dev cni0 nodad`;
    await lab.host.sh(made("fd00:88::9/64"));
    await lab.refuse("ADD", { config: ranges(BOTH) }, 105, /"cni0".*it has fd00:88::9\/64/);
    await lab.add({ config: ranges(BOTH, { forceAddress: true }) });
    assertEquals(await lab.addresses("", "cni0"), ["10.86.0.1/24", "fd00:88::1/64"]);
  }),
  row("B4", "a disjoint IPv6 address on the bridge is accepted", async (lab) => {
    await lab.host.sh(
      "ip link add cni0 type bridge; ip link set dev cni0 up; ip addr add fd09::1/64 dev cni0 nodad",
    );
    await lab.add({ config: ranges(BOTH) });
    const found = await lab.addresses("", "cni0");
    assertEquals(found.toSorted(), ["10.86.0.1/24", "fd00:88::1/64", "fd09::1/64"]);
  }),
  row("I3 H6", "IPv6 routes with every key, and two next hops", async (lab) => {
    const routes = [
      { dst: "fd05::/32", gw: "fd00:88::10" },
      { dst: "fd05::/32", gw: "fd00:88::11" },
      { dst: "fd06::/32", gw: "fd00:88::10", mtu: 1400, advmss: 1300, priority: 50, table: 200 },
      { dst: "fd07::/32" },
    ];
    const config = ranges(BOTH, { cniVersion: "1.1.0" }, { routes });
    const prevResult = await lab.add({ config });
    assertEquals(prevResult.routes, routes);
    const main = JSON.stringify(await lab.routes6());
    for (const it of ["fd00:88::10", "fd00:88::11"]) {
      assert(main.includes(`"gateway":"${it}"`), main);
    }
    const [set] = await lab.host.ip("c1", "-6", "route", "show", "table", "200");
    assertEquals([set.dst, set.gateway, set.metric, set.metrics], [
      "fd06::/32",
      "fd00:88::10",
      50,
      [{ mtu: 1400, advmss: 1300 }],
    ]);
    await lab.silent("CHECK", { config: { ...config, prevResult } });
  }),
  row(
    "A3 X7",
    "IPv6 disabled in the container: refused with the sysctl to set",
    async (lab) => {
      await lab.add({ id: "c2", config: DUAL });
      await lab.container("c1");
      await lab.host.sh("ip netns exec c1 sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
      await lab.refuse("ADD", { config: DUAL }, 100, /net\.ipv6\.conf\.default\.disable_ipv6=0/);
    },
  ),
];

const CHANGES: readonly (readonly [string, string, RegExp])[] = [
  [
    "IPv6 address",
    "ip -n c1 addr del fd00:88::2/64 dev eth0",
    /address of eth0: expected fd00:88::2\/64/,
  ],
  [
    "IPv6 default route",
    "ip -n c1 -6 route del default",
    /route to ::\/0: expected via fd00:88::1/,
  ],
  ["gateway of IPv6", "ip addr del fd00:88::1/64 dev atomic0", /atomic0: expected fd00:88::1\/64/],
];

const COMMANDS: readonly Row[] = [
  row("K1 K2 K5", "CHECK of both families, in another spelling too", async (lab) => {
    const prevResult = await lab.add({ config: DUAL });
    await lab.silent("CHECK", { config: { ...DUAL, prevResult } });
    prevResult.ips[1].address = "FD00:88:0:0:0:0:0:2/64";
    await lab.silent("CHECK", { config: { ...DUAL, prevResult } });
  }),
  ...CHANGES.map(([what, script, says]) =>
    row("K2 K3 P20", `CHECK of both families: the ${what} gone`, async (lab: Lab) => {
      const prevResult = await lab.add({ config: DUAL });
      await lab.host.sh(script);
      await lab.refuse("CHECK", { config: { ...DUAL, prevResult } }, 106, says);
    })
  ),
  row("K2", "CHECK: an address of prevResult that the lease lacks", async (lab) => {
    const prevResult = await lab.add({ config: DUAL });
    const file = `${STATE_FOLDER}/podnet.json`;
    await lab.host.sh(`sed -i 's/fd00:88::2/fd00:88::7/g' ${file}`);
    const says = /lease in network podnet: expected fd00:88::2, found 10\.86\.0\.2, fd00:88::7/;
    await lab.refuse("CHECK", { config: { ...DUAL, prevResult } }, 106, says);
    prevResult.ips.splice(1);
    await lab.silent("CHECK", { config: { ...DUAL, prevResult } });
  }),
  row("G1 D1 D2", "GC and DEL free both addresses", async (lab) => {
    await lab.add({ config: DUAL });
    await lab.add({ id: "c2", config: DUAL });
    const list = [{ containerID: "c2", ifname: "eth0" }];
    await lab.silent("GC", { config: { ...DUAL, "cni.dev/valid-attachments": list } });
    assertEquals(await lab.host.leases(), { "c2/eth0": ["10.86.0.3", "fd00:88::3"] });
    await lab.host.sh("ip netns del c2");
    await lab.silent("DEL", { id: "c2", netns: "/run/netns/c2", config: DUAL });
    await lab.host.assertNothingLeft();
  }),
  row(
    "B13 K3",
    "macspoofchk: the port is locked to its MAC; CHECK reports an open port",
    async (lab) => {
      const config = ranges(BOTH, { macspoofchk: true });
      const prevResult = await lab.add({ config });
      const [, host, inside] = prevResult.interfaces;
      const { locked, learning } = (await lab.link(host.name)).linkinfo.info_slave_data;
      assertEquals([locked, learning], [true, false]);
      assertMatch(
        await lab.host.sh(`ip -B neigh show dev ${host.name} nud noarp`),
        new RegExp(inside.mac),
      );
      for (const gateway of ["10.86.0.1", "fd00:88::1"]) {
        assert(
          await lab.host.pings("c1", gateway),
        );
      }
      await lab.silent("CHECK", { config: { ...config, prevResult } });
      await lab.host.sh(`ip link set dev ${host.name} type bridge_slave locked off`);
      const says = new RegExp(`guard of ${host.name}: locked: expected true, found false`);
      await lab.refuse("CHECK", { config: { ...config, prevResult } }, 106, says);
      await lab.silent("DEL", { config });
      assertEquals(await lab.host.sh("ip neigh show dev cni0 nud permanent"), "");
    },
  ),
];

export const FAMILIES: readonly Row[] = [...RESULT, ...KERNEL, ...COMMANDS];
