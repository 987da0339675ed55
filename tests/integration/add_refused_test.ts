import { assertEquals, assertStringIncludes } from "@std/assert";
import { CONFIG, hostTest } from "./host.ts";

for (
  const [whose, config, mac] of [
    ["a MAC that another container requested", {
      ...CONFIG,
      runtimeConfig: { mac: "02:00:00:00:00:07" },
    }, "02:00:00:00:00:07"],
    ["the MAC that belongs to another container's address", CONFIG, "0a:58:0a:56:00:02"],
  ] as const
) {
  hostTest(`${whose} is refused, and nothing is left`, async (host) => {
    await host.containers("c1", "c2");
    const first = await host.add({ id: "c1", config });
    assertEquals(first.interfaces[2].mac, mac);
    const asked = { ...CONFIG, runtimeConfig: { mac: mac.toUpperCase() } };
    const { code, json, stdout } = await host.cni("ADD", { id: "c2", config: asked });
    assertEquals([code, json?.code], [1, 102], stdout);
    assertStringIncludes(`${json.msg} ${json.details}`, "c1/eth0");
    assertEquals(Object.keys(await host.leases()), ["c1/eth0"]);
    assertEquals((await host.hostVeths()).length, 1);
    // The container gets its own MAC again, and another one gets it when the container is gone.
    await host.del({ id: "c1" });
    assertEquals((await host.add({ id: "c2", config: asked })).interfaces[2].mac, mac);
  });
}
