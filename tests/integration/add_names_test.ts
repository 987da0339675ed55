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

hostTest("an ADD does not configure a container's own interface called if<N>", async (host) => {
  await host.containers("c1");
  // The next index in this namespace is 6.
  await host.sh(`ip -n c1 link add if6 type veth peer name p3
    ip -n c1 link add if4 type veth peer name p5
    ip -n c1 link set if6 down`);
  const { ips } = await host.add();
  assertEquals(await host.addresses("c1", "eth0"), [ips[0].address]);
  for (const name of ["if6", "if4", "p3", "p5"]) {
    assertEquals(await host.addresses("c1", name), [], name);
  }
  assert(await host.pings("c1", CONFIG.gateway));
});

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

/** Characters with a special meaning in `ip -batch`. */
const NAMES = ['a"b', "a'b", "a#b", "a\\b", "b\\", '"'];

hostTest("an interface name with a quote, a # or a backslash is refused by name", async (host) => {
  await host.containers("c1");
  for (const ifname of NAMES) {
    const { code, json, stdout } = await host.cni("ADD", { ifname });
    assertEquals([code, json?.code], [1, 4], `${ifname}: ${stdout}`);
    assertStringIncludes(json.msg, JSON.stringify(ifname));
    assertEquals(await host.links(), [], ifname);
    // A DEL passes no name of the interface to the kernel.
    await host.del({ ifname });
  }
});

hostTest("a bridge name with a quote, a # or a backslash is refused by name", async (host) => {
  await host.containers("c1");
  for (const bridge of NAMES) {
    const { code, json, stdout } = await host.cni("ADD", { config: { ...CONFIG, bridge } });
    assertEquals([code, json?.code], [1, 7], `${bridge}: ${stdout}`);
    assertStringIncludes(json.msg, JSON.stringify(bridge));
    assertEquals(await host.links(), [], bridge);
  }
});
