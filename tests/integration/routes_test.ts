import { assertEquals, assertMatch } from "@std/assert";
import { CONFIG, type Host, hostTest } from "./host.ts";

const DUAL = { ...CONFIG, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
const IPAM = {
  type: "host-local",
  ranges: [[{ subnet: "10.86.0.0/24" }], [{ subnet: "fd00:88::/64" }]],
};
const dialects = (routes: object[]) => [
  { ...DUAL, ipam: { routes } },
  { ...CONFIG, isGateway: true, ipam: { ...IPAM, routes } },
];
const THERE = { dst: "203.0.113.1/32", scope: 253 };

const TEN = { dst: "10.9.0.0/16" };
const SHOW_TEN = "-4 route show 10.9.0.0/16";

/** Routes that are valid in a configuration, and the last one as `ip` shows it. */
const TAKEN: readonly [object[], string, RegExp][] = [
  [[{ dst: "10.86.0.0/24" }], "-4 route show 10.86.0.0/24", /^10\.86\.0\.0\/24 via 10\.86\.0\.1 /],
  [[{ dst: "10.86.0.0/24", gw: "10.86.0.9" }], "-4 route show 10.86.0.0/24", /via 10\.86\.0\.9 /],
  [[{ dst: "10.86.0.0/24", scope: 253 }], "-4 route show 10.86.0.0/24", /^\S+ dev eth0 scope link/],
  [[{ dst: "fd00:88::/64" }], "-6 route show fd00:88::/64", /via fd00:88::1 dev eth0 metric 1024/],
  [
    [{ dst: "fd00:88::/64", priority: 256 }],
    "-6 route show fd00:88::/64",
    /via fd00:88::1 dev eth0 metric 256/,
  ],
  [[{ dst: "10.86.0.255/32", table: 255 }], "-4 route show table local", /^10\.86\.0\.255 via /m],
  [[THERE, { dst: "10.1.0.0/16", gw: "203.0.113.1" }], "-4 route show 10.1.0.0/16", /via 203/],
  [[{ dst: "10.1.0.0/16", gw: "10.86.0.0" }], "-4 route show 10.1.0.0/16", /via 10\.86\.0\.0/],
  [
    [{ ...TEN, mtu: 1400, advmss: 1300, priority: 9, table: 100, scope: 200 }],
    "-4 route show table 100",
    /^\S+ via 10\.86\.0\.1 dev eth0 scope (200|site) metric 9 mtu 1400 advmss 1300/,
  ],
  [[{ dst: "10.8.0.0/16", scope: 253 }], "-4 route show 10.8.0.0/16", /^\S+ dev eth0 scope link/],
  [[{ dst: "fd09::/16", scope: 200, gw: "::" }], "-6 route show fd09::/16", /^\S+ dev eth0 metric/],
  [[{ dst: "fd08::/16", gw: "fd00:88::9" }], "-6 route show fd08::/16", /^\S+ via fd00:88::9 /],
  [[{ dst: "::/0" }], "-6 route show default", /via fd00:88::1 dev eth0 metric 512/],
  [[{ dst: "::/0", priority: 7 }], "-6 route show default", /via fd00:88::1 dev eth0 metric 7/],
  // A part of the subnet; the kernel creates no route to it.
  [[{ dst: "10.86.0.0/25" }], "-4 route show 10.86.0.0/25", /via 10\.86\.0\.1 /],
  [[{ dst: "fe80::/64" }], "-6 route show fe80::/64", /via fd00:88::1 dev eth0/],
  // A second next hop, and the same destination in another table or with another metric.
  [[TEN, { ...TEN, gw: "10.86.0.9" }], SHOW_TEN, /via 10\.86\.0\.1 .*\n.*via 10\.86\.0\.9 /],
  [[TEN, { ...TEN, gw: "10.86.0.8", table: 254 }], SHOW_TEN, /86\.0\.1 .*\n.*via 10\.86\.0\.8 /],
  [[TEN, { ...TEN, priority: 7 }], SHOW_TEN, /86\.0\.1 dev eth0 *\n.*metric 7/],
  [[TEN, { ...TEN, table: 7 }], "-4 route show table 7", /^10\.9\.0\.0\/16 via 10\.86\.0\.1 /],
  [
    [{ ...TEN, table: 7 }, { ...TEN, table: 7, gw: "10.86.0.9" }],
    "-4 route show table 7",
    /via 10\.86\.0\.1 .*\n.*via 10\.86\.0\.9 /,
  ],
  [
    [{ dst: "::/0" }, { dst: "::/0", gw: "fd00:88::9", priority: 512 }],
    "-6 route show default",
    /metric 512[^]*via fd00:88::1 [^]*via fd00:88::9 /,
  ],
];

/** Routes that are invalid in a configuration: the last one as arguments of `ip`, whose kernel refuses it. */
const REFUSED: readonly [object[], string][] = [
  [[{ dst: "10.1.0.0/16", gw: "10.86.0.255" }], "10.1.0.0/16 via 10.86.0.255"],
  [[{ dst: "10.1.0.0/16", gw: "203.0.113.1" }], "10.1.0.0/16 via 203.0.113.1"],
  [[{ dst: "10.1.0.0/16", scope: 255 }], "10.1.0.0/16 scope 255"],
  [[{ dst: "10.1.0.0/16", gw: "10.86.0.7", scope: 254 }], "10.1.0.0/16 via 10.86.0.7 scope 254"],
  [[{ dst: "fd01::/16", gw: "ff02::1" }], "fd01::/16 via ff02::1"],
  [[{ dst: "fd00:88::/64", gw: "::", priority: 256 }], "fd00:88::/64 metric 256"],
  [
    [{ ...THERE, table: 9 }, { dst: "10.1.0.0/16", gw: "203.0.113.1" }],
    "10.1.0.0/16 via 203.0.113.1",
  ],
  [
    [{ dst: "203.0.113.1/32", gw: "0.0.0.0", scope: 0 }, { dst: "10.1.0.0/16", gw: "203.0.113.1" }],
    "203.0.113.1/32 scope 0 && ip -n c1 route add 10.1.0.0/16 via 203.0.113.1",
  ],
];

async function codes(host: Host, config: object): Promise<number[]> {
  const status = await host.cni("STATUS", { config });
  const add = await host.cni("ADD", { config });
  const check = await host.cni("CHECK", { config: { ...config, prevResult: add.json } });
  return [status.json?.code ?? 0, add.json?.code ?? 0, add.code === 0 ? check.code : 0];
}

hostTest(
  "STATUS and ADD accept a route that the kernel accepts, and agree on all others",
  async (host) => {
    await host.containers("c1");
    for (const [routes, shown, wanted] of TAKEN) {
      for (const config of dialects(routes)) {
        assertEquals(await codes(host, config), [0, 0, 0], JSON.stringify(config));
        assertMatch(await host.sh(`ip -n c1 ${shown}`), wanted);
        await host.del({ config });
      }
    }
    for (const [routes] of REFUSED) {
      for (const config of dialects(routes)) {
        assertEquals(await codes(host, config), [7, 7, 0], JSON.stringify(config));
      }
    }
    await host.add({ config: { ...DUAL, ipam: { routes: [] } } });
    for (const [, words] of REFUSED) {
      const { code } = await host.run(["sh", "-c", `ip -n c1 route add ${words} dev eth0`]);
      assertEquals(code === 0, false, words);
    }
  },
);

hostTest(
  "an ADD does not outrank another interface's IPv6 default route, as with IPv4",
  async (host) => {
    await host.containers("c1", "c2");
    const other = `ip -n c1 link add other0 type veth peer name other1; ip -n c1 link set other1 up
    ip -n c1 link set other0 up; ip -n c1 addr add fd00:99::2/64 dev other0 nodad`;
    const there = "-n c1 route add default via fd00:99::1 dev other0";
    await host.sh(`${other}; ip ${there}`);
    const { subnet: _, gateway: __, ...six } = DUAL;
    // The bridge stays.
    await host.add({ id: "c2", config: six });
    const before = await host.ip("c1", "-6", "route", "show");
    const refused = await host.cni("ADD", { config: six });
    assertEquals(refused.json?.code, 100, refused.stdout);
    assertMatch(
      refused.json.msg,
      /"::\/0" for "eth0": one via fd00:99::1 dev other0 is there already/,
    );
    assertEquals(await host.ip("c1", "-6", "route", "show"), before);
    for (const routes of [[], [{ dst: "::/0", priority: 2048 }], [{ dst: "::/0", table: 100 }]]) {
      const config = { ...six, ipam: { routes } };
      await host.add({ config });
      await host.del({ config });
    }
    // A router may have been quicker; its route may go at any time.
    await host.sh(`ip ${there.replace("add", "del")}; ip ${there} proto ra`);
    await host.add({ config: six });
    const best = await host.sh("ip -n c1 route get fd00:77::1");
    assertMatch(best, /via fd00:88::1 dev eth0/);
  },
);

hostTest(
  "another interface's route is a conflict, also in another table or with another metric",
  async (host) => {
    await host.containers("c1");
    await host.sh(`ip -n c1 link add other0 up type veth peer name other1
      ip -n c1 link set other1 up`);
    const rows: [object, string][] = [
      [TEN, "10.9.0.0/16"],
      [{ ...TEN, table: 7 }, "10.9.0.0/16 table 7"],
      [{ ...TEN, priority: 7 }, "10.9.0.0/16 metric 7"],
    ];
    for (const [route, there] of rows) {
      // The same destination comes first, so the second route could be taken for its next hop.
      const config = { ...CONFIG, ipam: { routes: [...route === TEN ? [] : [TEN], route] } };
      await host.sh(`ip -n c1 route add ${there} dev other0`);
      const { code, json, stdout } = await host.cni("ADD", { config });
      assertEquals([code, json?.code], [1, 100], stdout);
      await host.sh(`ip -n c1 route del ${there} dev other0`);
      await host.add({ config });
      await host.del({ config });
    }
  },
);
