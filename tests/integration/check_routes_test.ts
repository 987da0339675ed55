import { assertEquals } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json } from "./host.ts";
import { REFERENCE } from "./reference_config.ts";

/** Routes that the kernel or `ip` shows in another form than the configuration has. */
const ROUTES: readonly [name: string, route: Json][] = [
  ["table 0", { dst: "10.50.0.0/16", table: 0 }],
  ["table 253, which is called default", { dst: "10.50.0.0/16", table: 253 }],
  ["table 254, which is called main", { dst: "10.50.0.0/16", table: 254 }],
  ["table 100, which rt_tables gives a name", { dst: "10.50.0.0/16", table: 100 }],
  ["table 1000, which has no name", { dst: "10.50.0.0/16", table: 1000 }],
  ["a gateway of 0.0.0.0", { dst: "10.50.0.0/16", gw: "0.0.0.0" }],
  ["a scope that has a name", { dst: "10.50.0.0/16", scope: 253 }],
];

async function addThenCheck(host: Host, config: Json): Promise<void> {
  const added = await host.cni("ADD", { config });
  if (added.code !== 0) {
    // Refused by name before anything is created.
    assertEquals(added.json.code, 7, added.stdout);
    await host.assertNothingLeft();
    return;
  }
  const checked = await host.cni("CHECK", { config: { ...config, prevResult: added.json } });
  assertEquals([checked.code, checked.stdout], [0, ""], JSON.stringify(config.ipam.routes));
  await host.del({ config });
  await host.assertNothingLeft();
}

for (const [name, route] of ROUTES) {
  hostTest(`CHECK passes right after the ADD of a route with ${name}`, async (host) => {
    await host.containers("c1");
    // Debian 12 has the names in /etc.
    await host.sh(`for it in /usr/share/iproute2 /etc/iproute2; do
        [ -e /run/iproute2 ] || [ ! -e $it/rt_tables ] || cp -r $it /run/iproute2; done
      echo '100 mytable' >>/run/iproute2/rt_tables
      for it in /usr/share/iproute2 /etc/iproute2; do
        [ ! -d $it ] || mount --bind /run/iproute2 $it; done`);
    await addThenCheck(host, { ...CONFIG, ipam: { routes: [route] } });
    const ipam = { type: "host-local", subnet: "10.86.0.0/24", routes: [route] };
    await addThenCheck(host, { ...REFERENCE, ipam });
  });
}
