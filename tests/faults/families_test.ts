import { assert, assertEquals } from "@std/assert";
import { hostTest, type Json } from "../integration/host.ts";
import { DUAL, permanent } from "./dual.ts";

hostTest(
  "families: guarded neighbours of a stale lease go before another gets it",
  async (host) => {
    await host.containers("c1", "c2");
    const ipam = {
      ...{ rangeStart: "10.86.0.2", rangeEnd: "10.86.0.2" },
      ...{ rangeStart6: "fd00:88::2", rangeEnd6: "fd00:88::2" },
    };
    await host.add({ id: "c1", config: { ...DUAL, ipam } });
    await host.end("c1");
    assertEquals(await permanent(host, "", DUAL.bridge), ["10.86.0.2", "fd00:88::2"]);
    // The network is not guarded, so nothing would replace or remove these entries.
    await host.add({ id: "c2", config: { ...DUAL, macspoofchk: false, ipam } });
    assertEquals(await permanent(host, "", DUAL.bridge), []);
    assert(await host.pings("c2", DUAL.gateway));
    await host.del({ id: "c2", config: DUAL });
    await host.del({ id: "c1", config: DUAL });
    await host.assertNothingLeft();
  },
);

hostTest(
  "families: the second family can be removed once its containers are gone",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "c1", config: DUAL });
    await host.del({ id: "c1", config: DUAL });
    const { ips } = await host.add({ id: "c2" });
    assertEquals(ips.map(({ address }: Json) => address), ["10.86.0.3/24"]);
    // With live containers of both families, its addresses might be allocated twice.
    await host.add({ id: "c1", config: DUAL });
    const { json } = await host.cni("ADD", { id: "c9", netns: "c1", ifname: "eth1" });
    assertEquals(json.code, 104, "one family with leases of two");
    for (const id of ["c1", "c2"]) await host.del({ id, config: DUAL });
    await host.assertNothingLeft();
  },
);
