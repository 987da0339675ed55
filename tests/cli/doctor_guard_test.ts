import { assertEquals, assertMatch } from "@std/assert";
import { GUARDED } from "../integration/guarded.ts";
import { type Host, hostTest, type Json } from "../integration/host.ts";

async function guardFindings(host: Host, config: object = GUARDED): Promise<string[]> {
  const { json } = await host.program(["doctor", "--json"], JSON.stringify(config));
  return json.findings.filter((it: Json) => it.about === "guard").map((it: Json) =>
    `${it.level}: ${it.found} -> ${it.remedy}`
  );
}

/** A shell script that damages the guarded port `$h`, and the finding of doctor. */
const DAMAGE: readonly (readonly [damage: string, found: RegExp])[] = [
  ["ip link set dev $h type bridge_slave locked off", /1 port is .*it is not locked/],
  [
    "ip -B neigh del any lladdr 0a:58:0a:56:00:02 dev $h",
    /0a:58:0a:56:00:02 has no static entry at this port/,
  ],
  ["ip link set dev $h group 0", /its link group is 0, not \d+/],
  ["ip link set dev $h type bridge_slave group_fwd_mask 0", /frames to reserved group addresses/],
  ["ip link set dev $h nomaster", /it is not in "atomic0"/],
  ["ip neigh del 10.86.0.2 dev atomic0", /has no permanent neighbour 10\.86\.0\.2/],
];

hostTest(
  "doctor: an incomplete guard is a warning, and repair is the remedy",
  async (host) => {
    await host.containers("c1");
    const [, { name: veth }] = (await host.add({ config: GUARDED })).interfaces;
    assertEquals(await guardFindings(host), []);
    for (const [damage, found] of DAMAGE) {
      await host.sh(`h=${veth}\n${damage}`);
      const [said = "none"] = await guardFindings(host);
      assertMatch(said, found, damage);
      assertMatch(
        said,
        new RegExp(`warning: .*${veth}.* -> atomicni repair < CONFIGURATION`),
        damage,
      );
      const repaired = await host.program(["repair"], JSON.stringify(GUARDED));
      assertEquals(repaired.code, 0, repaired.stdout);
      assertEquals(await guardFindings(host), [], `after repair of: ${damage}`);
    }
  },
);

hostTest("repair: a port that was added without the guard is reported", async (host) => {
  await host.containers("c1");
  await host.add({ config: { ...GUARDED, macspoofchk: false } });
  const { code, json } = await host.program(["repair", "--json"], JSON.stringify(GUARDED));
  assertEquals([code, json.findings.map((it: Json) => it.level)], [1, ["wrong"]]);
  assertMatch(json.findings[0].found, /"c1\/eth0".*it has no guard/);
});
