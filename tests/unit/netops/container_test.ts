import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { parseInterfaceAddress } from "../../../lib/base/address.ts";
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
  mac: parseMac("0a:58:0a:56:00:02"),
  up: true,
  addresses: ["10.86.0.2/24", "fd00:88::2/64"].map((it) => parseInterfaceAddress(it)),
  routes: DUAL.routes,
  guarded: false,
  neighbours: [],
};
Deno.test("configure() reports the cause of a failure", async () => {
  const link = {
    ifindex: 2,
    ifname: "eth0",
    addr_info: [{ local: "10.86.0.2", prefixlen: 24 }, { local: "fd00:88::2", prefixlen: 64 }],
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
