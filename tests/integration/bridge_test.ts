import { assert, assertEquals } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json, MODES } from "./host.ts";

async function bridge(host: Host): Promise<Json> {
  return (await host.ip("", "addr", "show", "dev", CONFIG.bridge))[0];
}

async function port(host: Host, id: string): Promise<Json> {
  const links = await host.ip("", "link", "show", "type", "veth");
  return links.find(({ ifalias }) => ifalias === `podnet/${id}/eth0`);
}

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
