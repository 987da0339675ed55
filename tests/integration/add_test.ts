import { assert, assertEquals, assertMatch } from "@std/assert";
import { CONFIG, hostTest, MODES, STATE_FOLDER } from "./host.ts";

hostTest("ADD gives a container a veth, an address, a default route and traffic", async (host) => {
  await host.containers("c1", "c2");
  const first = await host.add({ id: "c1" });
  await host.add({ id: "c2" });

  const [eth0] = await host.ip("c1", "addr", "show", "dev", "eth0");
  const [veth] = await host.hostVeths();
  const hostEnds = await host.ip("", "link", "show", "type", "veth");
  const mine = hostEnds.find((link) => link.ifname === first.interfaces[1].name);
  assert(veth !== undefined && mine !== undefined);
  assertEquals(mine.master, CONFIG.bridge);
  assertEquals(mine.ifalias, "podnet/c1/eth0");
  assertEquals(first, {
    cniVersion: "1.1.0",
    interfaces: [
      { name: CONFIG.bridge, mac: "0a:58:0a:56:00:01", mtu: 1500 },
      { name: mine.ifname, mac: mine.address, mtu: 1500 },
      { name: "eth0", mac: eth0.address, mtu: 1500, sandbox: "/run/netns/c1" },
    ],
    ips: [{ interface: 2, address: "10.86.0.2/24", gateway: "10.86.0.1" }],
    routes: [{ dst: "0.0.0.0/0", gw: "10.86.0.1" }],
  });
  assertEquals(eth0.address, "0a:58:0a:56:00:02");
  assertEquals(await host.addresses("c1", "eth0"), ["10.86.0.2/24"]);
  assertEquals(await host.addresses("", CONFIG.bridge), ["10.86.0.1/24"]);
  const [route] = await host.ip("c1", "route", "show", "default");
  assertEquals([route.gateway, route.dev], ["10.86.0.1", "eth0"]);
  assertEquals(await host.leases(), { "c1/eth0": "10.86.0.2", "c2/eth0": "10.86.0.3" });
  assertMatch((await host.state()).leases["c1/eth0"].since, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);

  assert(await host.pings("c1", "10.86.0.1"), "container to gateway");
  assert(await host.pings("c1", "10.86.0.3"), "container to container");
  assertEquals(
    await host.sh(`stat -c '%a %n' ${STATE_FOLDER} ${STATE_FOLDER}/*`),
    [
      `700 ${STATE_FOLDER}`,
      `600 ${STATE_FOLDER}/podnet.json`,
      `600 ${STATE_FOLDER}/podnet.lock\n`,
    ].join("\n"),
  );

  await host.del({ id: "c1" });
  assertEquals(await host.leases(), { "c2/eth0": "10.86.0.3" });
  assertEquals(await host.ip("c1", "link", "show", "dev", "eth0"), []);
  await host.del({ id: "c2" });
  await host.assertNothingLeft();
}, MODES);

hostTest(
  "ADD: in a set with ranges of two subnets, the gateway is that of the allocated address's range",
  async (host) => {
    const [first, second] = ["10.86.0.0/24", "10.87.0.0/24"];
    const config = {
      cniVersion: "1.1.0",
      name: "podnet",
      type: "atomicni",
      isDefaultGateway: true,
      ipam: {
        type: "host-local",
        ranges: [[
          { subnet: first, rangeStart: "10.86.0.2", rangeEnd: "10.86.0.2" },
          { subnet: second },
        ]],
        routes: [{ dst: "10.200.0.0/16" }],
      },
    };
    await host.containers("c1", "c2");
    await host.add({ id: "c1", config });
    const added = await host.add({ id: "c2", config });
    assertEquals(added.ips[0], { interface: 2, address: "10.87.0.2/24", gateway: "10.87.0.1" });
    assertEquals(added.routes, [
      { dst: "10.200.0.0/16" },
      { dst: "0.0.0.0/0", gw: "10.87.0.1" },
    ]);
    for (const dst of ["default", "10.200.0.0/16"]) {
      const [route] = await host.ip("c2", "route", "show", dst);
      assertEquals(route.gateway, "10.87.0.1", dst);
    }
    const { code, stdout } = await host.cni("CHECK", {
      id: "c2",
      config: { ...config, prevResult: added },
    });
    assertEquals(code, 0, stdout);
    assert(await host.pings("c2", "10.87.0.1"), "the gateway of its own range");
  },
);
