import { assert, assertEquals } from "@std/assert";
import { type CniCall, CONFIG, hostTest, MODES } from "./host.ts";

const MAC = "02:00:00:00:00:07";

hostTest(
  "the container has the MAC that the runtime requested, and traffic flows",
  async (host) => {
    const rows: [string, CniCall, string][] = [
      ["c1", { config: { ...CONFIG, runtimeConfig: { mac: MAC.toUpperCase() } } }, MAC],
      ["c2", { args: "MAC=02:00:00:00:00:08" }, "02:00:00:00:00:08"],
      [
        "c3",
        { config: { ...CONFIG, args: { cni: { mac: "02:00:00:00:00:09" } } } },
        "02:00:00:00:00:09",
      ],
    ];
    await host.containers("c1", "c2", "c3");
    for (const [id, call, mac] of rows) {
      const { interfaces } = await host.add({ id, ...call });
      const [inside] = await host.ip(id, "link", "show", "dev", "eth0");
      assertEquals([interfaces[2].mac, inside.address], [mac, mac]);
      assert(await host.pings(id, CONFIG.gateway));
    }
    assert(await host.pings("c1", "10.86.0.3") && await host.pings("c3", "10.86.0.2"));
  },
  MODES,
);

hostTest("an address with a changed MAC is reached at once", async (host) => {
  await host.containers("n1", "c1", "c2", "c3");
  // A bridge that loses its last port flushes every neighbour by itself.
  await host.add({ id: "n1" });
  const ip = "10.86.0.9";
  const reached = async () =>
    (await host.run(["busybox", "ping", "-c", "1", "-W", "2", ip])).code === 0;
  // Each time, the host has learnt the previous MAC: derived, requested, derived.
  const rows: [string, CniCall][] = [
    ["c1", { args: `IP=${ip}` }],
    ["c2", { args: `IP=${ip};MAC=${MAC}` }],
    ["c3", { args: `IP=${ip}` }],
  ];
  for (const [id, call] of rows) {
    await host.add({ id, ...call });
    assert(await reached(), id);
    await host.del({ id });
  }
});

hostTest("a result names CNI_NETNS byte for byte", async (host) => {
  await host.containers("c1");
  const pid = (await host.sh(
    "ip netns exec c1 sleep 60 >/run/sleep 2>&1 & echo $!",
  )).trim();
  await host.sh(`for name in 'a b' 'a"b' 'é' '-n'; do
    : >"/run/$name"; mount --bind /run/netns/c1 "/run/$name"; done`);
  const paths = [
    "/run/netns/c1",
    "/run//netns/./c1",
    "/run/netns/../netns/c1",
    "/var/run/netns/c1",
    "/run/a b",
    "/run/é",
    "/run/-n",
    `/proc/${pid}/ns/net`,
  ];
  for (const netns of paths) {
    const result = await host.add({ netns });
    assertEquals(result.interfaces[2].sandbox, netns);
    const check = await host.cni("CHECK", { netns, config: { ...CONFIG, prevResult: result } });
    assertEquals([check.code, check.stdout], [0, ""], netns);
    assert(await host.pings("c1", CONFIG.gateway), netns);
    await host.del({ netns });
  }
  await host.sh(`kill ${pid}`);
});

hostTest("each version of the specification gets its own shape of result", async (host) => {
  await host.containers("c1");
  const rows: [string | undefined, string[]][] = [
    [undefined, ["cniVersion", "dns", "ip4"]],
    ["0.2.0", ["cniVersion", "dns", "ip4"]],
    ["0.3.1", ["cniVersion", "dns", "interfaces", "ips", "routes"]],
    ["0.4.0", ["cniVersion", "dns", "interfaces", "ips", "routes"]],
    ["1.0.0", ["cniVersion", "interfaces", "ips", "routes"]],
    ["1.1.0", ["cniVersion", "interfaces", "ips", "routes"]],
  ];
  for (const [cniVersion, keys] of rows) {
    const config = { ...CONFIG, cniVersion };
    const result = await host.add({ config });
    assertEquals(Object.keys(result).sort(), keys);
    assertEquals(result.cniVersion, cniVersion ?? "0.1.0");
    if (keys.includes("ips")) assertEquals("version" in result.ips[0], keys.includes("dns"));
    await host.del({ config });
  }
});

hostTest("after another plugin, the result contains both results", async (host) => {
  await host.containers("c1");
  const prevResult = {
    cniVersion: "1.1.0",
    interfaces: [{ name: "net0", sandbox: "/run/netns/c1" }],
    ips: [{ address: "10.99.0.2/24", interface: 0 }],
    routes: [{ dst: "10.98.0.0/16" }],
    dns: { domain: "example" },
  };
  const { interfaces, ips, routes, dns } = await host.add({ config: { ...CONFIG, prevResult } });
  assertEquals(interfaces.length, 4);
  assertEquals([interfaces[0], ips[0], routes[0], dns], [
    prevResult.interfaces[0],
    prevResult.ips[0],
    prevResult.routes[0],
    prevResult.dns,
  ]);
  assertEquals(ips[1], { address: "10.86.0.2/24", gateway: "10.86.0.1", interface: 3 });
});
