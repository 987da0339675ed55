import { assertEquals } from "@std/assert";
import { parseInterfaceName } from "../../../../lib/base/names.ts";
import { examineAdvertisements } from "../../../../lib/cli/doctor/host.ts";
import { parseLink, parseRoutes } from "../../../../lib/netops/links.ts";

type Config = Parameters<typeof examineAdvertisements>[0]["config"];

const config = { bridge: parseInterfaceName("atomic0") } as Config;
/** An interface with an address from a router advertisement, or with a configured one. */
const link = (ifname: string, isDynamic: boolean) =>
  parseLink({
    ifname,
    addr_info: [{ local: "2001:db8::5", prefixlen: 64, scope: "global", dynamic: isDynamic }],
  });
const route = (dev: string, protocol: string) =>
  parseRoutes({ dst: "default", gateway: "fe80::1", dev, protocol, pref: "medium" });

Deno.test("doctor: an advertisement counts only on the network's bridge, and only if it was one", () => {
  const uplink = link("eth0", true);
  const rows: [string, ReturnType<typeof link>[], ReturnType<typeof route>, string[]][] = [
    ["nothing", [], [], []],
    ["on the uplink", [uplink], route("eth0", "ra"), []],
    [
      "on the uplink, next to the bridge",
      [uplink, link("atomic0", false)],
      route("eth0", "ra"),
      [],
    ],
    ["an address", [uplink, link("atomic0", true)], [], ["2001:db8::5/64"]],
    ["a route", [uplink], [...route("eth0", "ra"), ...route("atomic0", "ra")], ["a route to ::/0"]],
    ["a route that somebody set", [uplink], route("atomic0", "static"), []],
  ];
  for (const [name, links, routes, expected] of rows) {
    const found = examineAdvertisements({ config, links, routes }).map((it) => it.found);
    assertEquals(
      found,
      expected.map((it) =>
        `the host took ${it} from "atomic0": a container sends router advertisements`
      ),
      name,
    );
  }
});
