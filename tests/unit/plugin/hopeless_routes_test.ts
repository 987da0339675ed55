import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { mustTakeRoutes } from "../../../lib/plugin/hopeless_routes.ts";
import { config, NET } from "../../podnet.ts";

const TWO = { ...NET, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
const of = (...routes: object[]) => config({ ...TWO, ipam: { routes } });
const THERE = { dst: "203.0.113.1/32", scope: 253 };

Deno.test("a route that the kernel refuses whatever address there is, is known before", () => {
  const rows: [object[], string][] = [
    [[{ dst: "10.1.0.0/16", gw: "203.0.113.1" }], "nothing leads to its gateway 203.0.113.1"],
    [[{ dst: "fd01::/16", gw: "fd99::1" }], "nothing leads to its gateway fd99::1"],
    // The route to the gateway has to come first.
    [[{ dst: "10.1.0.0/16", gw: "203.0.113.1" }, THERE], "nothing leads"],
    [[{ dst: "10.1.0.0/16", gw: "10.88.0.7", scope: 253 }], "one of scope 253 has no gateway"],
    [[{ dst: "10.1.0.0/16" }, { dst: "10.1.0.0/16" }], "it is there already"],
    [[{ dst: "10.1.0.0/16", table: 0 }, { dst: "10.1.0.0/16", table: 254 }], "it is there already"],
    [[{ dst: "::/0", priority: 512 }, { dst: "::/0" }], "it is there already"],
    [[{ dst: "fd01::/16", mtu: 1400 }, { dst: "fd01::/16" }], "it is there already"],
  ];
  for (const [routes, found] of rows) {
    assertEquals(assertThrows(() => mustTakeRoutes(of(...routes)), CniError, found).code, 100);
  }
});

Deno.test("a route that the kernel may take is not refused before", () => {
  const rows: object[][] = [
    [],
    [{ dst: "10.1.0.0/16" }, { dst: "fd01::/16" }],
    [THERE, { dst: "10.1.0.0/16", gw: "203.0.113.1" }],
    [{ dst: "fd01::/16", gw: "fe80::1" }],
    [{ dst: "fd01::/16", gw: "fd00:88::7", scope: 253 }],
    [{ dst: "10.1.0.0/16" }, { dst: "10.1.0.0/16", gw: "10.88.0.7" }],
    [{ dst: "10.1.0.0/16" }, { dst: "10.1.0.0/16", table: 100 }],
    [{ dst: "10.1.0.0/16" }, { dst: "10.1.0.0/16", priority: 9 }],
    [{ dst: "10.1.0.0/16" }, { dst: "10.1.0.0/16", mtu: 1400 }],
  ];
  for (const routes of rows) mustTakeRoutes(of(...routes));
});
