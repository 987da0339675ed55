import { assert, assertEquals } from "@std/assert";
import { CONFIG, type Json } from "../../integration/host.ts";
import { hostLocal, refused, type Row, row } from "../lab.ts";

/** A network without addresses, as the reference bridge accepts it. */
const LAYER2 = { cniVersion: "1.1.0", name: "podnet", type: "atomicni", bridge: "cni0", ipam: {} };

const OWN = { bridge: CONFIG.bridge, subnet: CONFIG.subnet, gateway: CONFIG.gateway };

const ATTACH: readonly Row[] = [
  row("B17 R7 R9", "no address, no lease: the veth is up and in the bridge", async (lab) => {
    const { interfaces, ...rest } = await lab.add({ config: { ...LAYER2, isGateway: true } });
    assertEquals(rest, { cniVersion: "1.1.0" });
    assertEquals(interfaces.map((it: Json) => it.name.replace(/^av.*/, "av")), [
      "cni0",
      "av",
      "eth0",
    ]);
    const { flags, address } = await lab.inside();
    assertEquals([flags.includes("UP"), address], [true, interfaces[2].mac]);
    assertEquals([await lab.addresses("", "cni0"), await lab.addresses("c1", "eth0")], [[], []]);
    assertEquals([await lab.host.leases(), await lab.host.state()], [{}, undefined]);
    assertEquals((await lab.link(interfaces[1].name)).master, "cni0");
  }),
  row("B17", "two containers reach each other with addresses that they set", async (lab) => {
    for (const [id, address] of [["c1", "192.168.5.1/24"], ["c2", "192.168.5.2/24"]] as const) {
      await lab.add({ id, config: LAYER2 });
      await lab.host.sh(`ip -n ${id} addr add ${address} dev eth0`);
    }
    assert(await lab.host.pings("c1", "192.168.5.2"));
  }),
  row("A1 A2", "ADD again is refused, a second interface is not", async (lab) => {
    await lab.add({ config: LAYER2 });
    await lab.refuse("ADD", { config: LAYER2 }, 103, /belongs to "podnet\/c1\/eth0"/);
    await lab.add({ ifname: "eth1", config: LAYER2 });
    assertEquals((await lab.host.hostVeths()).length, 2);
  }),
  row("B19 C2 B7 B16", "MAC, MTU and isolation as requested", async (lab) => {
    const config = {
      ...LAYER2,
      mtu: 1300,
      portIsolation: true,
      runtimeConfig: { mac: "0A:00:00:00:00:09" },
    };
    const { interfaces } = await lab.add({ config });
    const { address, mtu } = await lab.inside();
    assertEquals([address, mtu, interfaces[2].mac], [
      "0a:00:00:00:00:09",
      1300,
      "0a:00:00:00:00:09",
    ]);
    const { linkinfo } = await lab.link(interfaces[1].name);
    assertEquals(linkinfo.info_slave_data.isolated, true);
  }),
  refused(
    "C3 C4",
    "a requested address on a network without addresses",
    "ADD",
    { config: { ...LAYER2, runtimeConfig: { ips: ["10.86.0.5"] } } },
    102,
    /"10\.86\.0\.5".*the network allocates no addresses/,
  ),
  refused(
    "H6",
    "a route on a network without addresses",
    "ADD",
    { config: { ...LAYER2, ipam: { routes: [{ dst: "0.0.0.0/0" }] } } },
    7,
    /"subnet" is required/,
  ),
  ...["0.1.0", "0.2.0"].map((cniVersion) =>
    row("R4 P19", `a network without addresses in ${cniVersion}`, async (lab) => {
      const config = { ...LAYER2, cniVersion };
      await lab.refuse("ADD", { config }, 7, /^cannot convert: no valid IP addresses/);
      assertEquals(await lab.host.links(), []);
    })
  ),
  ...["0.3.0", "0.3.1", "0.4.0", "1.0.0"].map((cniVersion) =>
    row("R3 R7 B17", `a network without addresses in ${cniVersion}`, async (lab) => {
      const { interfaces, ...rest } = await lab.add({ config: { ...LAYER2, cniVersion } });
      assertEquals(rest, { cniVersion, ...(cniVersion < "1.0.0" && { dns: {} }) });
      assertEquals(interfaces.length, 3);
    })
  ),
  ...([
    ["ipam left out", { ...LAYER2, ipam: undefined }],
    ["the plugin's own dialect without its subnet", {
      ...CONFIG,
      subnet: undefined,
      ipam: { routes: [] },
    }],
  ] as const).map(([what, config]) =>
    refused(
      "B17 Q1",
      `${what} is not a network without addresses`,
      "ADD",
      { config },
      7,
      /is required/,
    )
  ),
  row("B17", "an empty ipam with a subnet is the plugin's own dialect", async (lab) => {
    const { ips } = await lab.add({ config: { ...LAYER2, ...OWN } });
    assertEquals(ips[0].address, "10.86.0.2/24");
  }),
  row("B15", "disableContainerInterface: down, with any other settings", async (lab) => {
    const config = { ...LAYER2, disableContainerInterface: true };
    const prevResult = await lab.add({ config });
    const { flags, address } = await lab.inside();
    assertEquals([flags.includes("UP"), address], [false, prevResult.interfaces[2].mac]);
    await lab.silent("CHECK", { config: { ...config, prevResult } });
    await lab.silent("DEL", { config });
    await lab.host.assertNothingLeft();
  }),
  ...[hostLocal({ disableContainerInterface: true }), {
    ...CONFIG,
    disableContainerInterface: true,
  }]
    .map((config) =>
      refused(
        "B15",
        `disableContainerInterface with addresses, ${config.ipam?.type ?? "own dialect"}`,
        "ADD",
        { config },
        7,
        /"?disableContainerInterface"? true.*down can have none.*"ipam": \{\}/,
      )
    ),
];

const COMMANDS: readonly Row[] = [
  row("K4 K5", "CHECK is silent, and reports changes", async (lab) => {
    const prevResult = await lab.add({ config: LAYER2 });
    const config = { ...LAYER2, prevResult };
    await lab.silent("CHECK", { config });
    const host = prevResult.interfaces[1].name;
    await lab.host.sh(`ip link set dev ${host} nomaster; ip -n c1 link set dev eth0 down`);
    const says = new RegExp(
      `master of ${host}: expected cni0, found none.*state of eth0: expected up, found down`,
    );
    await lab.refuse("CHECK", { config }, 106, says);
  }),
  row("K4", "CHECK of an attachment that was never added", async (lab) => {
    await lab.container("c1");
    const config = { ...LAYER2, prevResult: { cniVersion: "1.1.0" } };
    await lab.refuse("CHECK", { config }, 3, /knows no such attachment/);
  }),
  row("D1 D2 E12", "DEL: twice, without a namespace, after it is gone, of nothing", async (lab) => {
    await lab.silent("DEL", { config: LAYER2 });
    for (const script of ["true", "ip netns del c1"]) {
      await lab.add({ config: LAYER2 });
      await lab.host.sh(script);
      await lab.silent("DEL", { config: LAYER2, netns: script === "true" ? "" : "/run/netns/c1" });
      await lab.silent("DEL", { config: LAYER2, netns: "" });
      await lab.host.assertNothingLeft();
    }
  }),
  row("G1 G2", "GC removes only the veths of this network that are not listed", async (lab) => {
    for (const id of ["c1", "c2"]) await lab.add({ id, config: LAYER2 });
    await lab.add({ id: "c3", config: { ...LAYER2, name: "othernet" } });
    const list = [{ containerID: "c2", ifname: "eth0" }];
    await lab.silent("GC", { config: { ...LAYER2, "cni.dev/valid-attachments": list } });
    assertEquals([await lab.inside("c1"), (await lab.inside("c2")).ifname], [undefined, "eth0"]);
    assertEquals((await lab.inside("c3")).ifname, "eth0");
    await lab.silent("GC", { id: "", config: LAYER2 });
    assertEquals((await lab.inside("c2")).ifname, "eth0");
  }),
  row("T1 T2", "STATUS of a network without addresses", async (lab) => {
    await lab.silent("STATUS", { config: LAYER2 });
    assertEquals([await lab.host.links(), await lab.host.files()], [[], []]);
    await lab.host.sh("ip link add cni0 type veth peer name p0");
    await lab.refuse("STATUS", { config: LAYER2 }, 50, /"cni0" as the bridge: it is a veth/);
  }),
  row("B17 D4", "a network that had addresses and has none any longer", async (lab) => {
    await lab.add({ config: { ...CONFIG, bridge: "cni0" } });
    const { ips } = await lab.add({ id: "c2", config: LAYER2 });
    assertEquals([ips, await lab.host.leases()], [undefined, { "c1/eth0": "10.86.0.2" }]);
    await lab.silent("DEL", { config: LAYER2 });
    await lab.silent("DEL", { id: "c2", config: LAYER2 });
    await lab.host.assertNothingLeft();
  }),
];

export const LAYER2_ROWS: readonly Row[] = [...ATTACH, ...COMMANDS];
