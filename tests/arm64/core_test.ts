import { assert, assertEquals, assertMatch } from "@std/assert";
import { CONFIG, hostTest } from "../integration/host.ts";

/**
 * One call of each command, which is all that CI has time for in an emulator. ATOMICNI names the form, see
 * tests/arm64/run.
 */
hostTest("arm64: ADD, CHECK, list, STATUS, GC and DEL, with traffic", async (host) => {
  await host.containers("c1", "c2");
  const prevResult = await host.add();
  assertEquals(prevResult.ips[0].address, "10.86.0.2/24");
  await host.add({ id: "c2" });
  assert(await host.pings("c1", CONFIG.gateway));
  assert(await host.pings("c1", "10.86.0.3"));

  const check = await host.cni("CHECK", { config: { ...CONFIG, prevResult } });
  assertEquals([check.code, check.stdout], [0, ""], check.stderr);
  await host.sh("ip -n c1 addr flush dev eth0");
  assertEquals((await host.cni("CHECK", { config: { ...CONFIG, prevResult } })).json?.code, 106);

  const list = await host.program(["list"], "");
  assertMatch(list.stdout, /c2.*10\.86\.0\.3.*live/);
  assertEquals((await host.cni("STATUS")).code, 0);
  const kept = { "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }] };
  assertEquals((await host.cni("GC", { config: { ...CONFIG, ...kept } })).code, 0);
  assertEquals(await host.leases(), { "c2/eth0": "10.86.0.3" });
  for (let times = 0; times < 2; times++) await host.del({ id: "c2" });
  await host.assertNothingLeft();
});

hostTest("arm64: an ADD that is refused leaves nothing", async (host) => {
  await host.containers("c1");
  await host.sh("ip -n c1 link add name eth0 type veth peer name p0");
  assertEquals((await host.cni("ADD")).json?.code, 103);
  await host.assertNothingLeft();
  assertEquals((await host.cni("ADD", { config: { ...CONFIG, mtu: 1 } })).json?.code, 7);
  assertEquals(await host.hostVeths(), []);
});
