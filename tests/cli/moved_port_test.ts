import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json } from "../integration/host.ts";

const { cniVersion, name, type, bridge } = CONFIG;
const LAYER2 = { cniVersion, name, type, bridge, ipam: {} };

async function added(host: Host, config: Json): Promise<string> {
  await host.containers("c1");
  return (await host.add({ config })).interfaces[1].name;
}

async function findingOf(host: Host, config: Json, about: string): Promise<Json> {
  const { json, stdout } = await host.program(["doctor", "--json"], JSON.stringify(config));
  const found = json.findings.find((it: Json) => it.about === about && it.level === "warning");
  assert(found !== undefined, stdout);
  return found;
}

for (
  const [what, config] of [
    ["", CONFIG],
    [", guarded", { ...CONFIG, macspoofchk: true }],
    [", without addresses", LAYER2],
  ] as const
) {
  hostTest(
    `a port in another bridge: doctor's remedy puts it back as printed${what}`,
    async (host) => {
      const veth = await added(host, config);
      await host.sh(`ip link add br9 type bridge; ip link set dev ${veth} master br9`);
      assertEquals((await host.program(["list"], "")).code, 1);
      const { found, remedy } = await findingOf(host, config, "ports");
      assertStringIncludes(found, 'cut off, in "br9" instead of "atomic0"');
      const [command, then] = remedy.split("; then ");
      assertEquals(then, "atomicni repair < CONFIGURATION");
      const before = await host.program(["repair"], JSON.stringify(config));
      assertEquals(before.code, 1, before.stdout);
      assertStringIncludes(before.stdout, "Nothing that repair can fix.");
      await host.sh(command);
      const planned = await host.program(["repair", "--dry-run"], JSON.stringify(config));
      assertStringIncludes(planned.stdout, "nothing was restored: a dry run");
      const after = await host.program(["repair"], JSON.stringify(config));
      assertStringIncludes(after.stdout, "ports and guards are restored.");
      assertEquals([after.code, (await host.program(["list"], "")).code], [0, 0], after.stdout);
    },
  );
}

hostTest("repair puts back and locks the port of a network without addresses", async (host) => {
  const config = { ...LAYER2, macspoofchk: true };
  const veth = await added(host, config);
  const guard = `ip -d -o link show dev ${veth} | grep -Eo 'master atomic0|locked o[nf]+'
    ip -B neigh show dev ${veth} | grep -c NOARP || :`;
  const whole = await host.sh(guard);
  for (
    const harm of [
      `ip link set dev ${veth} nomaster`,
      `ip link set dev ${veth} nomaster; ip link set dev ${veth} master atomic0`,
      `ip link set dev ${veth} down`,
    ]
  ) {
    await host.sh(harm);
    const { code, stdout } = await host.program(["repair"], JSON.stringify(config));
    assertEquals(code, 0, stdout);
    assertStringIncludes(stdout, `"c1/eth0" (${veth}): put right`);
    assertEquals(await host.sh(guard), whole, harm);
    assertEquals((await host.program(["list"], "")).code, 0);
  }
});
