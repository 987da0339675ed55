import { assertEquals } from "@std/assert";
import { CONFIG } from "../../integration/host.ts";
import { hostLocal, messageOf, refused, type Row, row } from "../lab.ts";

const BAD_TEXTS: readonly (readonly [string, string])[] = [
  ["nothing", ""],
  ["a list", "[]"],
  ["text after the object", `${JSON.stringify(CONFIG)} x`],
  ["half an object", JSON.stringify(CONFIG).slice(0, 40)],
  ["a number as name", '{"name":5}'],
  ["a number as cniVersion", '{"name":"podnet","cniVersion":1}'],
];
const BAD_NAMES: readonly (readonly [string, string, RegExp])[] = [
  ["S1 E5 P9", "null", /^missing network name/],
  ["E5 P9", '{"cniVersion":"1.1.0","name":""}', /^missing network name/],
  [
    "E5 P9",
    '{"cniVersion":"1.1.0","name":"a/b"}',
    /^invalid characters found in network name.*a\/b/,
  ],
];
const WRONG_TYPES: readonly (readonly [unknown, RegExp])[] = [
  [{ ...CONFIG, mtu: "1500" }, /mtu "1500".*got a string/],
  [{ ...CONFIG, mtu: -5 }, /mtu -5.*68 to 65535/],
  [{ ...CONFIG, hairpinMode: "true" }, /hairpinMode "true".*got a string/],
  [hostLocal({}, { routes: {} }), /ipam\.routes.*a list/],
  [hostLocal({}, { routes: [{ dst: "10.1.0.0/16", gw: "x" }] }), /ipam\.routes\[0\]\.gw "x"/],
];

export const STDIN: readonly Row[] = [
  ...BAD_TEXTS.map(([what, stdin]) =>
    refused(
      what.includes("cniVersion") ? "S2" : what.includes("name") ? "S2 P8" : "S1 P8",
      `stdin: ${what}`,
      "ADD",
      { stdin },
      6,
      /^Cannot (read stdin|use (name|cniVersion)) /,
    )
  ),
  ...BAD_NAMES.map(([rules, stdin, says]) =>
    refused(rules, `stdin ${stdin}`, "ADD", { stdin }, 7, says)
  ),
  ...["DEL", "CHECK", "GC", "STATUS"].map((command) =>
    refused(
      "E5",
      `${command} checks the name`,
      command,
      { config: { ...CONFIG, name: "a/b" } },
      7,
      /network name/,
    )
  ),
  ...WRONG_TYPES.map(([config, says]) =>
    refused("S2", `a key of a wrong type: ${messageOf(says)}`, "ADD", { config }, 7, says)
  ),
  row("S3", "the last of two equal keys counts", async (lab) => {
    const stdin = JSON.stringify(CONFIG).replace("{", '{"bridge":"other0",');
    assertEquals((await lab.add({ stdin })).interfaces[0].name, CONFIG.bridge);
  }),
  row("S3", "keys in any letter case", async (lab) => {
    const { bridge: BRIDGE, subnet: SUBNET, gateway: Gateway, ...rest } = CONFIG;
    const config = {
      ...rest,
      BRIDGE,
      SUBNET,
      Gateway,
      MTU: 1400,
      IPAM: { ROUTES: [{ DST: "10.9.0.0/16", Gw: "10.86.0.1" }] },
      RuntimeConfig: { Mac: "0a:00:00:00:00:07", IPS: ["10.86.0.9"] },
    };
    const { interfaces, ips, routes } = await lab.add({ config });
    assertEquals([interfaces[0].name, interfaces[2].mac, interfaces[2].mtu], [
      CONFIG.bridge,
      "0a:00:00:00:00:07",
      1400,
    ]);
    assertEquals([ips[0].address, routes], ["10.86.0.9/24", [{
      dst: "10.9.0.0/16",
      gw: "10.86.0.1",
    }]]);
    const prevResult = { cniVersion: "1.1.0", interfaces, ips, routes };
    await lab.silent("CHECK", { config: { ...config, PREVRESULT: prevResult } });
    const list = [{ ContainerID: "c1", IfName: "eth0" }];
    await lab.silent("GC", { config: { ...config, "CNI.dev/valid-attachments": list } });
    await lab.silent("DEL", { config });
    await lab.host.assertNothingLeft();
  }),
  ...[["IPMasq", true], ["VLAN", 100], ["EnableDAD", true]].map(([key = "", value]) =>
    refused(
      "S3 B5 B10 B14",
      `a key that is not supported, as ${key}`,
      "ADD",
      { config: hostLocal({ [String(key)]: value }) },
      2,
      new RegExp(`Cannot do .*${value}: not supported`, "i"),
    )
  ),
  row("S3", "the exact spelling takes precedence over any other", async (lab) => {
    const stdin = JSON.stringify({ ...CONFIG, Bridge: "other0", BRIDGE: "other1" });
    assertEquals((await lab.add({ stdin })).interfaces[0].name, CONFIG.bridge);
    const only = JSON.stringify({ ...CONFIG, bridge: undefined, Bridge: "br1", BRIDGE: "br2" });
    assertEquals((await lab.add({ id: "c2", stdin })).interfaces[0].name, CONFIG.bridge);
    const other = {
      id: "c3",
      stdin: only.replace("podnet", "othernet").replaceAll("10.86", "10.87"),
    };
    assertEquals((await lab.add(other)).interfaces[0].name, "br2");
  }),
  row("S4", "keys of other programs are ignored", async (lab) => {
    const config = {
      ...CONFIG,
      unknownKey: { a: 1 },
      capabilities: { ips: true },
      args: { cni: { labels: [{ key: "a", value: "b" }] }, other: 1 },
      runtimeConfig: {
        portMappings: [{ hostPort: 1, containerPort: 2, protocol: "tcp" }],
        cgroupPath: "/x",
      },
      "cni.dev/something": true,
      "__proto__x": 1,
    };
    await lab.add({ config });
  }),
  row(
    "S5 P21",
    "prevResult: its version may be missing, and must be of the family",
    async (lab) => {
      const prevResult = await lab.add();
      await lab.silent("CHECK", {
        config: { ...CONFIG, prevResult: { ...prevResult, cniVersion: undefined } },
      });
      await lab.silent("CHECK", {
        config: { ...CONFIG, prevResult: { ...prevResult, cniVersion: "1.0.0" } },
      });
      const old = { ...CONFIG, prevResult: { ...prevResult, cniVersion: "0.4.0" } };
      await lab.refuse("CHECK", { config: old }, 7, /prevResult\.cniVersion "0\.4\.0".*1\.1\.0/);
      await lab.silent("DEL", { config: old });
    },
  ),
  row(
    "S6 P25",
    "GC without a list leaves live attachments, and removes provable garbage",
    async (lab) => {
      await lab.add();
      await lab.add({ id: "c2" });
      await lab.host.sh(
        `ip link del dev ${
          (await lab.host.ip("", "link", "show")).find((it) => it.ifalias === "podnet/c2/eth0")
            .ifname
        }`,
      );
      await lab.silent("GC", { id: "" });
      assertEquals(await lab.host.leases(), { "c1/eth0": "10.86.0.2" });
    },
  ),
  row("C1 C2 B19", "MAC: runtimeConfig before args before CNI_ARGS", async (lab) => {
    const macs = ["0a:00:00:00:00:01", "0a:00:00:00:00:02", "0A:00:00:00:00:03"] as const;
    const args = { cni: { mac: macs[1] } };
    const runtimeConfig = { mac: macs[2] };
    const of = async (id: string, config: unknown) => {
      const { interfaces } = await lab.add({ id, config, args: `MAC=${macs[0]}` });
      assertEquals((await lab.inside(id)).address, interfaces[2].mac);
      return interfaces[2].mac;
    };
    assertEquals(await of("c1", CONFIG), macs[0]);
    assertEquals(await of("c2", { ...CONFIG, args }), macs[1]);
    assertEquals(await of("c3", { ...CONFIG, args, runtimeConfig }), macs[2].toLowerCase());
  }),
  row("C1 C3", "address: runtimeConfig before args before CNI_ARGS", async (lab) => {
    const args = { cni: { ips: ["10.86.0.12/24"] } };
    const runtimeConfig = { ips: ["10.86.0.13"] };
    const of = async (id: string, config: unknown) =>
      (await lab.add({ id, config, args: "IP=10.86.0.11" })).ips[0].address;
    assertEquals(await of("c1", CONFIG), "10.86.0.11/24");
    assertEquals(await of("c2", { ...CONFIG, args }), "10.86.0.12/24");
    assertEquals(await of("c3", { ...CONFIG, args, runtimeConfig }), "10.86.0.13/24");
  }),
  refused(
    "B19",
    "an invalid runtimeConfig.mac",
    "ADD",
    { config: { ...CONFIG, runtimeConfig: { mac: "x" } } },
    7,
    /runtimeConfig\.mac "x"/,
  ),
  refused(
    "B19",
    "a multicast MAC",
    "ADD",
    { config: { ...CONFIG, runtimeConfig: { mac: "01:00:00:00:00:01" } } },
    7,
    /multicast/,
  ),
  refused(
    "C4",
    "two requested addresses of one range set",
    "ADD",
    { config: { ...CONFIG, runtimeConfig: { ips: ["10.86.0.5", "10.86.0.6"] } } },
    102,
    /"10\.86\.0\.6".*10\.86\.0\.5 is requested too.*one address of 10\.86\.0\.1 - 10\.86\.0\.254/,
  ),
  refused(
    "C4",
    "a requested IPv6 address in a network without IPv6",
    "ADD",
    { config: { ...CONFIG, runtimeConfig: { ips: ["fd00::5/64"] } } },
    102,
    /"fd00::5".*outside 10\.86\.0\.0\/24.*none of that family/,
  ),
  refused(
    "C4 H9",
    "a requested range of another subnet",
    "ADD",
    {
      config: { ...CONFIG, runtimeConfig: { ipRanges: [[{ subnet: "10.99.0.0/24" }]] } },
    },
    7,
    /runtimeConfig\.ipRanges.*10\.86\.0\.0\/24/,
  ),
  row("C4", "the result has the DNS servers of the runtime", async (lab) => {
    const runtimeConfig = {
      dns: { servers: ["10.86.0.53"], searches: ["svc.local"], options: ["ndots:5"] },
    };
    const { dns } = await lab.add({
      config: { ...CONFIG, dns: { nameservers: ["9.9.9.9"] }, runtimeConfig },
    });
    assertEquals(dns, { nameservers: ["10.86.0.53"], search: ["svc.local"], options: ["ndots:5"] });
  }),
  row("H9 C4", "a requested range narrows the pool", async (lab) => {
    const runtimeConfig = {
      ipRanges: [[{ subnet: "10.86.0.0/24", rangeStart: "10.86.0.100", rangeEnd: "10.86.0.101" }]],
    };
    const config = { ...CONFIG, runtimeConfig };
    assertEquals((await lab.add({ config })).ips[0].address, "10.86.0.100/24");
    assertEquals((await lab.add({ id: "c2", config })).ips[0].address, "10.86.0.101/24");
    await lab.refuse("ADD", { id: "c3", config }, 101, /10\.86\.0\.100 - 10\.86\.0\.101/);
  }),
];
