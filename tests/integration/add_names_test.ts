import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CONFIG, hostTest } from "./host.ts";

/** Without routes, for further interfaces of a container. */
const BARE = { ...CONFIG, ipam: { routes: [] } };

hostTest(
  "interfaces called if4, if5, … are not taken for indices inside a container",
  async (host) => {
    await host.containers("c1");
    const results = new Map<string, { address: string; mac: string }>();
    // Indices begin with 2 or 3, so some interface has an index that is the number in an earlier one's name.
    for (const ifname of ["if4", "if5", "if6", "if7", "if8", "eth1"]) {
      const { ips, interfaces } = await host.add({ config: BARE, ifname });
      results.set(ifname, { address: ips[0].address, mac: interfaces[2].mac });
      for (const [name, { address, mac }] of results) {
        assertEquals(await host.addresses("c1", name), [address], `${name} after ADD of ${ifname}`);
        const [link] = await host.ip("c1", "link", "show", "dev", name);
        assertEquals(link.address, mac, `MAC of ${name} after ADD of ${ifname}`);
      }
    }
    for (const ifname of results.keys()) await host.del({ ifname });
    await host.assertNothingLeft();
  },
);

hostTest("a missing bridge called if2 is not the bridge of index 2", async (host) => {
  await host.containers("c1");
  await host.sh("ip link add other0 type bridge; ip link set other0 up");
  const [other] = await host.ip("", "link", "show", "dev", "other0");
  const bridge = `if${other.ifindex}`;
  const { code, json, stdout } = await host.cni("ADD", { config: { ...CONFIG, bridge } });
  const ports = await host.ip("", "link", "show", "master", "other0");
  assertEquals(ports.map(({ ifname }) => ifname), [], "the veth is in another network's bridge");
  assertEquals(await host.addresses("", "other0"), []);
  if (code === 0) {
    const [veth] = await host.ip("", "link", "show", "dev", json.interfaces[1].name);
    assertEquals(veth.master, bridge);
    assert(await host.pings("c1", CONFIG.gateway), stdout);
  } else {
    assertEquals(json.code, 7, stdout);
    assertStringIncludes(json.msg, `"${bridge}"`);
  }
});
