import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json, MODES, STATE_FOLDER } from "./host.ts";
import { until, untilSh } from "../until.ts";

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
    assertEquals((await ipv6(host, "", CONFIG.bridge)).map((it) => it.local), ["fd00:88::1"]);
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

hostTest("the next ADD restores the IPv6 gateway of a bridge that was down", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c1", config: DUAL });
  await host.sh(`ip link set dev ${CONFIG.bridge} down; ip link set dev ${CONFIG.bridge} up`);
  assertEquals(await ipv6(host, "", CONFIG.bridge), []);
  await host.add({ id: "c2", config: DUAL });
  assertEquals((await ipv6(host, "", CONFIG.bridge)).map((it) => it.local), ["fd00:88::1"]);
  assert(await host.pings("c2", "fd00:88::1"));
});

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

hostTest(
  "STATUS, doctor and ADD agree about IPv6 on a bridge whose containers are gone",
  async (host) => {
    await host.containers("c1");
    const sysctl = `/proc/sys/net/ipv6/conf/${CONFIG.bridge}/disable_ipv6`;
    const link = `ip link set dev ${CONFIG.bridge}`;
    const changes = [
      [`${link} down; ${link} up`, undefined],
      [`echo 1 >${sysctl}; echo 0 >${sysctl}`, undefined],
      [`echo 1 >${sysctl}`, 100],
      [`${link} down; echo 1 >${sysctl}`, 100],
    ] as const;
    for (const [change, refused] of changes) {
      for (const config of [DUAL, GUARDED_WITHOUT_GATEWAY]) {
        await host.add({ config });
        await host.del({ config });
        await host.sh(change);
        const status = await host.cni("STATUS", { config });
        assertEquals(status.json?.code, refused && 50, change);
        const doctor = await host.program(["doctor"], JSON.stringify(config));
        assertEquals(doctor.code, refused === undefined ? 1 : 2, doctor.stdout);
        const { json } = await host.cni("ADD", { config });
        assertEquals(json.code, refused, change);
        await host.del({ config });
        await host.sh(`ip link del ${CONFIG.bridge}`);
      }
    }
  },
);

hostTest(
  "no ADD fails under a flood of router advertisements, and its route wins",
  async (host) => {
    await host.containers("eve", "c1");
    await host.add({ id: "eve", config: DUAL });
    // Bounded: it ends by itself after two minutes, which is enough even in an emulator.
    await host.sh(`timeout 120 ip netns exec eve python3 -c '
import socket, time
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
ra = bytes([134, 0, 0, 0, 64, 0]) + (1800).to_bytes(2, "big") + bytes(8)
told = None
while True:
    try:
        s.sendto(ra, ("ff02::1", 0)); time.sleep(0.0005)
        if not told: told = open("/run/flooding", "w")
    except OSError:
        time.sleep(0.05)  # as long as its own address is not settled
' >/run/flood 2>&1 & echo $! >/run/flood.pid
${untilSh("[ -e /run/flooding ]")}`);
    let learnt = 0;
    const winner = async () => {
      const all = await host.ip("c1", "-6", "route", "show", "table", "main");
      const defaults = all.filter((it) => it.dst === "default");
      learnt += defaults.filter((it) => it.protocol === "ra").length;
      const [best] = defaults.sort((a, b) => a.metric - b.metric);
      return [best.gateway, best.metric];
    };
    for (let n = 0; n < 12; n++) {
      await host.add({ id: "c1", config: DUAL });
      assertEquals(await winner(), ["fd00:88::1", 512]);
      // An advertisement may arrive after the ADD has ended.
      await until("an advertisement is accepted", async () => {
        assertEquals(await winner(), ["fd00:88::1", 512]);
        return learnt > 0;
      });
      await host.del({ id: "c1", config: DUAL });
    }
    await host.sh("kill $(cat /run/flood.pid)");
    assert(learnt > 0, "no container took an advertisement: the flood proves nothing");
  },
);

hostTest("results of each version have both families in its own shape", async (host) => {
  await host.containers("c1");
  const shapes: Record<string, (json: Json) => unknown> = {
    "0.1.0": ({ ip4, ip6 }) => [ip4.ip, ip4.routes, ip6.ip, ip6.routes],
    "0.2.0": ({ ip4, ip6 }) => [ip4.ip, ip4.routes, ip6.ip, ip6.routes],
    "0.3.1": ({ ips, routes }) => [ips.map((it: Json) => [it.version, it.address]), routes],
    "0.4.0": ({ ips, routes }) => [ips.map((it: Json) => [it.version, it.address]), routes],
    "1.0.0": ({ ips, routes }) => [ips.map((it: Json) => [it.version, it.address]), routes],
  };
  const routes = [{ dst: "0.0.0.0/0", gw: "10.86.0.1" }, { dst: "::/0", gw: "fd00:88::1" }];
  const old = ["10.86.0.2/24", [routes[0]], "fd00:88::2/64", [routes[1]]];
  const versioned = [[["4", "10.86.0.2/24"], ["6", "fd00:88::2/64"]], routes];
  const newer = [[[undefined, "10.86.0.2/24"], [undefined, "fd00:88::2/64"]], routes];
  const expected: Record<string, unknown> = {
    ...{ "0.1.0": old, "0.2.0": old, "0.3.1": versioned, "0.4.0": versioned, "1.0.0": newer },
  };
  for (const [cniVersion, shape] of Object.entries(shapes)) {
    const config = {
      ...DUAL,
      cniVersion,
      ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.2" },
    };
    assertEquals(shape(await host.add({ config })), expected[cniVersion], cniVersion);
    await host.del({ config });
  }
});

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

hostTest("refused by name, with the remedy, before anything is created", async (host) => {
  await host.containers("c1");
  const rows: [object, number, RegExp][] = [
    [{ ...DUAL, mtu: 1279 }, 7, /mtu 1279.*1280/],
    [{ ...DUAL, subnet6: "fe80::/64", gateway6: "fe80::1" }, 7, /link-local/],
    [{ ...DUAL, subnet6: "ff02::/64", gateway6: "ff02::1" }, 7, /multicast/],
    [{ ...DUAL, subnet6: "::ffff:0:0/112", gateway6: "::ffff:0:1" }, 7, /mapped IPv4/],
    [{ ...DUAL, subnet6: "fd00::/127", gateway6: "fd00::1" }, 7, /too small/],
    [{ ...DUAL, gateway6: "fd00:88::" }, 7, /subnet-router anycast/],
    [{ ...DUAL, gateway6: undefined }, 7, /"gateway6" is required/],
    [{ ...DUAL, subnet6: "fd00:88::5/64" }, 7, /the network is fd00:88::\/64/],
    [{ ...DUAL, enabledad: true }, 2, /"enabledad": true/],
    [{ ...CONFIG, Bridge: undefined, IPMasq: true }, 2, /"ipMasq": true/],
    [hostLocal({ ranges: [[{ subnet: "10.1.0.0/24" }, { subnet: "fd00::/64" }]] }), 7, /mixes/],
    [
      hostLocal({ ranges: [[{ subnet: "10.1.0.0/24" }], [{ subnet: "10.1.0.0/16" }]] }),
      7,
      /overlap/,
    ],
    [hostLocal({ ranges: [[]] }), 7, /set 0 is empty/],
    [hostLocal({}), 7, /"ipam.subnet" is required/],
    [{ ...CONFIG, subnet: "224.0.0.0/24", gateway: "224.0.0.1" }, 7, /multicast/],
    [{ ...CONFIG, subnet: "0.0.0.0/24", gateway: "0.0.0.1" }, 7, /0\/8/],
    [{ ...CONFIG, disableContainerInterface: true }, 7, /disableContainerInterface/],
  ];
  for (const [config, code, message] of rows) {
    const answer = await host.cni("ADD", { config });
    assertEquals([answer.code, answer.json?.code], [1, code], JSON.stringify(config));
    assertMatch(`${answer.json.msg}; ${answer.json.details}`, message);
    assertEquals(await host.links(), [], "something was created");
  }
  assertEquals(await host.files(), []);
});

hostTest("import takes over host-local's leases of both families", async (host) => {
  await host.sh(`ip link add ${CONFIG.bridge} type bridge; ip link set ${CONFIG.bridge} up`);
  await host.containers("c1", "c2");
  await host.sh(`ip link add vethref master ${CONFIG.bridge} up type veth peer name eth0 netns c1
    ip -n c1 link set eth0 up; ip -n c1 addr add 10.86.0.2/24 dev eth0
    ip -n c1 addr add fd00:88::2/64 dev eth0 nodad`);
  const lines = ["10.86.0.2:c1\r", "10.86.0.2:eth0", "fd00:88::2:c1\r", "fd00:88::2:eth0"];
  const listing = [...lines, "last_reserved_ip.0:10.86.0.2", "last_reserved_ip.1:fd00:88::2"];
  const stdin = `${JSON.stringify(DUAL)}\n${listing.map((it) => `/x/${it}`).join("\n")}\n`;
  const { json, stdout } = await host.program(["import", "--json"], stdin);
  assertEquals(json.proved?.map((it: Json) => it.addresses), [["10.86.0.2", "fd00:88::2"]], stdout);
  assertEquals(await allocated(host, "c2", DUAL), ["10.86.0.3/24", "fd00:88::3/64"]);
  await host.del({ id: "c1", config: DUAL });
  assertEquals(await host.leases(), { "c2/eth0": ["10.86.0.3", "fd00:88::3"] });
  assert(!(await host.links()).includes("vethref"));
});

hostTest("repair finds both addresses of a container after the state was lost", async (host) => {
  await host.containers("c1");
  await host.add({ config: DUAL });
  await host.sh(`rm ${STATE_FOLDER}/podnet.json`);
  assertEquals((await host.program(["repair"], JSON.stringify(DUAL))).code, 0);
  assertEquals(await host.leases(), { "c1/eth0": ["10.86.0.2", "fd00:88::2"] });
});

hostTest("DEL releases a lease of both families after root replaced its MAC", async (host) => {
  await host.containers("c1", "c2");
  await allocated(host, "c1", DUAL);
  await host.sh(`sed -i 's/"hostMac"/"mac":"none","hostMac"/' ${STATE_FOLDER}/podnet.json`);
  await host.del({ id: "c1", config: DUAL });
  assertEquals(await host.leases(), {});
});
