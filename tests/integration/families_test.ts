import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json, MODES } from "./host.ts";

/** Both families, in this plugin's own dialect. */
const DUAL = { ...CONFIG, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
const { subnet: _, gateway: __, ...IPV6 } = DUAL;

/** A configuration of bridge + host-local with these keys in its `ipam`. */
function hostLocal(ipam: object, more: object = {}): Json {
  const { cniVersion, name, type, bridge } = CONFIG;
  return {
    ...{ cniVersion, name, type, bridge, isGateway: true },
    ...more,
    ipam: { type: "host-local", ...ipam },
  };
}

async function allocated(host: Host, id: string, config: unknown, more = {}): Promise<string[]> {
  const { ips } = await host.add({ id, config, ...more });
  return ips.map(({ address }: Json) => address);
}

/** Global IPv6 addresses of an interface, with their flags in the kernel. */
async function ipv6(host: Host, at: string, dev: string): Promise<Json[]> {
  const [link] = await host.ip(at, "-6", "addr", "show", "dev", dev);
  return (link?.addr_info ?? []).filter((it: Json) => it.scope === "global");
}

async function routes6(host: Host, at: string): Promise<Json[]> {
  return await host.ip(at, "-6", "route", "show", "default");
}

hostTest(
  "an attachment has an address, a route and traffic of both families at once",
  async (host) => {
    await host.containers("c1", "c2");
    assertEquals(await allocated(host, "c1", DUAL), ["10.86.0.2/24", "fd00:88::2/64"]);
    assertEquals(await allocated(host, "c2", DUAL), ["10.86.0.3/24", "fd00:88::3/64"]);
    assertEquals(await host.leases(), {
      "c1/eth0": ["10.86.0.2", "fd00:88::2"],
      "c2/eth0": ["10.86.0.3", "fd00:88::3"],
    });
    const [inside] = await host.ip("c1", "link", "show", "dev", "eth0");
    assertEquals(inside.address, "0a:58:0a:56:00:02");
    const [route] = await routes6(host, "c1");
    assertEquals([route.gateway, route.metric], ["fd00:88::1", 512]);
    for (const to of ["10.86.0.1", "10.86.0.3", "fd00:88::1", "fd00:88::3"]) {
      assert(await host.pings("c1", to), to);
    }
    for (const [at, dev, own] of [["", CONFIG.bridge, "1"], ["c1", "eth0", "2"]] as const) {
      const [address, ...more] = await ipv6(host, at, dev);
      assertEquals([address.local, address.tentative, more], [`fd00:88::${own}`, undefined, []]);
    }
    for (const id of ["c1", "c2"]) await host.del({ id, config: DUAL });
    await host.assertNothingLeft();
  },
  MODES,
);

hostTest(
  "on a bridge without ports, an IPv6 address is not tentative after the ADD",
  async (host) => {
    await host.containers("c1");
    await host.add({ id: "c1", config: DUAL });
    for (const [at, dev] of [["", CONFIG.bridge], ["c1", "eth0"]] as const) {
      const [address] = await ipv6(host, at, dev);
      assert(address.tentative === undefined, `${at} ${dev} is tentative`);
    }
  },
);

hostTest("IPv6 alone: an address, a MAC that follows from it, traffic", async (host) => {
  await host.containers("c1", "c2");
  assertEquals(await allocated(host, "c1", IPV6), ["fd00:88::2/64"]);
  assertEquals(await allocated(host, "c2", IPV6), ["fd00:88::3/64"]);
  const macs = await Promise.all(
    ["c1", "c2"].map(async (id) => (await host.ip(id, "link", "show", "dev", "eth0"))[0].address),
  );
  assertEquals(new Set(macs).size, 2);
  assert(await host.pings("c1", "fd00:88::3"));
  assertEquals(await host.addresses("c1", "eth0"), []);
  const mac = macs[0];
  await host.del({ id: "c1", config: IPV6 });
  await host.containers("c3");
  const again = { ...IPV6, runtimeConfig: { ips: ["fd00:88::2"] } };
  await host.add({ id: "c3", config: again });
  assertEquals((await host.ip("c3", "link", "show", "dev", "eth0"))[0].address, mac);
});

hostTest(
  "a reused pair of addresses keeps its MAC and its neighbours",
  async (host) => {
    await host.containers("c1", "c2", "c3");
    const small = { ...DUAL, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.3" } };
    await host.add({ id: "c1", config: small });
    await host.add({ id: "c2", config: small });
    assert(await host.pings("c2", "fd00:88::2"));
    await host.del({ id: "c1", config: small });
    assertEquals(await allocated(host, "c3", small), ["10.86.0.2/24", "fd00:88::2/64"]);
    for (const to of ["10.86.0.2", "fd00:88::2"]) assert(await host.pings("c2", to), to);
  },
);

hostTest("if the second range set is full, the first one stays as it was", async (host) => {
  await host.containers("c1", "c2", "c3");
  const config = { ...DUAL, ipam: { rangeStart6: "fd00:88::2", rangeEnd6: "fd00:88::3" } };
  await host.add({ id: "c1", config });
  await host.add({ id: "c2", config });
  const before = await host.state();
  const { code, json } = await host.cni("ADD", { id: "c3", config });
  assertEquals([code, json.code], [1, 101]);
  assertStringIncludes(json.msg, "fd00:88::2 - fd00:88::3: all are held");
  assertEquals(await host.state(), before);
  const status = await host.cni("STATUS", { config });
  assertEquals([status.code, status.json?.code], [1, 50]);
  assertStringIncludes(status.json.msg, "fd00:88::2 - fd00:88::3");
});

hostTest(
  "host-local's ranges: one address of each set, next-fit from range to range",
  async (host) => {
    await host.containers("c1", "c2", "c3", "c4");
    const first = [
      { subnet: "10.1.0.0/24", rangeStart: "10.1.0.10", rangeEnd: "10.1.0.11" },
      { subnet: "10.2.0.0/24", rangeStart: "10.2.0.10", rangeEnd: "10.2.0.10" },
    ];
    const config = hostLocal({ ranges: [first, [{ subnet: "fd00:1::/64" }]] });
    const got = [];
    for (const id of ["c1", "c2", "c3"]) got.push((await allocated(host, id, config))[0]);
    assertEquals(got, ["10.1.0.10/24", "10.1.0.11/24", "10.2.0.10/24"]);
    await host.del({ id: "c2", config });
    assertEquals((await allocated(host, "c4", config))[0], "10.1.0.11/24");
    // The bridge has the gateway of every range.
    assertEquals((await host.addresses("", CONFIG.bridge)).sort(), ["10.1.0.1/24", "10.2.0.1/24"]);
    assert(await host.pings("c3", "10.2.0.1"));
    assertEquals((await host.state()).lastReserved.length, 2);
  },
);

hostTest("requested addresses are allocated, one per set: all of them or none", async (host) => {
  await host.containers("c1", "c2");
  const asked = (...ips: string[]) => ({ ...DUAL, runtimeConfig: { ips } });
  const both = await allocated(host, "c1", asked("FD00:88:0::0:77/64", "10.86.0.77"));
  assertEquals(both, ["10.86.0.77/24", "fd00:88::77/64"]);
  const before = await host.state();
  const rows: [string[], RegExp][] = [
    [["10.86.0.78", "fd00:88::77"], /fd00:88::77.*"c1\/eth0" holds it/],
    [["10.86.0.78", "10.86.0.79"], /an attachment gets one address/],
    [["10.86.0.78", "fd00:99::1"], /fd00:99::1.*outside/],
    [["fd00:88::"], /reserved in the subnet/],
    [["fd00:88::1"], /it is the gateway/],
  ];
  for (const [ips, message] of rows) {
    const { code, json } = await host.cni("ADD", { id: "c2", config: asked(...ips) });
    assertEquals([code, json.code], [1, 102], ips.join());
    assertMatch(json.msg, message);
    assertEquals(await host.state(), before);
  }
  // The reference deletes the leases of a running attachment in this case.
  const again = await host.cni("ADD", { id: "c1", config: asked("10.86.0.77") });
  assertEquals([again.code, again.json.code], [1, 103]);
  assertEquals(await host.state(), before);
  assert(await host.pings("c1", "fd00:88::1"));
});

hostTest(
  "a layer-2 attachment: a veth that is up, no address, no lease; every command works",
  async (host) => {
    await host.containers("c1");
    for (const containerUp of [true, false]) {
      const { cniVersion, name, type, bridge } = CONFIG;
      const config = {
        cniVersion,
        name,
        type,
        bridge,
        ipam: {},
        disableContainerInterface: !containerUp,
      };
      const result = await host.add({ config });
      assertEquals([result.ips, result.routes], [undefined, undefined]);
      const [link] = await host.ip("c1", "addr", "show", "dev", "eth0");
      assertEquals(link.flags.includes("UP"), containerUp);
      assertEquals(link.addr_info.filter((it: Json) => it.scope === "global"), []);
      assertEquals(await host.leases(), {});
      const check = await host.cni("CHECK", { config: { ...config, prevResult: result } });
      assertEquals([check.code, check.stdout], [0, ""]);
      assertEquals((await host.cni("STATUS", { config })).code, 0);
      const keep = [{ containerID: "c1", ifname: "eth0" }];
      await host.cni("GC", { config: { ...config, "cni.dev/valid-attachments": keep } });
      assertEquals((await host.hostVeths()).length, 1);
      await host.cni("GC", { config: { ...config, "cni.dev/valid-attachments": [] } });
      assertEquals(await host.hostVeths(), []);
      await host.add({ config });
      await host.del({ config });
      await host.assertNothingLeft();
    }
  },
);

hostTest(
  "if IPv6 is disabled, ADD names the sysctl and rolls back",
  async (host) => {
    await host.containers("c1");
    // `ip` does not show the setting of a missing bridge: doctor says so.
    const { json: seen } = await host.program(["doctor", "--json"], JSON.stringify(DUAL));
    const note = seen.findings.find(({ level }: Json) => level === "note");
    assertStringIncludes(note?.found, "net.ipv6.conf.default.disable_ipv6");
    await host.sh("ip netns exec c1 sh -c 'echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6'");
    const { code, json } = await host.cni("ADD", { config: DUAL });
    assertEquals(code, 1);
    assertStringIncludes(json.details, "net.ipv6.conf.default.disable_ipv6=0");
    await host.assertNothingLeft();
    await host.sh("ip netns exec c1 sh -c 'echo 0 >/proc/sys/net/ipv6/conf/default/disable_ipv6'");
    await host.sh(
      `ip link del ${CONFIG.bridge}; echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6`,
    );
    const bridge = await host.cni("ADD", { config: DUAL });
    assertEquals(bridge.code, 1);
    assertStringIncludes(bridge.json.details, `net/ipv6/conf/${CONFIG.bridge}/disable_ipv6=0`);
    // The bridge stays, and shows STATUS what the next ADD will meet.
    assertEquals((await host.cni("STATUS", { config: DUAL })).json?.code, 50);
    await host.assertNothingLeft();
  },
);

/** The guard sets neighbours of both families on a bridge without addresses. */
const GUARDED_WITHOUT_GATEWAY = {
  ...CONFIG,
  ...{ subnet: undefined, gateway: undefined, macspoofchk: true },
  ipam: {
    type: "host-local",
    ranges: [[{ subnet: "10.86.0.0/24" }], [{ subnet: "fd00:88::/64" }]],
  },
};

for (
  const [what, config] of [
    ["gateway", DUAL],
    ["guard without a gateway", GUARDED_WITHOUT_GATEWAY],
  ] as const
) {
  hostTest(
    `STATUS and doctor report that IPv6 is disabled on the bridge: ${what}`,
    async (host) => {
      await host.containers("c1", "c2");
      await host.add({ config });
      const sysctl = `/proc/sys/net/ipv6/conf/${CONFIG.bridge}/disable_ipv6`;
      const asked = async () => {
        const addresses = await ipv6(host, "", CONFIG.bridge);
        const { code } = await host.program(["doctor"], JSON.stringify(config));
        const { json } = await host.cni("STATUS", { config });
        assertEquals(await ipv6(host, "", CONFIG.bridge), addresses, "looking changes nothing");
        return [code, json?.details ?? ""];
      };
      assertEquals(await asked(), [1, ""]);
      await host.sh(`echo 1 >${sysctl}`);
      const [code, details] = await asked();
      assertEquals(code, 2);
      assertStringIncludes(details, `net/ipv6/conf/${CONFIG.bridge}/disable_ipv6=0`);
      assertEquals((await host.cni("ADD", { id: "c2", config })).json.code, 100);
      await host.sh(`echo 0 >${sysctl}`);
      assertEquals(await asked(), [1, ""]);
      await host.add({ id: "c2", config });
    },
  );
}

hostTest("a state with one family gets the second one and keeps its leases", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c1" });
  assertEquals(await allocated(host, "c2", DUAL), ["10.86.0.3/24", "fd00:88::3/64"]);
  assertEquals(await host.leases(), {
    "c1/eth0": "10.86.0.2",
    "c2/eth0": ["10.86.0.3", "fd00:88::3"],
  });
  assert(await host.pings("c1", "10.86.0.3"));
  // And the reverse: an address of a subnet that was removed from the configuration is reported.
  const back = await host.cni("ADD", { id: "c3", netns: "c1", ifname: "eth1" });
  assertEquals(back.json.code, 104);
  assertStringIncludes(back.json.details, "set the old subnet back");
  // After a crash, repair is the remedy that the error names first.
  assertMatch(back.json.details, /^atomicni repair < CONFIGURATION drops leases of containers/);
  await host.del({ id: "c2" });
  await host.del({ id: "c1" });
  await host.assertNothingLeft();
});
