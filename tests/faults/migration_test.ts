import { assert, assertEquals } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json, STATE_FOLDER } from "../integration/host.ts";
import { DUAL } from "./dual.ts";
import { recordFault } from "./fault.ts";

const FILE = `${STATE_FOLDER}/podnet.json`;

/** The state in schema 2: one address for each owner, leases by address, one range as `pool`. */
function schema2({ containerToIP, ipToContainer, lastReserved, leases, ranges }: Json): string {
  const notes = Object.entries<Json>(leases).map(([owner, { hostMac, ...more }]) => [
    containerToIP[owner],
    { veth: hostMac, ...more },
  ]);
  return JSON.stringify({
    schema: 2,
    containerToIP,
    ipToContainer,
    lastReserved,
    leases: Object.fromEntries(notes),
    pool: ranges[0][0],
    seal: "whatever it was",
  });
}

async function putOlder(host: Host): Promise<Json> {
  const state = await host.state();
  await host.run(["tee", FILE], schema2(state));
  return state;
}

hostTest(
  "migration: a schema-2 file with live containers is read, and written as schema 3",
  async (host) => {
    await host.containers("c1", "c2", "c3");
    await host.add({ id: "c1", args: "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web" });
    const result = await host.add({
      id: "c2",
      config: { ...CONFIG, runtimeConfig: { mac: "02:00:00:00:00:07" } },
    });
    const before = await putOlder(host);
    // Commands that only read leave the file unchanged, so the older program can be installed again.
    const older = await host.sh(`cat ${FILE}`);
    const config = { ...CONFIG, prevResult: result };
    assertEquals((await host.cni("CHECK", { id: "c2", config })).code, 0);
    assertEquals((await host.cni("STATUS")).code, 0);
    assertEquals(await host.sh(`cat ${FILE}`), older);
    assertEquals((await host.add({ id: "c3" })).ips[0].address, "10.86.0.4/24");
    const after = await host.state();
    assertEquals(after.schema, 3);
    for (const owner of ["c1/eth0", "c2/eth0"]) {
      assertEquals(after.containerToIP[owner], before.containerToIP[owner]);
      const { bridge: _, ...note } = before.leases[owner];
      const { bridge: __, ...read } = after.leases[owner];
      assertEquals(read, note, "pod, MAC and host veth of an older lease");
    }
    // A repeated ADD of an older lease is refused, and its address is not allocated twice.
    const asked = await host.cni("ADD", {
      id: "c9",
      netns: "c3",
      ifname: "eth1",
      args: "IP=10.86.0.2",
    });
    assertEquals(asked.json.code, 102);
    for (const id of ["c1", "c2", "c3"]) await host.del({ id });
    await host.assertNothingLeft();
  },
);

hostTest("migration: the DEL of a schema-2 lease, and a second family besides it", async (host) => {
  await host.containers("c1", "c2", "c3");
  for (const id of ["c1", "c2"]) await host.add({ id });
  await putOlder(host);
  await host.del({ id: "c1" });
  assertEquals(await host.leases(), { "c2/eth0": "10.86.0.3" });
  await putOlder(host);
  const { ips } = await host.add({ id: "c3", config: DUAL });
  assertEquals(ips.length, 2);
  const leases = await host.leases();
  assertEquals(leases["c2/eth0"], "10.86.0.3", "an attachment with one address keeps it");
  assert(await host.pings("c3", "10.86.0.3"));
  for (const id of ["c2", "c3"]) await host.del({ id, config: DUAL });
  await host.assertNothingLeft();
});

hostTest("migration: back out after the containers are gone", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c1", config: DUAL });
  await host.del({ id: "c1", config: DUAL });
  // A network that returns to one family allocates its addresses as before.
  const { ips } = await host.add({ id: "c2" });
  assertEquals(ips.map(({ address }: Json) => address), ["10.86.0.3/24"]);
  const { containerToIP, lastReserved } = await host.state();
  assertEquals([containerToIP, lastReserved], [{ "c2/eth0": "10.86.0.3" }, "10.86.0.3"]);
  // With live containers of both families, the second family can't be removed: its addresses might be allocated twice.
  await host.add({ id: "c1", config: DUAL });
  const { json } = await host.cni("ADD", { id: "c9", netns: "c1", ifname: "eth1" });
  assertEquals(json.code, 104, "one family with leases of two");
  for (const id of ["c1", "c2"]) await host.del({ id, config: DUAL });
  await host.assertNothingLeft();
  recordFault({
    fault: "a schema-2 state with live containers, and the way back",
    tries: 3,
    outcome:
      "read as it is, written as schema 3 by the first change; no address is allocated twice",
  });
});
