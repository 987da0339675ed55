/** Guarded containers know the MAC of the bridge, so a bridge with another MAC cuts them off until they know that one. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json } from "./host.ts";
import { until } from "../until.ts";

const { cniVersion, type, bridge } = CONFIG;
const GUARDED = { ...CONFIG, macspoofchk: true };
const V6 = {
  ...{ cniVersion, type, bridge, name: "v6net", macspoofchk: true },
  ...{ subnet6: "fd09::/64", gateway6: "fd09::1" },
};
const BOTH = { ...GUARDED, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
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

/** Guarded containers of both families. The first three make it impossible to correct their own neighbours. */
async function withHostileOnes(host: Host): Promise<string> {
  const ids = ["h1", "h2", "h3", "good"];
  await host.containers(...ids);
  for (const id of ids) await host.add({ id, config: BOTH });
  // An interface with an MTU below 1280 has no IPv6.
  await host.sh(`ip -n h1 link set dev eth0 mtu 1000
    for id in h2 h3; do ip -n $id link set dev eth0 down; ip -n $id link set dev eth0 name x; done`);
  return "good";
}

hostTest("repair corrects a container although a hostile one can't be corrected", async (host) => {
  const good = await withHostileOnes(host);
  await host.sh(`ip link set dev atomic0 address ${MAC}`);
  assert(!await host.pings(good, BOTH.gateway));
  const { code, stdout } = await host.program(["repair"], JSON.stringify(BOTH));
  assertMatch(stdout, /wrong: "h1\/eth0" .*can't be restored: .*\n +-> start that container again/);
  assertMatch(stdout, /note: "good\/eth0" .*is restored/);
  assertEquals(code, 1);
  for (const gateway of [BOTH.gateway, BOTH.gateway6]) assert(await host.pings(good, gateway));
});

hostTest("an ADD corrects a container although hostile ones can't be corrected", async (host) => {
  const good = await withHostileOnes(host);
  await host.sh(`ip link del dev atomic0; ip link add atomic0 address ${MAC} type bridge`);
  await host.containers("new");
  const { code, stderr } = await host.cni("ADD", { id: "new", config: BOTH });
  assertEquals(code, 0, stderr);
  assertMatch(stderr, /could not set the bridge's MAC for "av[0-9a-f]{13}": /);
  for (const gateway of [BOTH.gateway, BOTH.gateway6]) assert(await host.pings(good, gateway));
});

/** Another program makes the bridge again, with its address and without a fixed MAC. */
const MADE_AGAIN =
  `ip link del dev atomic0; ip link add atomic0 type bridge; ip addr add ${GUARDED.gateway}/24 dev atomic0; ip link set dev atomic0 up`;

/** Two guarded containers reach their gateway, and each of them still does after the other one is gone. */
async function reachAfterDel(host: Host): Promise<void> {
  // On a busy machine, the kernel may start a new interface's queue only after the ADD, and drops what comes before.
  const reach = (id: string) => until(`a ping of ${id}`, () => host.pings(id, GUARDED.gateway), 6);
  for (const id of ["c1", "c2"]) await reach(id);
  assertEquals(await doctor(host, GUARDED), []);
  for (const [gone, other] of [["c1", "c2"], ["c2", "c1"]] as const) {
    await host.cni("DEL", { id: gone, config: GUARDED });
    await reach(other);
    await host.add({ id: gone, config: GUARDED });
    for (const id of ["c1", "c2"]) await reach(id);
  }
}

hostTest("repair fixes the MAC of a bridge before its first port", async (host) => {
  await host.containers("c1", "c2");
  for (const id of ["c1", "c2"]) await host.add({ id, config: GUARDED });
  await host.sh(MADE_AGAIN);
  const { code, stdout } = await host.program(["repair"], JSON.stringify(GUARDED));
  assertEquals(code, 0, stdout);
  await reachAfterDel(host);
});

hostTest("an ADD that fixes the bridge's MAC tells the other containers", async (host) => {
  await host.containers("c1", "c2", "c3");
  for (const id of ["c1", "c2"]) await host.add({ id, config: GUARDED });
  await host.sh(`${MADE_AGAIN}
    for v in $(ip -o link show type veth | grep -o 'av[0-9a-f]*'); do ip link set dev $v master atomic0; done`);
  await host.add({ id: "c3", config: GUARDED });
  await reachAfterDel(host);
});
