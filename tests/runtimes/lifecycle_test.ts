import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import type { Json } from "../integration/host.ts";
import { Containerd, PAGE } from "./containerd.ts";
import { Cri, inParallel } from "./cri.ts";
import { ANOTHER_BUILD, type Node, nodeTest } from "./node.ts";
import { assertNothingLeft, ATOMICNI, configure, NETWORK } from "./conflist.ts";
import { SIZE } from "../size.ts";

const CONFIG = { cniVersion: "1.1.0", name: NETWORK, ...ATOMICNI };
const STATE = `/var/lib/atomicni/${NETWORK}.json`;
const PLUGIN = "/opt/cni/bin/atomicni";
const CHECKOUT = fromFileUrl(new URL("../../", import.meta.url));
const CONTAINERS = SIZE === "full" ? 100 : 40;
const AT_A_TIME = 5;

nodeTest(
  "the binary is replaced by rename again and again under many ADDs and DELs",
  async (node) => {
    const ids = Array.from({ length: CONTAINERS }, (_, index) => `c${index}`);
    await node.containers(...ids);
    await node.sh(
      `${ANOTHER_BUILD}; rm ${PLUGIN}; sh ${CHECKOUT}tools/install /run/one /opt/cni/bin`,
    );
    const pid = await node.daemon(
      "swapper",
      "sh",
      "-c",
      `while :; do for build in another one; do sh ${CHECKOUT}tools/install /run/$build /opt/cni/bin && echo swapped; done; done`,
    );
    const given = new Set<string>();
    await inParallel(ids, AT_A_TIME, async (id) => {
      const { ips: [{ address }] } = await node.add(CONFIG, id);
      assert(!given.has(address), `${address} was allocated twice`);
      given.add(address);
      if (given.size % 2 === 0) await node.del(CONFIG, id);
    });
    assertEquals(Object.keys(await node.leases(NETWORK)).length, CONTAINERS / 2);
    await inParallel(ids, AT_A_TIME, async (id) => await node.del(CONFIG, id));
    await node.sh(`kill ${pid}`);
    const swaps = (await node.read("/run/log/swapper.log")).trim().split("\n")
      .filter((line) => !line.includes("is in a cache"));
    assertEquals(new Set(swaps), new Set(["swapped"]));
    assert(swaps.length >= 10, `only ${swaps.length} swaps`);
    await assertNothingLeft(node);
  },
);

nodeTest(
  "tools/install keeps the previous build, removes older ones, and replaces a plain file",
  async (node) => {
    await node.sh(
      `${ANOTHER_BUILD}; cp /run/another /run/third; printf y | dd of=/run/third bs=1 seek=14 conv=notrunc status=none`,
    );
    const builds = async () =>
      (await node.sh("ls -A /opt/cni/bin | grep '^.atomicni-' || :")).split("\n").length - 1;
    for (
      const [build, left] of [["one", 1], ["another", 2], ["third", 2], ["third", 2], [
        "one",
        2,
      ]] as const
    ) {
      await node.sh(
        `sh ${CHECKOUT}tools/install /run/${build} /opt/cni/bin && cmp ${PLUGIN} /run/${build}`,
      );
      assertEquals(await builds(), left, build);
    }
    assertEquals(await node.sh(`stat -L -c '%a %U' ${PLUGIN}`), "755 root\n");
  },
);

nodeTest("make install, upgrade, roll back and uninstall with live containers", async (node) => {
  // -o: make installs the file that was built before the test.
  const make = (target: string) =>
    node.sh(`make -s -C ${CHECKOUT} -o bin/atomicni ${target} PREFIX=/opt/cni`);
  await node.sh(`rm ${PLUGIN}`);
  await configure(node);
  await make("install");
  assertEquals(
    await node.sh("stat -L -c '%a %U' /opt/cni/bin/atomicni /var/lib/atomicni"),
    "755 root\n700 root\n",
  );
  const containerd = await Containerd.start(node);
  await containerd.run("web", "httpd", "-f", "-h", "/www");
  const page = `http://${await containerd.address("web")}/`;
  assertEquals(await node.fetch(page), PAGE);

  await node.sh(`cp -p ${PLUGIN} /run/before && stat -c %i ${PLUGIN} >/run/inode`);
  await make("install");
  await node.sh(
    `[ "$(stat -c %i ${PLUGIN})" != "$(cat /run/inode)" ] && [ -z "$(ls -A /opt/cni/bin | grep new)" ]`,
  );
  await containerd.run("second", "sleep", "3600");
  assertEquals(await node.fetch(page), PAGE, "after the upgrade");

  await node.sh(`sh ${CHECKOUT}tools/install /run/before /opt/cni/bin`);
  await containerd.remove("second");
  assertEquals(await node.fetch(page), PAGE, "after the roll-back");

  await make("uninstall");
  assertEquals(await node.fetch(page), PAGE, "after the removal");
  const { code, stderr } = await node.run([
    "sh",
    "-c",
    "ctr run -d --cni localhost/busybox:1 third",
  ]);
  assertEquals(code, 1);
  assertStringIncludes(stderr, 'failed to find plugin "atomicni"');
  await node.run(["sh", "-c", "ctr task rm --force third; ctr container rm third"]);
  assertEquals(await node.leases(NETWORK), { "default-web/eth0": "10.86.0.2" }, "the state stays");

  await make("install");
  await containerd.remove("web");
  await assertNothingLeft(node);
});

nodeTest(
  "a configuration removed under live pods keeps containerd from stopping them until it is back",
  async (node) => {
    await configure(node);
    await Containerd.start(node);
    using cri = await Cri.connect(node);
    const id = await cri.runPod({ name: "web" });
    await node.sh("rm /etc/cni/net.d/10-podnet.conflist");
    await node.until("containerd sees it", async () => {
      const { status } = await cri.call("Status", {});
      return status.conditions.some((it: Json) => it.type === "NetworkReady" && !it.status) ||
        undefined;
    });
    const refused = await cri.removePod(id).then(() => "", String);
    assertStringIncludes(refused, "cni plugin not initialized");
    assertEquals(await node.leases(NETWORK), { [`${id}/eth0`]: "10.86.0.2" });
    await configure(node);
    await cri.ready(node);
    await cri.removePod(id);
    await assertNothingLeft(node);
  },
);

/** A container as the Go original leaves it: one key, no schema, a veth named after the container's ID alone. */
async function addAsTheOriginal(node: Node): Promise<void> {
  await node.containers("old");
  // av and the first 13 digits of: printf old | sha1sum
  const veth = `av${(await node.sh("printf old | sha1sum")).slice(0, 13)}`;
  await node.sh(`
ip link add name atomic0 address 0a:58:0a:56:00:01 type bridge
ip addr add 10.86.0.1/24 dev atomic0
ip link set dev atomic0 up
ip link add name ${veth} master atomic0 up type veth peer name eth0 netns old
ip -n old addr add 10.86.0.2/24 dev eth0
ip -n old link set dev eth0 up`);
  await node.write(
    STATE,
    JSON.stringify({
      containerToIP: { old: "10.86.0.2" },
      ipToContainer: { "10.86.0.2": "old" },
      lastReserved: "10.86.0.2",
    }),
  );
}

nodeTest(
  "a state file of the previous schema is read, and its live container is served",
  async (node) => {
    await addAsTheOriginal(node);
    await node.containers("new");
    const narrow = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.3" } };
    const { ips: [{ address }] } = await node.add(narrow, "new");
    assertEquals(address, "10.86.0.3/24");
    assert(await node.pings("new", "10.86.0.2"), "the old container");
    const state = JSON.parse(await node.read(STATE));
    assertEquals(state.schema, 3);
    assertEquals(state.containerToIP, { old: "10.86.0.2", "new/eth0": "10.86.0.3" });
    await node.containers("third");
    const full = await node.cni("ADD", narrow, "third");
    assertEquals(
      JSON.parse(full.stdout).code,
      101,
      "the old container's address was allocated again",
    );

    await node.del(narrow, "old");
    assertEquals(await node.leases(NETWORK), { "new/eth0": "10.86.0.3" });
    assertEquals(await node.ip("-n", "old", "link", "show", "dev", "eth0"), []);
    await node.del(narrow, "new");
    await assertNothingLeft(node);
  },
);

nodeTest(
  "a state file of a newer schema is refused by name, and left unchanged",
  async (node) => {
    await node.containers("c1", "c2");
    await node.add(CONFIG, "c1");
    const ours = JSON.parse(await node.read(STATE));
    const newer = JSON.stringify({ ...ours, schema: 4, something: { new: true } });
    await node.write(STATE, newer);
    for (
      const [command, id, code] of [["ADD", "c2", 104], ["STATUS", "", 50], [
        "GC",
        "",
        104,
      ]] as const
    ) {
      const answer = await node.cni(command, CONFIG, id);
      const error = JSON.parse(answer.stdout);
      assertEquals([answer.code, error.code], [1, code], command);
      assertStringIncludes(
        error.msg,
        `Cannot read "${STATE}" as a state file of schema 3: it has schema 4`,
      );
      assertStringIncludes(error.details, "a newer atomicni wrote it");
      assertEquals(await node.read(STATE), newer, command);
    }
    // Nothing of c2 exists, so its DEL succeeds.
    const gone = await node.cni("DEL", CONFIG, "c2");
    assertEquals([gone.code, gone.stdout], [0, ""]);
    assertStringIncludes(gone.stderr, "the lease is left to the newer version");
    assertEquals(await node.read(STATE), newer, "DEL");
    assertEquals((await node.hostVeths()).length, 1, "only the live container's veth");
    assert(await node.pings("c1", "10.86.0.1"), "the live container");

    await node.write(STATE, JSON.stringify(ours));
    await node.add(CONFIG, "c2");
    await node.del(CONFIG, "c1");
    await node.del(CONFIG, "c2");
    await assertNothingLeft(node);
  },
);
