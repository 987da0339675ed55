import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { type Answer, CONFIG, type Host, hostTest, type Json } from "./host.ts";
import { unnamedNamespace } from "./unnamed.ts";

const FOLDER = "/var/lib/cni/networks/podnet";
const PREPARE = `ip link add atomic0 address 02:00:00:00:00:01 type bridge
  ip addr add 10.86.0.1/24 dev atomic0; ip link set atomic0 up`;

type Entry = readonly [address: string, id: string, ifname?: string];

/** The output of `grep -H ''` over host-local's folder. Without an interface, it has the form of older versions. */
function listing(entries: readonly Entry[]): string {
  return entries.flatMap(([address, id, ifname]) =>
    [id, ...(ifname === undefined ? [] : [ifname])].map((line) => `${FOLDER}/${address}:${line}\n`)
  ).join("");
}

async function importLeases(host: Host, ...entries: Entry[]): Promise<Answer> {
  const stdin = `${JSON.stringify(CONFIG)}\n${listing(entries)}`;
  return await host.program(["import", "--json"], stdin);
}

/** A container as the reference leaves it: a veth with a random name on the bridge, the address on its peer. */
async function plugged(host: Host, id: string, address: string, veth: string): Promise<void> {
  await host.containers(id);
  await host.sh(`ip link add ${veth} master atomic0 up type veth peer name eth0 netns ${id}
    ip -n ${id} addr add ${address}/24 dev eth0; ip -n ${id} link set eth0 up`);
}

/** The same, in a namespace without a name below /run/netns, as Docker has them. Returns a process in it. */
async function hidden(host: Host, address: string, veth: string): Promise<string> {
  const pid = await unnamedNamespace(host);
  await host.sh(`ip link add ${veth} master atomic0 up type veth peer name eth0 netns ${pid}
    nsenter -t ${pid} -n ip addr add ${address}/24 dev eth0
    nsenter -t ${pid} -n ip link set eth0 up`);
  return pid;
}

/** As long as the veth exists, the container answers, and nobody else gets its address. */
async function assertHeldOrGone(host: Host, key: string, address: string, veth: string) {
  if (!(await host.links()).includes(veth)) return;
  assertEquals((await host.leases())[key], address, "the address is free, and its container lives");
  await host.containers("asks");
  const { code, stdout } = await host.cni("ADD", { id: "asks", args: `IP=${address}` });
  assertEquals(code, 1, `allocated a second time: ${stdout}`);
}

const DEL = (host: Host) => host.cni("DEL", { id: "c1", netns: "" });
const GC = (host: Host) =>
  host.cni("GC", { config: { ...CONFIG, "cni.dev/valid-attachments": [] } });

for (const [name, operate] of [["DEL", DEL], ["GC", GC]] as const) {
  hostTest(
    `${name} frees no imported address whose container can't be inspected and still answers`,
    async (host) => {
      await host.sh(PREPARE);
      const pid = await hidden(host, "10.86.0.2", "vethref");
      const { json, stdout } = await importLeases(host, ["10.86.0.2", "c1", "eth0"]);
      assertEquals(json.possible?.length, 1, stdout);
      await operate(host);
      await assertHeldOrGone(host, "c1/eth0", "10.86.0.2", "vethref");
      await host.sh(`kill ${pid}`);
    },
  );

  hostTest(
    `${name} frees no imported address of a live container whose host veth got another MAC`,
    async (host) => {
      await host.sh(PREPARE);
      await plugged(host, "c1", "10.86.0.2", "vethref");
      const { json, stdout } = await importLeases(host, ["10.86.0.2", "c1", "eth0"]);
      assertEquals(json.proved?.length, 1, stdout);
      await host.sh("ip link set dev vethref address 02:00:00:00:00:99");
      await operate(host);
      await assertHeldOrGone(host, "c1/eth0", "10.86.0.2", "vethref");
    },
  );
}

hostTest(
  "an ADD into a full pool reclaims no imported address on which a hidden container answers",
  async (host) => {
    await host.sh(PREPARE);
    const pid = await hidden(host, "10.86.0.2", "vethref");
    await importLeases(host, ["10.86.0.2", "c1", "eth0"]);
    await host.containers("c2", "c3");
    const config = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.3" } };
    await host.add({ id: "c2", config });
    const { json, stdout } = await host.cni("ADD", { id: "c3", config });
    assertEquals(json.code, 101, stdout);
    assertEquals((await host.leases())["c1/eth0"], "10.86.0.2");
    await host.sh(`kill ${pid}`);
  },
);

hostTest(
  "import matches the veth on the bridge, not an older one without a bridge",
  async (host) => {
    await host.sh(PREPARE);
    await plugged(host, "old", "10.86.0.2", "vethaaa");
    await host.sh("ip link set vethaaa nomaster");
    await plugged(host, "c1", "10.86.0.2", "vethnew");
    const { json, stdout } = await importLeases(host, ["10.86.0.2", "c1", "eth0"]);
    assertEquals(json.proved?.length, 1, stdout);
    const { json: listed } = await host.program(["list", "--json"], "");
    assertEquals(listed.attachments.map(({ veth }: Json) => veth), ["vethnew"]);
    await host.del({ id: "c1" });
    assert(!(await host.links()).includes("vethnew"));
  },
);

hostTest(
  "if two veths on the bridge match a lease, import reports both",
  async (host) => {
    await host.sh(PREPARE);
    await plugged(host, "c1", "10.86.0.2", "vethone");
    await plugged(host, "c2", "10.86.0.2", "vethtwo");
    const { code, json, stdout, stderr } = await importLeases(host, ["10.86.0.2", "c1", "eth0"]);
    assertNotEquals(code, 0, `one of the two was chosen: ${stdout}`);
    assertEquals(json.proved ?? [], []);
    for (const veth of ["vethone", "vethtwo"]) assertStringIncludes(stdout + stderr, veth);
    await host.containers("c3");
    const asked = await host.cni("ADD", { id: "c3", args: "IP=10.86.0.2" });
    assertEquals(asked.code, 1, "a third container gets the address");
    // The result says which of the two a CHECK means, and the namespace which one a DEL removes.
    const prevResult = {
      cniVersion: "1.1.0",
      interfaces: [{ name: "vethtwo" }, { name: "eth0", sandbox: "/run/netns/c2" }],
      ips: [{ interface: 1, address: "10.86.0.2/24" }],
    };
    const call = { id: "c1", netns: "c2", config: { ...CONFIG, prevResult } };
    const checked = await host.cni("CHECK", call);
    assertEquals(checked.code, 0, checked.stdout);
    await host.del(call);
    assertEquals((await host.links()).filter((it) => it.startsWith("veth")), ["vethone"]);
    assertEquals(await host.leases(), {});
  },
);

hostTest(
  "import refuses a folder with entries of both formats for one container",
  async (host) => {
    await host.sh(PREPARE);
    await plugged(host, "c1", "10.86.0.2", "vethref");
    await host.sh("ip -n c1 addr add 10.86.0.3/24 dev eth0");
    const { code, json, stdout } = await importLeases(
      host,
      ["10.86.0.2", "c1"],
      ["10.86.0.3", "c1", "eth0"],
    );
    await host.leases(); // compares the two maps
    assertNotEquals(code, 0, stdout);
    assertEquals(json.error?.code, 7, stdout);
    assertStringIncludes(json.error.msg, "c1");
    assertEquals(await host.state(), undefined, "something was written");
  },
);

hostTest("a second import takes over a container that has become visible", async (host) => {
  await host.sh(PREPARE);
  const pid = await hidden(host, "10.86.0.2", "vethref");
  await plugged(host, "c2", "10.86.0.3", "vethtwo");
  const entries: Entry[] = [["10.86.0.2", "c1", "eth0"], ["10.86.0.3", "c2", "eth0"]];
  const first = await importLeases(host, ...entries);
  assertEquals([first.json.proved?.length, first.json.possible?.length], [1, 1], first.stdout);
  const before = await host.leases();
  const again = await importLeases(host, ...entries);
  assertEquals(again.json.error, undefined, again.stdout);
  assertEquals(await host.leases(), before, "the second import changes nothing");
  await host.sh(`ip netns attach c1 ${pid}`);
  const { json, stdout } = await importLeases(host, ...entries);
  assertEquals(json.error, undefined, stdout);
  assertEquals([json.proved.length, json.possible.length], [2, 0], stdout);
  assertEquals(await host.leases(), before);
  await host.del({ id: "c1" });
  assert(!(await host.links()).includes("vethref"), "its veth is not known");
  assertEquals(await host.leases(), { "c2/eth0": "10.86.0.3" });
  await host.sh(`kill ${pid}`);
});
