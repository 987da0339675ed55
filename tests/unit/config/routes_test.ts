import { assertEquals } from "@std/assert";
import { config, NET, refused } from "../../podnet.ts";

const SIX = { ...NET, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };

Deno.test("a route goes through its family's gateway by default", () => {
  const rows: [object, object][] = [
    [{ dst: "10.9.0.0/16" }, { via: "10.86.0.1", gw: undefined }],
    [{ dst: "10.9.0.0/16", gw: "10.86.0.7" }, { via: "10.86.0.7", gw: "10.86.0.7" }],
    [{ DST: "10.9.0.0/16", GW: "10.86.0.7" }, { via: "10.86.0.7", gw: "10.86.0.7" }],
    [{ dst: "fd09::/16" }, { via: "fd00:88::1", gw: undefined }],
    [{ dst: "::/0", gw: "FD00:88::0:7" }, { via: "fd00:88::7", gw: "fd00:88::7" }],
    // On the link: by scope, or by a gateway that the kernel reads as none.
    [{ dst: "10.9.0.0/16", scope: 253 }, { via: undefined, gw: undefined, scope: 253 }],
    [{ dst: "10.9.0.0/16", scope: 254 }, { via: undefined, gw: undefined, scope: 254 }],
    [{ dst: "10.9.0.0/16", scope: 200 }, { via: "10.86.0.1", gw: undefined, scope: 200 }],
    [{ dst: "10.9.0.0/16", gw: "0.0.0.0" }, { via: undefined, gw: "0.0.0.0" }],
    [{ dst: "fd09::/16", gw: "::" }, { via: undefined, gw: "::" }],
    [{ dst: "10.9.0.0/16", mtu: 1400, advmss: 1300, priority: 9, table: 100 }, {
      via: "10.86.0.1",
      gw: undefined,
      mtu: 1400,
      advmss: 1300,
      priority: 9,
      table: 100,
    }],
    // 0 is the kernel's default, except for the table.
    [{ dst: "10.9.0.0/16", mtu: 0, advmss: 0, priority: 0, table: 0, scope: 0 }, {
      via: "10.86.0.1",
      gw: undefined,
      table: 0,
      scope: 0,
    }],
  ];
  const absent = {
    mtu: undefined,
    advmss: undefined,
    priority: undefined,
    table: undefined,
    scope: undefined,
  };
  for (const [route, expected] of rows) {
    const [{ dst: _, ...found } = {}] = config({ ...SIX, ipam: { routes: [route] } })
      .routes as object[] as { dst: unknown }[];
    const { gw, via } = expected as Record<string, string | undefined>;
    // Its gateway is that of the range from which the address will be allocated.
    const byLease = gw === undefined && via !== undefined;
    assertEquals<unknown>(found, { ...absent, byLease, ...expected }, JSON.stringify(route));
  }
});

Deno.test("an invalid route is refused by name", () => {
  const rows: [unknown, string][] = [
    [{}, "as a list"],
    [["10.0.0.0/8"], "ipam.routes[0]"],
    [[{}], '"ipam.routes[0].dst" is required'],
    [[{ dst: "10.0.0.0/8" }, { dst: "10.0.0.1/8" }], "ipam.routes[1].dst"],
    [[{ dst: "::/0" }], "the network has no IPv6 subnet"],
    [[{ dst: "10.0.0.0/8", gw: "x" }], "ipam.routes[0].gw"],
    [[{ dst: "10.0.0.0/8", gw: "fd00::1" }], "it is of IPv6"],
    [
      [{ dst: "192.0.2.0/24", scope: 253 }, { dst: "10.0.0.0/8", gw: "198.51.100.1" }],
      "ipam.routes[1].gw",
    ],
    [[{ dst: "10.0.0.0/8", mtu: 65536 }], "ipam.routes[0].mtu"],
    [[{ dst: "10.0.0.0/8", priority: -1 }], "ipam.routes[0].priority"],
    [[{ dst: "10.0.0.0/8", table: 2 ** 32 }], "ipam.routes[0].table"],
    [[{ dst: "10.0.0.0/8", scope: 255 }], "ipam.routes[0].scope"],
  ];
  for (const [routes, message] of rows) refused({ ...NET, ipam: { routes } }, 7, message);
  refused(
    {
      name: "n",
      ipam: { type: "host-local", subnet: "fd00::/64", routes: [{ dst: "0.0.0.0/0" }] },
    },
    7,
    "the network has no IPv4 subnet",
  );
});
