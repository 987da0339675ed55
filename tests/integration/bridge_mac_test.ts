/** Guarded containers know the MAC of the bridge, so a bridge with another MAC cuts them off until they know that one. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json } from "./host.ts";

const { cniVersion, type, bridge } = CONFIG;
const GUARDED = { ...CONFIG, macspoofchk: true };
const V6 = {
  ...{ cniVersion, type, bridge, name: "v6net", macspoofchk: true },
  ...{ subnet6: "fd09::/64", gateway6: "fd09::1" },
};
const MAC = "02:00:00:00:00:99";

async function doctor(host: Host, config: Json): Promise<string[]> {
  const { json } = await host.program(["doctor", "--json"], JSON.stringify(config));
  return json.findings.filter((it: Json) => it.about === "guard").map((it: Json) => it.found);
}

for (const [first, second] of [[GUARDED, V6], [V6, GUARDED]] as const) {
  hostTest(
    `two guarded networks on one bridge reach their gateways after ${second.name} made it again`,
    async (host) => {
      const ids = { [first.name]: "c1", [second.name]: "c2" };
      const gateways = { [GUARDED.name]: GUARDED.gateway, [V6.name]: V6.gateway6 };
      const reach = async () => {
        for (const { name } of [first, second]) {
          assert(await host.pings(ids[name] ?? "", gateways[name] ?? ""), name);
        }
      };
      await host.containers("c1", "c2", "c3", "c4");
      await host.add({ id: "c1", config: first });
      await host.add({ id: "c2", config: second });
      await reach();
      await host.sh("ip link del dev atomic0");
      await host.add({ id: "c3", config: second });
      assert(await host.pings("c2", gateways[second.name] ?? ""), "the network that made it");
      await host.add({ id: "c4", config: first });
      await reach();
      for (const config of [first, second]) assertEquals(await doctor(host, config), []);
    },
  );
}

hostTest(
  "a bridge with a changed MAC: doctor and a dry run name it, repair cures it",
  async (host) => {
    await host.containers("c1", "c2");
    for (const id of ["c1", "c2"]) await host.add({ id, config: GUARDED });
    await host.sh(`ip link set dev atomic0 address ${MAC}`);
    assert(!await host.pings("c1", GUARDED.gateway));
    const found = (await doctor(host, GUARDED)).join("\n");
    assertMatch(found, /^"c1\/eth0", "c2\/eth0" can't reach a gateway/m);
    const repair = async (...options: string[]) =>
      (await host.program(["repair", ...options], JSON.stringify(GUARDED))).stdout;
    assertMatch(await repair("--dry-run"), /"c1.*is to be restored[^]*nothing was restored/);
    assert(!await host.pings("c1", GUARDED.gateway), "a dry run changes something");
    assertMatch(await repair(), /"c1.*is restored[^]*"c2.*is restored/);
    assert(await host.pings("c1", GUARDED.gateway));
    assertEquals(await doctor(host, GUARDED), []);
  },
);
