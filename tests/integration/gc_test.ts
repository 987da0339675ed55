import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { breakIp } from "./broken_ip.ts";
import { CONFIG, type Host, hostTest, type Json, STATE_FOLDER } from "./host.ts";
import { holdLock, WAITING } from "./lock_holder.ts";
import { untilSh } from "../until.ts";

const OTHER = {
  ...CONFIG,
  name: "othernet",
  bridge: "other0",
  subnet: "10.99.0.0/24",
  gateway: "10.99.0.1",
};

async function gc(host: Host, keys: Json): Promise<void> {
  const { code, stdout } = await host.cni("GC", { config: { ...CONFIG, ...keys } });
  assertEquals([code, stdout], [0, ""]);
}

/** c1 and c2 of this network, c3 of another network, and an unowned veth on this network's bridge. */
async function crowd(host: Host): Promise<void> {
  await host.containers("c1", "c2", "c3");
  for (const id of ["c1", "c2"]) await host.add({ id });
  await host.add({ id: "c3", config: OTHER });
  // Its name has the form of this plugin's veths; its alias belongs to another network.
  await host.sh(`ip link add name av0123456789abc master atomic0 type veth peer name p0
    ip link set dev av0123456789abc alias "othernet/x/eth0"
    ip link add name vethunowned master atomic0 type veth peer name p1`);
}

async function left(host: Host): Promise<Json> {
  const links = await host.links();
  return {
    unowned: links.filter((it) => ["av0123456789abc", "vethunowned"].includes(it)).length,
    own: Object.keys(await host.leases()),
    other: Object.keys(await host.leases("othernet")),
    veths: (await host.hostVeths()).length - 1,
  };
}

const ALL = { unowned: 2, own: ["c1/eth0", "c2/eth0"], other: ["c3/eth0"], veths: 3 };
const KEPT = { ...ALL, own: ["c2/eth0"], veths: 2 };
const NONE = { ...ALL, own: [], veths: 1 };
const C2 = { containerID: "c2", ifname: "eth0" };

const ROWS: readonly [name: string, keys: Json, expected: Json][] = [
  ["a list keeps its entries", { "cni.dev/valid-attachments": [C2] }, KEPT],
  ["the older key is read too", { "cni.dev/attachments": [C2] }, KEPT],
  [
    "the newer key wins",
    { "cni.dev/valid-attachments": [C2], "cni.dev/attachments": [] },
    KEPT,
  ],
  [
    "another interface of a container is another attachment",
    { "cni.dev/valid-attachments": [{ containerID: "c1", ifname: "eth1" }, C2] },
    KEPT,
  ],
  ["null keeps nothing", { "cni.dev/valid-attachments": null }, NONE],
  ["an empty list keeps nothing", { "cni.dev/valid-attachments": [] }, NONE],
  ["without a list, GC removes nothing that lives", {}, ALL],
];

for (const [name, keys, expected] of ROWS) {
  hostTest(`GC: ${name}`, async (host) => {
    await crowd(host);
    await gc(host, keys);
    assertEquals(await left(host), expected);
  });
}

hostTest("GC without a list removes only provable garbage", async (host) => {
  await crowd(host);
  const veths = await host.ip("", "link", "show", "type", "veth");
  const named = (alias: string) => veths.find((it) => it.ifalias === alias).ifname;
  // A lease without a host veth, and a host veth without a lease. Its container has no such interface.
  await host.sh(`ip link del dev ${named("podnet/c1/eth0")}
    ip -n c2 link set dev eth0 down; ip -n c2 link set dev eth0 name moved`);
  const state = await host.state();
  delete state.containerToIP["c2/eth0"];
  delete state.ipToContainer["10.86.0.3"];
  delete state.leases["c2/eth0"];
  await host.run(["tee", `${STATE_FOLDER}/podnet.json`], JSON.stringify(state));
  await gc(host, {});
  assertEquals(await left(host), NONE);
});

hostTest(
  "GC without a list keeps a container that renamed its interface and uses it",
  async (host) => {
    await host.containers("c1", "c2");
    const { subnet: _, gateway: _gateway, ...rest } = CONFIG;
    const layer2 = { ...rest, name: "layer2", bridge: "br2", ipam: {} };
    await host.add({ id: "c1", config: layer2 });
    await host.add({ id: "c2" });
    for (const id of ["c1", "c2"]) {
      await host.sh(
        `ip -n ${id} link set dev eth0 down; ip -n ${id} link set dev eth0 name lan0 up`,
      );
    }
    await host.sh(`rm ${STATE_FOLDER}/podnet.json`);
    for (const config of [layer2, CONFIG]) await host.cni("GC", { config });
    assertEquals((await host.hostVeths()).length, 2);
  },
);

hostTest("GC continues after an error and reports it at the end", async (host) => {
  await crowd(host);
  const veths = await host.ip("", "link", "show", "type", "veth");
  const { ifindex } = veths.find((it) => it.ifalias === "podnet/c1/eth0");
  await breakIp(host, `case "$*" in "link del dev if${ifindex}") echo no >&2; exit 2 ;; esac`);
  const config = { ...CONFIG, "cni.dev/valid-attachments": [] };
  const { code, json } = await host.cni("GC", { config });
  assertEquals([code, json.code], [1, 100]);
  assertMatch(json.msg, /Cannot remove the host veth "av[0-9a-f]{13}"/);
  assertEquals(await left(host), { ...ALL, own: ["c1/eth0"], veths: 2 });
  await breakIp(host, "");
  await gc(host, { "cni.dev/valid-attachments": [] });
  assertEquals(await left(host), NONE);
});

hostTest("GC with a damaged state removes the veths and reports the state", async (host) => {
  await crowd(host);
  await host.sh(`: >${STATE_FOLDER}/podnet.json`);
  const config = { ...CONFIG, "cni.dev/valid-attachments": [] };
  const { code, json } = await host.cni("GC", { config });
  assertEquals([code, json.code], [1, 104]);
  assertStringIncludes(json.msg, "podnet.json");
  assertEquals((await host.hostVeths()).length - 1, 1);
});

hostTest(
  "GC removes the marks of killed ADDs: unlisted ones or, without a list, old ones",
  async (host) => {
    await host.containers("c1", "c2");
    const veths: string[] = [];
    for (const id of ["c1", "c2"]) veths.push((await host.add({ id })).interfaces[1].name);
    const [first, second] = veths.map((it) => `${STATE_FOLDER}/.podnet.${it}.add`);
    const other = `${STATE_FOLDER}/.podnet.av0123456789abc.add`;
    const foreign = `${STATE_FOLDER}/.othernet.av0123456789abc.add`;
    const marks = async () => {
      const found = await host.sh(`ls -d ${STATE_FOLDER}/.*.add 2>/dev/null || :`);
      return found.split("\n").filter(Boolean).sort();
    };
    await host.sh(`touch ${first} ${second} ${other} ${foreign}`);
    await gc(host, { "cni.dev/valid-attachments": [C2] });
    assertEquals(await marks(), [foreign, second].sort());
    // The ip of an ADD that was killed just now may still create the veth.
    await host.sh(`touch ${other}; touch -d '2 minutes ago' ${second}`);
    await gc(host, {});
    assertEquals(await marks(), [foreign, other].sort());
  },
);

/** A container ID so long that the alias (255 bytes) can't hold the whole attachment. */
const LONG = "c".repeat(250);
const STATE = `${STATE_FOLDER}/podnet.json`;

hostTest(
  "GC removes the veth of a killed ADD for a container with a very long ID",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "c2" });
    await host.sh(`cp -p ${STATE} /run/save`);
    const { interfaces } = await host.add({ id: LONG, netns: "c1" });
    const host1 = interfaces[1].name;
    const gc = (...ids: string[]) => {
      const list = ids.map((containerID) => ({ containerID, ifname: "eth0" }));
      return host.cni("GC", { config: { ...CONFIG, "cni.dev/valid-attachments": list } });
    };
    assertEquals((await gc("c2", LONG)).code, 0);
    assert((await host.hostVeths()).includes(host1), "a listed attachment's veth was removed");
    // As if the ADD had died before its lease.
    await host.sh(`cp -p /run/save ${STATE}`);
    assertEquals((await gc("c2")).code, 0);
    assert(!(await host.hostVeths()).includes(host1), "the veth is left");
    assertEquals(await host.leases(), { "c2/eth0": "10.86.0.2" });
    assert(await host.pings("c2", CONFIG.gateway));
  },
);

for (const command of ["DEL", "GC"]) {
  hostTest(`a signal ends a ${command} that waits for the lock, with a document`, async (host) => {
    await host.containers("c1");
    await host.add();
    const holder = await holdLock(host, 30);
    const config = { ...CONFIG, "cni.dev/valid-attachments": [] };
    const running = host.cni(command, { config });
    await host.sh(untilSh(`grep -q -- "${WAITING}" /proc/locks`));
    // "5: -> FLOCK  ADVISORY  WRITE PID DEVICE:INODE START END"
    await host.sh(`kill -TERM $(grep -- "${WAITING}" /proc/locks | awk '{ print $6 }')`);
    const { code, json } = await running;
    await host.sh(`kill ${holder}`);
    assertEquals([code, json?.code], [1, 11]);
    assertMatch(json.msg, /ended by SIGTERM/);
  });
}
