import { assert, assertEquals, assertMatch } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json, MODES } from "./host.ts";

async function bridge(host: Host): Promise<Json> {
  return (await host.ip("", "addr", "show", "dev", CONFIG.bridge))[0];
}

async function port(host: Host, id: string): Promise<Json> {
  const links = await host.ip("", "link", "show", "type", "veth");
  return links.find(({ ifalias }) => ifalias === `podnet/${id}/eth0`);
}

hostTest("an existing bridge is used as it is", async (host) => {
  await host.containers("c1");
  await host.sh(`ip link add atomic0 address 02:00:00:00:00:99 type bridge
    ip addr add 192.0.2.1/24 dev atomic0; ip addr add 10.86.0.1/24 dev atomic0
    ip link set atomic0 up`);
  const result = await host.add();
  assertEquals(result.interfaces[0].mac, "02:00:00:00:00:99");
  assertEquals(await host.addresses("", "atomic0"), ["192.0.2.1/24", "10.86.0.1/24"]);
  assert(await host.pings("c1", CONFIG.gateway));
  await host.del();
  assertEquals((await bridge(host)).address, "02:00:00:00:00:99");
});

hostTest("ADD adds the settings that a bridge lacks", async (host) => {
  await host.containers("c1", "c2", "c3");
  const rows: [string, string][] = [
    ["c1", "ip link add atomic0 type bridge"],
    ["c2", "ip link set atomic0 down"],
    ["c3", "ip addr flush dev atomic0"],
  ];
  for (const [id, damage] of rows) {
    await host.sh(damage);
    const result = await host.add({ id });
    const { flags, address } = await bridge(host);
    assert(flags.includes("UP"), damage);
    assertEquals(await host.addresses("", "atomic0"), ["10.86.0.1/24"], damage);
    assertEquals(result.interfaces[0].mac, address, damage);
    assert(await host.pings(id, CONFIG.gateway), damage);
  }
}, MODES);

hostTest("another address on the bridge is refused, or replaced if requested", async (host) => {
  await host.containers("c1");
  await host.sh("ip link add atomic0 up type bridge; ip addr add 10.86.0.1/16 dev atomic0");
  const refused = await host.cni("ADD");
  assertEquals(refused.json.code, 105);
  assertMatch(
    refused.json.msg,
    /"atomic0" as the bridge of 10\.86\.0\.1\/24: it has 10\.86\.0\.1\/16/,
  );
  assertEquals(await host.addresses("", "atomic0"), ["10.86.0.1/16"]);
  await host.assertNothingLeft();
  await host.add({
    config: {
      cniVersion: "1.1.0",
      name: "podnet",
      type: "atomicni",
      bridge: "atomic0",
      isGateway: true,
      forceAddress: true,
      ipam: { type: "host-local", subnet: "10.86.0.0/24" },
    },
  });
  assertEquals(await host.addresses("", "atomic0"), ["10.86.0.1/24"]);
});

hostTest("the bridge keeps its MAC as ports come and go", async (host) => {
  await host.containers("c1", "c2", "c3");
  const seen: string[] = [];
  const look = async () => seen.push((await bridge(host)).address);
  await host.add({ id: "c1" });
  await look();
  assert(await host.pings("c1", CONFIG.gateway));
  // A port with a MAC lower than all others: a bridge without a fixed MAC would take it.
  await host.sh(
    "ip link add low0 address 00:00:00:00:00:02 master atomic0 up type veth peer name low1",
  );
  await host.add({ id: "c2" });
  await look();
  await host.del({ id: "c2" });
  await host.sh("ip link del dev low0");
  await host.add({ id: "c3" });
  await look();
  assertEquals(seen, Array(3).fill("0a:58:0a:56:00:01"));
  assert(await host.pings("c1", CONFIG.gateway));
  for (const id of ["c1", "c3"]) await host.del({ id });
  assertEquals((await bridge(host)).address, "0a:58:0a:56:00:01");
});

hostTest(
  "hairpin mode, isolation, promiscuous mode and MTU are set in the kernel",
  async (host) => {
    await host.containers("c1", "c2", "c3", "c4", "c5");
    const flags = async (id: string) => {
      const { hairpin, isolated } = (await port(host, id)).linkinfo.info_slave_data;
      return [hairpin, isolated, (await bridge(host)).flags.includes("PROMISC")];
    };
    const rows: [string, object, boolean[]][] = [
      ["c1", {}, [false, false, false]],
      ["c2", { hairpinMode: true }, [true, false, false]],
      ["c3", { portIsolation: true }, [false, true, false]],
      ["c4", { hairpinMode: true, portIsolation: true }, [true, true, false]],
      ["c5", { promiscMode: true }, [false, false, true]],
    ];
    for (const [id, keys, expected] of rows) {
      await host.add({ id, config: { ...CONFIG, mtu: 1400, ...keys } });
      assertEquals(await flags(id), expected, JSON.stringify(keys));
    }
    for (const id of ["c1", "c3"]) {
      assertEquals((await host.ip(id, "link", "show", "dev", "eth0"))[0].mtu, 1400);
      assertEquals((await port(host, id)).mtu, 1400);
    }
    // Isolated ports reach the gateway and unisolated ports, but not each other.
    assert(await host.pings("c3", CONFIG.gateway));
    assert(await host.pings("c3", "10.86.0.2"));
    assertEquals(await host.pings("c3", "10.86.0.5"), false);
  },
  MODES,
);
