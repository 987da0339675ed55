import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { parseInterfaceAddress, parseIp } from "../../../lib/base/address.ts";
import { CniError } from "../../../lib/base/errors.ts";
import { parseMac } from "../../../lib/base/mac.ts";
import { parseInterfaceName } from "../../../lib/base/names.ts";
import { configure, type ContainerSpec } from "../../../lib/netops/container.ts";
import { config, NET } from "../../podnet.ts";
import { answer, failure, recorder } from "./answers.ts";

const DUAL = config({ ...NET, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" });
const SPEC: ContainerSpec = {
  netns: "/run/netns/c1",
  ifname: parseInterfaceName("eth0"),
  ifindex: 2,
  mac: parseMac("0a:58:0a:58:00:02"),
  up: true,
  addresses: ["10.88.0.2/24", "fd00:88::2/64"].map((it) => parseInterfaceAddress(it)),
  routes: DUAL.routes,
  guarded: false,
  neighbours: [],
};
/** The command before an IPv6 default route without a configured metric. */
const SHOW = "route show table all exact ::/0";
const CALL = "-n ../../../run/netns/c1 -d -N -j -batch -";

function routes(...list: object[]) {
  return config({ ...NET, subnet6: "fd00:88::/64", gateway6: "fd00:88::1", ipam: { routes: list } })
    .routes;
}

Deno.test("configure() runs one batch inside the namespace", async () => {
  const named = "link set dev if2 name eth0";
  const mac = "link set dev eth0 address 0a:58:0a:58:00:02";
  const rows: [string, Partial<ContainerSpec>, string[]][] = [
    ["both families", {}, [
      SHOW,
      named,
      `${mac} up`,
      "addr add 10.88.0.2/24 dev eth0 brd +",
      "addr add fd00:88::2/64 dev eth0 nodad",
      "route add 0.0.0.0/0 via 10.88.0.1 dev eth0",
      "route add ::/0 via fd00:88::1 dev eth0 metric 512",
    ]],
    ["layer 2, down", { addresses: [], routes: [], up: false }, [named, mac]],
    ["an unknown index", { addresses: [], routes: [], ifindex: undefined }, [
      `${mac} up`,
    ]],
    ["guarded", {
      addresses: [],
      routes: [],
      neighbours: ["10.88.0.1", "fd00:88::1"].map((ip) => ({
        ip: parseIp(ip),
        mac: "0a:58:0a:58:00:01",
      })),
    }, [
      named,
      `${mac} up`,
      "neigh replace 10.88.0.1 lladdr 0a:58:0a:58:00:01 dev eth0 nud permanent",
      "neigh replace fd00:88::1 lladdr 0a:58:0a:58:00:01 dev eth0 nud permanent",
    ]],
    ["routes", {
      addresses: [],
      routes: routes(
        { dst: "10.9.0.0/16", mtu: 1400, advmss: 1300, priority: 9, table: 100, scope: 200 },
        { dst: "10.8.0.0/16", scope: 253 },
        { dst: "fd09::/16", scope: 200, gw: "::" },
        { dst: "::/0", priority: 7 },
        { dst: "fd08::/16", gw: "fd00:88::9" },
      ),
    }, [
      named,
      `${mac} up`,
      "route add 10.9.0.0/16 via 10.88.0.1 dev eth0 mtu 1400 advmss 1300 metric 9 table 100 scope 200",
      "route add 10.8.0.0/16 dev eth0 scope 253",
      "route add fd09::/16 dev eth0",
      "route add ::/0 via fd00:88::1 dev eth0 metric 7",
      "route add fd08::/16 via fd00:88::9 dev eth0",
    ]],
    ["before a route that the kernel creates with the address", {
      routes: routes(
        { dst: "10.88.0.0/24" },
        { dst: "fd00:88::/64", priority: 256 },
        { dst: "10.88.0.0/25" },
        { dst: "fe80::/64" },
        { dst: "10.9.0.0/16", table: 255 },
      ),
    }, [
      named,
      `${mac} up`,
      "addr add 10.88.0.2/24 dev eth0 brd +",
      "addr add fd00:88::2/64 dev eth0 nodad",
      "route prepend 10.88.0.0/24 via 10.88.0.1 dev eth0",
      "route prepend fd00:88::/64 via fd00:88::1 dev eth0 metric 256",
      "route add 10.88.0.0/25 via 10.88.0.1 dev eth0",
      "route prepend fe80::/64 via fd00:88::1 dev eth0",
      "route prepend 10.9.0.0/16 via 10.88.0.1 dev eth0 table 255",
    ]],
    ["a second next hop is appended; a route of another table or metric is added", {
      addresses: [],
      routes: routes(
        { dst: "10.9.0.0/16" },
        { dst: "10.9.0.0/16", gw: "10.88.0.9" },
        { dst: "10.9.0.0/16", table: 7 },
        { dst: "10.9.0.0/16", priority: 7 },
        { dst: "10.9.0.0/16", gw: "10.88.0.8", table: 254 },
        { dst: "::/0" },
        { dst: "::/0", gw: "fd00:88::9", priority: 512 },
      ),
    }, [
      SHOW,
      named,
      `${mac} up`,
      "route add 10.9.0.0/16 via 10.88.0.1 dev eth0",
      "route append 10.9.0.0/16 via 10.88.0.9 dev eth0",
      "route add 10.9.0.0/16 via 10.88.0.1 dev eth0 table 7",
      "route add 10.9.0.0/16 via 10.88.0.1 dev eth0 metric 7",
      "route append 10.9.0.0/16 via 10.88.0.8 dev eth0 table 254",
      "route add ::/0 via fd00:88::1 dev eth0 metric 512",
      "route append ::/0 via fd00:88::9 dev eth0 metric 512",
    ]],
  ];
  for (const [name, changes, lines] of rows) {
    const { calls, run } = recorder();
    await configure(run, { ...SPEC, ...changes });
    assertEquals(calls, [[CALL, ...lines].join("\n  ")], name);
  }
});

Deno.test("configure() reports the cause of a failure", async () => {
  const link = {
    ifindex: 2,
    ifname: "eth0",
    addr_info: [{ local: "10.88.0.2", prefixlen: 24 }, { local: "fd00:88::2", prefixlen: 64 }],
  };
  const route = { dst: "default", gateway: "10.1.0.1", dev: "net1", table: "254", type: "1" };
  const rows: [string, object[], object[], string, string][] = [
    ["gone", [], [], 'which is gone from "/run/netns/c1"', "no"],
    ["replaced by another interface", [{ ...link, ifindex: 3 }], [], "which is gone", "no"],
    [
      "a route",
      [link],
      [route],
      'a route to "0.0.0.0/0" for "eth0": one via 10.1.0.1 dev net1',
      "[]",
    ],
    ["its own route", [link], [{ ...route, dev: "eth0" }], "ip failed with exit status 2", "no"],
    [
      "a route of another table",
      [link],
      [{ ...route, table: "7" }],
      "ip failed with exit status 2",
      "no",
    ],
    [
      "no IPv6",
      [{ ...link, addr_info: link.addr_info.slice(0, 1) }],
      [],
      "exit status 2",
      "disable_ipv6=0",
    ],
  ];
  for (const [name, links, found, message, details] of rows) {
    const { run } = recorder((args) => {
      if (args.includes("batch")) return failure();
      return answer(args.includes("route") ? found : links);
    });
    const error = await assertRejects(() => configure(run, SPEC), CniError, message);
    assertEquals(error.code, 100, name);
    assertStringIncludes(error.details, details);
  }
  const { run } = recorder(() => failure("Cannot open network namespace"));
  const error = await assertRejects(() => configure(run, SPEC), CniError, "ip can't enter it");
  assertEquals(error.code, 8);
});
