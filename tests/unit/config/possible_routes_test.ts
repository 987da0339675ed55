import { config, NET, refused } from "../../podnet.ts";

const TWO = { ...NET, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
const of = (...routes: object[]) => ({ ...TWO, ipam: { routes } });
const THERE = { dst: "203.0.113.1/32", scope: 253 };
const FAR = { dst: "10.1.0.0/16", gw: "203.0.113.1" };

Deno.test("a route that no kernel accepts is refused by its key", () => {
  const rows: [object[], string][] = [
    [[FAR], 'routes[0].gw "203.0.113.1" as a route: nothing leads to its gateway 203.0.113.1'],
    [[{ dst: "fd01::/16", gw: "fd99::1" }], "nothing leads to its gateway fd99::1"],
    [[{ dst: "fd01::/16", gw: "ff02::1" }], "nothing leads to its gateway ff02::1"],
    // The route to the gateway has to come first, on the link, and in a table that the kernel searches for it.
    [[FAR, THERE], "routes[0].gw"],
    [[{ ...THERE, table: 100 }, FAR], "routes[1].gw"],
    [[{ ...THERE, table: 100 }, { ...FAR, table: 101 }], "routes[1].gw"],
    [[{ ...THERE, scope: 200, gw: "0.0.0.0" }, FAR], "routes[1].gw"],
    [[{ dst: "203.0.113.1/32" }, FAR], "routes[1].gw"],
    [[{ dst: "10.1.0.0/16", gw: "10.86.0.255" }], "10.86.0.255 is the broadcast address"],
    [[{ dst: "10.1.0.0/16", gw: "10.86.0.7", scope: 253 }], "a route of scope 253 has none"],
    [[{ dst: "10.1.0.0/16", scope: 255 }], "routes[0].scope 255"],
    [[{ dst: "10.1.0.0/16" }, { dst: "10.1.0.0/16" }], 'routes[1].dst "10.1.0.0/16" as a further'],
    [[{ dst: "10.1.0.0/16", gw: "10.86.0.1" }, { dst: "10.1.0.0/16" }], "routes[1].dst"],
    [[{ dst: "10.1.0.0/16", table: 0 }, { dst: "10.1.0.0/16", table: 254 }], "routes[1].dst"],
    [[{ dst: "::/0", priority: 512 }, { dst: "::/0" }], "routes[1].dst"],
    [[{ dst: "fd01::/16", mtu: 1400 }, { dst: "fd01::/16" }], "routes[1].dst"],
    [[{ dst: "fd01::/16", priority: 1024 }, { dst: "fd01::/16" }], "routes[1].dst"],
    [[{ dst: "fd00:88::/64", gw: "::", priority: 256 }], "routes[0].priority 256"],
    [[{ dst: "fe80::/64", scope: 253, priority: 256 }], "the kernel makes the same route itself"],
    [[{ dst: "ff00::/8", scope: 253, priority: 256, table: 255 }], "routes[0].priority"],
  ];
  for (const [routes, found] of rows) refused(of(...routes), 7, found);
  const outside = { type: "host-local", subnet: "10.9.0.0/24", gateway: "10.8.0.1" };
  const route = { dst: "10.1.0.0/16" };
  refused({ ...NET, ipam: { ...outside, routes: [route] } }, 7, 'routes[0].dst "10.1.0.0/16"');
  // The lease's default route goes through the gateway of any of the ranges.
  const two = [[{ subnet: "10.8.0.0/24" }, { subnet: "10.9.0.0/24" }]];
  const again = [route, { ...route, gw: "10.9.0.1" }];
  const ipam = { type: "host-local", ranges: two, routes: again };
  refused({ ...NET, ipam }, 7, "an earlier one is the same");
});

Deno.test("a route that a kernel may accept is not refused", () => {
  const rows: object[][] = [
    [],
    [{ dst: "10.1.0.0/16" }, { dst: "fd01::/16" }],
    [THERE, FAR],
    [{ ...THERE, scope: undefined, gw: "0.0.0.0" }, FAR],
    [{ ...THERE, table: 100 }, { ...FAR, table: 100 }],
    [THERE, { ...FAR, table: 100 }],
    [{ dst: "fd99::1/128", gw: "::", scope: 0 }, { dst: "fd01::/16", gw: "fd99::1" }],
    [{ dst: "fd01::/16", gw: "fe80::1" }],
    [{ dst: "fd01::/16", gw: "fd00:88::" }],
    [{ dst: "fd01::/16", gw: "fd00:88::7", scope: 253 }],
    [{ dst: "10.1.0.0/16", gw: "10.86.0.0" }],
    [{ dst: "10.1.0.0/16" }, { dst: "10.1.0.0/16", gw: "10.86.0.7" }],
    [{ dst: "10.1.0.0/16" }, { dst: "10.1.0.0/16", table: 100 }],
    [{ dst: "10.1.0.0/16" }, { dst: "10.1.0.0/16", priority: 9 }],
    [{ dst: "10.1.0.0/16" }, { dst: "10.1.0.0/16", mtu: 1400 }],
    [{ dst: "10.86.0.0/24" }],
    [{ dst: "fd00:88::/64", gw: "::" }],
    [{ dst: "fd00:88::/64", gw: "::", priority: 256, table: 100 }],
    [{ dst: "fd00:88::/64", priority: 256 }],
    [{ dst: "ff00::/8", gw: "::", priority: 256 }],
  ];
  for (const routes of rows) config(of(...routes));
});
