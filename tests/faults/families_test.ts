import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { hostTest, type Json, STATE_FOLDER } from "../integration/host.ts";
import { DUAL, GUARDED, permanent, portGuard } from "./dual.ts";
import { recordFault } from "./fault.ts";

const FILE = `${STATE_FOLDER}/podnet.json`;

/** Gives the second address of c1 another spelling or value in both maps. */
const renamed = (address: string) => (state: Json) => {
  state.containerToIP["c1/eth0"][1] = address;
  state.ipToContainer[address] = "c1/eth0";
  delete state.ipToContainer["fd00:88::2"];
};

/** Damage to the entries of the second family only. */
const DAMAGES: Record<string, (state: Json) => void> = {
  "another has the address": (state) => state.ipToContainer["fd00:88::2"] = "c9/eth0",
  "nobody has the address": (state) => delete state.ipToContainer["fd00:88::2"],
  "the list lost the address": (state) => state.containerToIP["c1/eth0"] = "10.86.0.2",
  "the list is empty": (state) => state.containerToIP["c1/eth0"] = [],
  "the list has a list": (state) => state.containerToIP["c1/eth0"][1] = ["fd00:88::2"],
  "the list has a number": (state) => state.containerToIP["c1/eth0"][1] = 2,
  "the list has the address twice": (state) => state.containerToIP["c1/eth0"].push("fd00:88::2"),
  "two lists have the address": (state) => state.containerToIP["c2/eth0"][1] = "fd00:88::2",
  "the address is written out": renamed("fd00:88:0:0:0:0:0:2"),
  "the address is in capitals": renamed("FD00:88::2"),
  "the address is a mapped one, outside the subnet": renamed("::ffff:10.86.0.2"),
  "the address is outside the subnet": renamed("fd00:99::2"),
  "the last allocated address is invalid": (state) => state.lastReserved[1] = "none",
  "its range matches no subnet": (state) => state.ranges[1][0].subnet = "fd00:88::",
  "its range ends in words": (state) => state.ranges[1][0].rangeEnd = "the end",
};

hostTest("families: damage to the second family alone is refused, and repaired", async (host) => {
  await host.containers("c1", "c2", "c3");
  for (const id of ["c1", "c2"]) await host.add({ id, config: DUAL });
  const text = await host.sh(`cat ${FILE}`);
  const { containerToIP } = JSON.parse(text);
  for (const [name, damage] of Object.entries(DAMAGES)) {
    await host.sh(`rm -rf ${FILE}*`);
    const state: Json = JSON.parse(text);
    damage(state);
    await host.run(["tee", FILE], JSON.stringify(state));
    const refused = await host.cni("ADD", { id: "c3", config: DUAL });
    assertEquals([refused.code, refused.json?.code], [1, 104], `${name}: ${refused.stdout}`);
    const named = name.endsWith("outside the subnet") ? '"podnet"' : FILE;
    assertStringIncludes(refused.json.msg, named, name);
    assertEquals((await host.cni("STATUS", { config: DUAL })).json?.code, 50, name);
    assertEquals((await host.hostVeths()).length, 2, name);
    const isMoved = name.endsWith("outside the subnet");
    // A lease of another subnet can't be repaired while its container exists.
    if (isMoved) await host.sh(`: >${FILE}`);
    const repaired = await host.program(["repair", "--json"], JSON.stringify(DUAL));
    assertEquals(repaired.code, 0, `${name}: ${repaired.stdout}${repaired.stderr}`);
    assertEquals(await host.leases(), containerToIP, name);
    const { ips } = await host.add({ id: "c3", config: DUAL });
    const given = ips.map(({ address }: Json) => address);
    assertEquals(given, ["10.86.0.4/24", "fd00:88::4/64"], name);
    await host.del({ id: "c3", config: DUAL });
    for (const to of ["10.86.0.3", "fd00:88::3"]) assert(await host.pings("c1", to), name);
    for (const id of ["c1", "c2"]) assertEquals(await portGuard(host, id), GUARDED, name);
  }
  for (const id of ["c1", "c2"]) await host.del({ id, config: DUAL });
  await host.assertNothingLeft();
  assertEquals(await permanent(host, "", DUAL.bridge), []);
  recordFault({
    fault: "the second family's entries of the state file damaged, each in another way",
    tries: Object.keys(DAMAGES).length,
    outcome:
      "ADD: code 104 that names the file, no address allocated; `repair` restores both addresses",
  });
});

hostTest("families: a full set of the second family leaves the first as it was", async (host) => {
  await host.containers("c1", "c2");
  const ipam = { rangeStart6: "fd00:88::2", rangeEnd6: "fd00:88::2" };
  const config = { ...DUAL, ipam };
  await host.add({ id: "c1", config });
  const before = await host.sh(`cat ${FILE}`);
  const { code, json } = await host.cni("ADD", { id: "c2", config });
  assertEquals([code, json.code], [1, 101]);
  assertEquals(await host.sh(`cat ${FILE}`), before);
  assertEquals((await host.hostVeths()).length, 1);
  assertEquals(await permanent(host, "", DUAL.bridge), ["10.86.0.2", "fd00:88::2"]);
});

hostTest(
  "families: guarded neighbours of a stale lease go before another gets it",
  async (host) => {
    await host.containers("c1", "c2");
    const ipam = {
      ...{ rangeStart: "10.86.0.2", rangeEnd: "10.86.0.2" },
      ...{ rangeStart6: "fd00:88::2", rangeEnd6: "fd00:88::2" },
    };
    await host.add({ id: "c1", config: { ...DUAL, ipam } });
    await host.end("c1");
    assertEquals(await permanent(host, "", DUAL.bridge), ["10.86.0.2", "fd00:88::2"]);
    // The network is not guarded, so nothing would replace or remove these entries.
    await host.add({ id: "c2", config: { ...DUAL, macspoofchk: false, ipam } });
    assertEquals(await permanent(host, "", DUAL.bridge), []);
    assert(await host.pings("c2", DUAL.gateway));
    await host.del({ id: "c2", config: DUAL });
    await host.del({ id: "c1", config: DUAL });
    await host.assertNothingLeft();
  },
);
