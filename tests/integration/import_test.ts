import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { type Host, hostTest, type Json, STATE_FOLDER } from "./host.ts";
import { until } from "../until.ts";

const LEASES = "/var/lib/cni/networks/podnet";
const CONFIG = {
  cniVersion: "1.0.0",
  name: "podnet",
  type: "atomicni",
  bridge: "cni0",
  isGateway: true,
  ipam: { type: "host-local", subnet: "10.86.0.0/29", routes: [{ dst: "0.0.0.0/0" }] },
};
const REFERENCE = { ...CONFIG, type: "bridge" };

/** A host on which the reference has allocated addresses to these containers. */
async function node(host: Host, ...ids: string[]): Promise<Record<string, Json>> {
  await host.sh(`mount -t tmpfs tmpfs /var/lib && mkdir -p /var/lib/cni ${STATE_FOLDER}`);
  await host.sh(`chmod 700 ${STATE_FOLDER}`);
  await host.containers(...ids);
  const results: Record<string, Json> = {};
  for (const id of ids) results[id] = await reference(host, "ADD", id);
  return results;
}

async function reference(host: Host, command: string, id: string): Promise<Json> {
  const { code, stdout } = await host.run(["/usr/lib/cni/bridge"], JSON.stringify(REFERENCE), {
    PATH: "/usr/sbin:/usr/bin",
    CNI_COMMAND: command,
    CNI_CONTAINERID: id,
    CNI_NETNS: `/run/netns/${id}`,
    CNI_IFNAME: "eth0",
    CNI_PATH: "/usr/lib/cni",
  });
  assertEquals(code, 0, stdout);
  return JSON.parse(stdout || "null");
}

async function importAll(host: Host, config: Json = CONFIG): Promise<Json> {
  const listing = await host.sh(`grep -H '' ${LEASES}/* || true`);
  const list = { name: "podnet", cniVersion: "1.0.0", plugins: [config] };
  const { json } = await host.program(
    ["import", "--json"],
    `${JSON.stringify(list, null, 2)}\n${listing}`,
  );
  return json.error ?? [json.proved.length, json.possible.length, json.dead.length];
}

const leases = async (host: Host) => Object.entries(await host.leases()).sort();
const ping = async (host: Host) => assert(await host.pings("c1", "10.86.0.1"), "c1 is cut off");

hostTest("an imported lease is held, checked and freed with its veth", async (host) => {
  const { c1 } = await node(host, "c1", "c2");
  // Without an import, the first ADD would allocate an address that c1 has.
  await host.containers("c9");
  const early = await host.cni("ADD", { id: "c9", config: CONFIG });
  assertEquals(early.json.code, 104, early.stdout);
  assertStringIncludes(early.json.msg, `"${c1.interfaces[1].name}"`);
  assertStringIncludes(early.json.details, "atomicni import");
  assertEquals(await host.hostVeths(), []);

  assertEquals(await importAll(host), [2, 0, 0]);
  assertEquals(await leases(host), [["c1/eth0", "10.86.0.2"], ["c2/eth0", "10.86.0.3"]]);
  const note = (await host.state()).leases["c1/eth0"];
  assertEquals([note.hosts, note.hostMac, note.mac], [
    c1.interfaces[1].name,
    c1.interfaces[1].mac,
    c1.interfaces[2].mac,
  ]);
  // CHECK compares the settings that the reference left.
  const checked = await host.cni("CHECK", { config: { ...CONFIG, prevResult: c1 } });
  assertEquals(checked.code, 0, checked.stdout);
  const { json } = await host.program(["list", "--json"], "");
  assertEquals(
    json.attachments.map(({ address, veth, live }: Json) => [address, veth, live])[0],
    ["10.86.0.2", c1.interfaces[1].name, true],
  );
  await host.program(["repair"], JSON.stringify(CONFIG));
  // A second import changes nothing.
  assertEquals(await importAll(host), [2, 0, 0]);
  assertEquals((await host.state()).lastReserved, "10.86.0.3");

  await host.containers("c3");
  assertEquals((await host.add({ id: "c3", config: CONFIG })).ips[0].address, "10.86.0.4/29");
  await ping(host);
  await host.del({ id: "c1", config: CONFIG });
  const links = await host.links();
  assert(!links.includes(c1.interfaces[1].name), "the reference's veth is left");
  assertEquals((await leases(host)).map(([key]) => key), ["c2/eth0", "c3/eth0"]);
  assertEquals(await host.ip("c1", "addr", "show", "dev", "eth0"), []);
});

hostTest(
  "reclaiming leaves imported leases of live containers, and takes those of dead ones",
  async (host) => {
    await node(host, "c1", "c2");
    await importAll(host);
    const ids = ["c3", "c4", "c5"];
    await host.containers(...ids, "c6");
    for (const id of ids) await host.add({ id, config: CONFIG });
    const full = await host.cni("ADD", { id: "c6", config: CONFIG });
    assertEquals(full.json.code, 101, full.stdout);
    await ping(host);
    // The container dies, and no DEL comes.
    await host.sh("ip netns del c2");
    await until("its veth is gone", async () => (await host.links()).length <= 5);
    assertEquals((await host.add({ id: "c6", config: CONFIG })).ips[0].address, "10.86.0.3/29");
    await ping(host);
  },
);

hostTest("GC removes imported leases that are not listed, with their veths", async (host) => {
  const { c2 } = await node(host, "c1", "c2");
  await importAll(host);
  const config = { ...CONFIG, cniVersion: "1.1.0" };
  const { code, stdout } = await host.cni("GC", {
    config: { ...config, "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth0" }] },
  });
  assertEquals([code, stdout], [0, ""]);
  assertEquals(await leases(host), [["c1/eth0", "10.86.0.2"]]);
  assert(!(await host.links()).includes(c2.interfaces[1].name));
  await ping(host);
});

hostTest("the old format, a dead lease, and leases that can't be taken over", async (host) => {
  await node(host, "c1", "c2");
  await host.sh(`printf c1 >${LEASES}/10.86.0.2; printf 'dead\\r\\neth0' >${LEASES}/10.86.0.5`);
  assertEquals(await importAll(host), [2, 0, 1]);
  // The kernel knew the interface.
  assertEquals(await leases(host), [["c1/eth0", "10.86.0.2"], ["c2/eth0", "10.86.0.3"]]);

  const other = { ...CONFIG, ipam: { type: "host-local", subnet: "10.99.0.0/24" } };
  assertEquals((await importAll(host, other)).code, 7);
  await host.sh(`printf 'c9\\r\\neth0' >${LEASES}/10.86.0.2`);
  const { code, msg } = await importAll(host);
  assertEquals(code, 102);
  assertStringIncludes(msg, '"c1/eth0" holds it here');
  assertEquals(await leases(host), [["c1/eth0", "10.86.0.2"], ["c2/eth0", "10.86.0.3"]]);
});

hostTest(
  "an import without leases is an error: a path that matches nothing, an empty folder",
  async (host) => {
    await node(host, "c1");
    const text = JSON.stringify(CONFIG);
    for (const listing of ["", `${LEASES}/lock:\n`]) {
      const { code, json } = await host.program(["import", "--json"], `${text}\n${listing}`);
      assertEquals([code, json.error?.code], [2, 7], JSON.stringify(json));
      assertStringIncludes(json.error.msg, "stdin has none");
      assertStringIncludes(json.error.details, "ls /var/lib/cni/networks/podnet");
    }
    assertEquals(await leases(host), [], "nothing is written");
  },
);

hostTest(
  "an import that lacks a live container's lease leaves the network protected, and names the veth",
  async (host) => {
    const { c3 } = await node(host, "c1", "c2", "c3");
    await host.sh(`rm ${LEASES}/10.86.0.4`);
    const listing = await host.sh(`grep -H '' ${LEASES}/*`);
    const { code, json } = await host.program(
      ["import", "--json"],
      `${JSON.stringify(CONFIG)}\n${listing}`,
    );
    assertEquals([code, json.proved.length, json.unexplained], [1, 2, [c3.interfaces[1].name]]);
    await host.containers("c9");
    const { json: refused } = await host.cni("ADD", { id: "c9", config: CONFIG });
    assertEquals(refused.code, 104, "no lease holds c3's address");
    await host.sh(`printf 'c3\\r\\neth0' >${LEASES}/10.86.0.4`);
    assertEquals(await importAll(host), [3, 0, 0]);
    assertEquals((await host.add({ id: "c9", config: CONFIG })).ips[0].address, "10.86.0.5/29");
  },
);

hostTest(
  "an import into a network in use: a dead container holds up no lease, and an unexplained veth stops ADDs",
  async (host) => {
    await node(host);
    await host.containers("dead", "c1", "c2", "c9");
    await host.add({ id: "dead", config: CONFIG });
    await host.end("dead");
    const before = [await reference(host, "ADD", "c1"), await reference(host, "ADD", "c2")];
    assertEquals(before.map(({ ips }) => ips[0].address), ["10.86.0.2/29", "10.86.0.3/29"]);
    await host.sh(`mv ${LEASES}/10.86.0.3 /run/kept`);
    assertEquals(await importAll(host), [1, 0, 0]);
    assertEquals(await leases(host), [["c1/eth0", "10.86.0.2"]]);
    // The same if nothing is new.
    assertEquals(await importAll(host), [1, 0, 0]);
    assertEquals(
      (await host.cni("STATUS", { config: { ...CONFIG, cniVersion: "1.1.0" } })).json?.code,
      50,
    );
    assertEquals((await host.cni("ADD", { id: "c9", config: CONFIG })).json.code, 104);
    await host.sh(`mv /run/kept ${LEASES}/10.86.0.3`);
    assertEquals(await importAll(host), [2, 0, 0]);
    assertEquals((await host.add({ id: "c9", config: CONFIG })).ips[0].address, "10.86.0.4/29");
  },
);

hostTest("an ADD that creates the bridge again puts imported veths back into it", async (host) => {
  await node(host, "c1");
  await importAll(host);
  const [veth] = await host.ip("", "link", "show", "type", "veth");
  await host.sh("ip link del dev cni0");
  await host.containers("c2");
  await host.add({ id: "c2", config: CONFIG });
  assertEquals((await host.ip("", "link", "show", "dev", veth.ifname))[0].master, "cni0");
  await ping(host);
});
