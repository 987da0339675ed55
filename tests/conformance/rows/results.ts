import { assert, assertEquals, assertMatch } from "@std/assert";
import { CONFIG, type Json } from "../../integration/host.ts";
import { hostLocal, refused, type Row, row } from "../lab.ts";

const ROUTES = [
  { dst: "0.0.0.0/0", gw: "10.86.0.1", mtu: 1400, advmss: 1360, priority: 77 },
  { dst: "10.99.0.0/16", table: 0, scope: 0 },
];
const DNS = { nameservers: ["10.0.0.10"], search: ["a.local"] };

/** The result of an ADD with the routes above in each version, without MACs and the host veth's name. */
function expected(version: string): Json {
  const routes = [{ dst: "0.0.0.0/0", gw: "10.86.0.1" }, { dst: "10.99.0.0/16" }];
  if (version < "0.3.0") {
    return {
      cniVersion: version,
      ip4: { ip: "10.86.0.2/24", gateway: "10.86.0.1", routes },
      dns: DNS,
    };
  }
  const newest = version === "1.1.0";
  const mtu = newest ? { mtu: 1500 } : {};
  return {
    cniVersion: version,
    interfaces: [
      { name: "atomic0", mac: "0a:58:0a:56:00:01", ...mtu },
      { name: "HOST", mac: "MAC", ...mtu },
      { name: "eth0", mac: "0a:58:0a:56:00:02", ...mtu, sandbox: "/run/netns/c1" },
    ],
    ips: [{
      ...(version < "1.0.0" && { version: "4" }),
      interface: 2,
      address: "10.86.0.2/24",
      gateway: "10.86.0.1",
    }],
    routes: newest ? ROUTES : routes,
    dns: DNS,
  };
}

export const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

const PREVIOUS = {
  cniVersion: "1.1.0",
  interfaces: [{ name: "dummy0", mac: "0a:00:00:00:00:09", mtu: 0, extra: 1 }, {
    name: "eth7",
    sandbox: "/x",
  }],
  ips: [{ address: "192.168.7.2/24", interface: 1 }, { address: "fd00::2/64" }],
  routes: [{ dst: "192.168.0.0/16", gw: "192.168.7.1", priority: 0 }],
  dns: { nameservers: ["192.168.7.1"] },
  unknown: true,
};

export const RESULTS: readonly Row[] = [
  ...VERSIONS.map((cniVersion) =>
    row("R1 R2 R3 R4 R5 R6 R8 R9 R10 A1 P13", `ADD and DEL in ${cniVersion}`, async (lab) => {
      const config = { ...CONFIG, cniVersion, ipam: { routes: ROUTES }, dns: DNS };
      const result = await lab.add({ config });
      const host = result.interfaces?.[1];
      if (host !== undefined) {
        const link = await lab.link(host.name);
        assertEquals([host.mac, "master" in link], [link.address, true], "read back");
        assertMatch(host.name, /^av[0-9a-f]{13}$/);
        result.interfaces[1] = { ...host, name: "HOST", mac: "MAC" };
      }
      assertEquals(result, expected(cniVersion));
      await lab.silent("DEL", { config });
      await lab.host.assertNothingLeft();
    })
  ),
  row("X9 R3 P12", "ADD without cniVersion, and with an empty one", async (lab) => {
    for (const [id, cniVersion] of [["c1", undefined], ["c2", ""]] as const) {
      const result = await lab.add({ id, config: { ...CONFIG, cniVersion } });
      assertEquals([result.cniVersion, result.ip4.gateway, result.dns], ["0.1.0", "10.86.0.1", {}]);
    }
  }),
  row("R7 R3", "no empty values in the result", async (lab) => {
    const newest = await lab.add({ config: { ...CONFIG, ipam: { routes: [] } } });
    assertEquals(Object.keys(newest), ["cniVersion", "interfaces", "ips"]);
    const old = await lab.add({
      id: "c2",
      config: { ...CONFIG, cniVersion: "0.4.0", ipam: { routes: [] } },
    });
    assertEquals(Object.keys(old), ["cniVersion", "interfaces", "ips", "dns"]);
  }),
  row("R12 R13 R7 R3", "prevResult comes first, indexes shifted", async (lab) => {
    const result = await lab.add({ config: { ...CONFIG, prevResult: PREVIOUS } });
    assertEquals(result.interfaces.slice(0, 2), [
      { name: "dummy0", mac: "0a:00:00:00:00:09" },
      { name: "eth7", sandbox: "/x" },
    ]);
    const names = result.interfaces.slice(2).map((it: Json) => it.name.replace(/^av.*/, "av"));
    assertEquals(names, ["atomic0", "av", "eth0"]);
    assertEquals(result.ips, [
      { address: "192.168.7.2/24", interface: 1 },
      { address: "fd00::2/64" },
      { interface: 4, address: "10.86.0.2/24", gateway: "10.86.0.1" },
    ]);
    assertEquals(result.routes, [{ dst: "192.168.0.0/16", gw: "192.168.7.1" }, {
      dst: "0.0.0.0/0",
      gw: "10.86.0.1",
    }]);
    assertEquals([result.dns, result.unknown], [{ nameservers: ["192.168.7.1"] }, undefined]);
  }),
  row("R4 R12", "0.2.0 after a prevResult: nothing of this plugin is left out", async (lab) => {
    const config = {
      ...CONFIG,
      cniVersion: "0.2.0",
      subnet6: "fd00:88::/64",
      gateway6: "fd00:88::1",
    };
    const prevResult = { cniVersion: "0.2.0", ip6: { ip: "fd09::2/64" } };
    const { subnet6: _, gateway6: __, ...four } = config;
    const { ip4, ip6 } = await lab.add({ config: { ...four, prevResult } });
    assertEquals([ip4.ip, ip6.ip], ["10.86.0.2/24", "fd09::2/64"]);
    await lab.refuse("ADD", { id: "c2", config: { ...config, prevResult } }, 7, /one IPv6 address/);
  }),
  row("R12 R6", "prevResult of 0.4.0 in a 0.4.0 configuration", async (lab) => {
    const prevResult = {
      cniVersion: "0.4.0",
      interfaces: [{ name: "eth7" }],
      ips: [{ version: "6", address: "fd00::2/64", interface: 0 }],
    };
    const { ips, interfaces } = await lab.add({
      config: { ...CONFIG, cniVersion: "0.4.0", prevResult },
    });
    assertEquals(ips.map((it: Json) => [it.version, it.interface]), [["6", 0], ["4", 3]]);
    assertEquals(interfaces.length, 4);
  }),
  refused(
    "R12 R8",
    "an address of prevResult without prefix length",
    "ADD",
    {
      config: { ...CONFIG, prevResult: { cniVersion: "1.1.0", ips: [{ address: "10.1.2.3" }] } },
    },
    7,
    /prevResult\.ips\[0\]\.address "10\.1\.2\.3".*no prefix length/,
  ),
  refused(
    "R12 R5",
    "an index of prevResult that leads nowhere",
    "ADD",
    {
      config: {
        ...CONFIG,
        prevResult: { cniVersion: "1.1.0", ips: [{ address: "10.1.2.3/24", interface: 2 }] },
      },
    },
    7,
    /prevResult\.ips\[0\]\.interface 2/,
  ),
  row("R10 I4", "the bridge's MAC stays when its last port leaves", async (lab) => {
    const { interfaces } = await lab.add();
    await lab.silent("DEL");
    assertEquals((await lab.link("atomic0")).address, interfaces[0].mac);
    assertEquals((await lab.add({ id: "c2" })).interfaces[0].mac, interfaces[0].mac);
  }),
  row(
    "R9 R10",
    "a bridge without a fixed MAC: the result has its final MAC",
    async (lab) => {
      await lab.host.sh("ip link add atomic0 type bridge");
      const { interfaces } = await lab.add();
      assertEquals((await lab.link("atomic0")).address, interfaces[0].mac);
    },
  ),
  row(
    "X1 X2 X3 X4 X5 X7",
    "a failure is one document on stdout, a line for people on stderr, exit 1",
    async (lab) => {
      const { code, stdout, stderr, json } = await lab.cni("ADD", {
        config: { ...CONFIG, subnet: "10.86.0.5/24" },
      });
      assertEquals([code, json.code, json.cniVersion], [1, 7, "1.1.0"]);
      assertEquals(stdout, `${JSON.stringify(json)}\n`);
      assertMatch(json.msg, /subnet "10\.86\.0\.5\/24".*the network is 10\.86\.0\.0\/24/);
      assertEquals(stderr.split("\n").length, 2);
    },
  ),
  ...VERSIONS.map((cniVersion) =>
    row("X4", `an error in ${cniVersion} has that version`, async (lab) => {
      assertEquals(
        (await lab.refuse("ADD", { config: { ...CONFIG, cniVersion, bridge: "a/b" } }, 7, /bridge/))
          .cniVersion,
        cniVersion,
      );
    })
  ),
  ...["9.9.9", "0.9.0", "1.0", "v1.0.0", "abc", "1.1.1"].flatMap((cniVersion) =>
    ["ADD", "DEL"].map((command) =>
      refused(
        "X8 P10",
        `${command} in version ${cniVersion}`,
        command,
        { config: { ...CONFIG, cniVersion } },
        1,
        /^incompatible CNI versions; config is ".*plugin supports \["0\.1\.0" .*"1\.1\.0"\]/,
      )
    )
  ),
  ...["CHECK", "GC", "STATUS"].flatMap((command) => [
    refused(
      "X10 X11 P11",
      `${command} in 0.3.1`,
      command,
      { config: { ...CONFIG, cniVersion: "0.3.1" } },
      1,
      new RegExp(`^config version does not allow ${command}`),
    ),
    refused(
      "X10 P11",
      `${command} without a version`,
      command,
      { config: { ...CONFIG, cniVersion: undefined } },
      1,
      new RegExp(`^config version does not allow ${command}`),
    ),
    refused(
      "X10 P11",
      `${command} in 9.9.9`,
      command,
      { config: { ...CONFIG, cniVersion: "9.9.9" } },
      1,
      new RegExp(`^plugin version does not allow ${command}`),
    ),
    refused(
      "X10 X11 P11",
      `${command} in abc`,
      command,
      { config: { ...CONFIG, cniVersion: "abc" } },
      6,
      /cniVersion "abc"/,
    ),
    refused(
      "X10 X11",
      `${command} in 1.1.0.0`,
      command,
      { config: { ...CONFIG, cniVersion: "1.1.0.0" } },
      6,
      /cniVersion/,
    ),
  ]),
  ...["GC", "STATUS"].map((command) =>
    refused(
      "X10 P11",
      `${command} in 1.0.0`,
      command,
      { config: { ...CONFIG, cniVersion: "1.0.0" } },
      1,
      new RegExp(`^config version does not allow ${command}`),
    )
  ),
  refused(
    "X10 X11",
    "CHECK in 1.0, between the known versions",
    "CHECK",
    { config: { ...CONFIG, cniVersion: "1.0" } },
    1,
    /^incompatible CNI versions/,
  ),
  row("V1 V2 P2 L10", "VERSION with any stdin", async (lab) => {
    for (
      const [stdin, cniVersion] of [["", "1.1.0"], ["garbage", "1.1.0"], [
        '{"cniVersion":"0.3.1"}',
        "0.3.1",
      ], ['{"cniVersion":7}', "1.1.0"]] as const
    ) {
      const { code, stdout } = await lab.raw({
        CNI_COMMAND: "VERSION",
        CNI_NETNS: "dummy",
        CNI_IFNAME: "dummy",
        CNI_PATH: "dummy",
      }, stdin);
      assertEquals([code, stdout], [
        0,
        `${JSON.stringify({ cniVersion, supportedVersions: VERSIONS })}\n`,
      ]);
    }
  }),
  row("V1", "VERSION does not wait for stdin to be closed", async (lab) => {
    const { code, json } = await lab.openStdin({ CNI_COMMAND: "VERSION" });
    assertEquals([code, json?.cniVersion], [0, "1.1.0"]);
  }),
  row("B18 R3", "dns of the configuration, including its empty members", async (lab) => {
    const dns = { nameservers: [], domain: "x.local" };
    assertEquals((await lab.add({ config: hostLocal({ dns }) })).dns, dns);
    assert(!("dns" in await lab.add({ id: "c2", config: hostLocal() })));
  }),
];
