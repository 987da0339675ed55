import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Containerd, IMAGE } from "../runtimes/containerd.ts";
import { ANOTHER_BUILD, nodeTest } from "../runtimes/node.ts";
import { assertWorks, configOf } from "./attachment.ts";
import { commandsOf, follow, install, ROOT } from "./page.ts";

const INSTALL = "docs/install.md";
/** The installed paths, from the page's table of how to remove each. */
const INSTALLED = [
  "/opt/cni/bin/atomicni",
  "/etc/cni/net.d/10-atomicni.conflist",
  "/etc/tmpfiles.d/atomicni.conf",
  "/etc/sysctl.d/90-atomicni.conf",
  "/etc/atomicni/podnet.nft",
  "/etc/systemd/system/atomicni-rules@.service",
  "/var/lib/atomicni",
];

nodeTest("docs/install.md: install, upgrade, remove, line by line", async (node) => {
  await install(node);
  await node.sh(`ls -d ${INSTALLED.join(" ")}`);
  assertStringIncludes(await node.sh("nft list tables"), "atomicni_podnet");
  await node.containers("c1", "c2");
  await assertWorks(node, "c1");
  // A different build runs before the upgrade. The section's last block returns to that build.
  await node.sh(`${ANOTHER_BUILD}; sh ${ROOT}tools/install /run/another /opt/cni/bin`);
  await follow(node, INSTALL, "Upgrade and roll back");
  await node.sh("cmp /run/another /opt/cni/bin/atomicni");
  await assertWorks(node, "c2");

  // The tests mount a folder that the page removes.
  await node.sh("umount /var/lib/atomicni");
  await follow(node, INSTALL, "Remove");
  const { stdout } = await node.run(["ls", "-d", ...INSTALLED]);
  assertEquals(stdout, "", "something stays");
  assertEquals(await node.sh("nft list tables; ls -A /opt/cni/bin | grep atomicni || :"), "");
  assertEquals((await node.ip("link", "show", "dev", "atomic0")).length, 0, "the bridge stays");
});

nodeTest("docs/containerd.md: the page's commands make and run the image", async (node) => {
  await install(node);
  await Containerd.start(node);
  await node.sh(`ctr image rm ${IMAGE}`);
  const commands = await commandsOf(
    "docs/containerd.md",
    "Single containers with `ctr`",
  );
  await node.sh(`mkdir /run/hour && cd /run/hour; ${commands}`);
  assert(IMAGE === "localhost/busybox:1");
  const page = await node.sh(`
ctr run --detach --cni ${IMAGE} web httpd -f -h /www
ctr run --rm --cni ${IMAGE} client wget -qO- http://10.86.0.2/
ctr run --rm --cni ${IMAGE} client ping -c 5 -W 1 10.86.0.1
ctr task kill --signal SIGKILL web`);
  assertStringIncludes(page, "a page from a container\n");
  // The kernel may set a new port to forwarding up to a second late on a busy machine.
  assertMatch(page, / [1-5] packets received/);
  await node.until(
    "web is off the network",
    async () => (await node.hostVeths()).length === 0 || undefined,
  );
  await node.containers("c1");
  await assertWorks(node, "c1");
});

nodeTest(
  "the commands of docs/monitoring.md and the first commands of docs/troubleshooting.md work",
  async (node) => {
    await install(node);
    const looked = await follow(node, "docs/monitoring.md", "States");
    assertStringIncludes(looked, "/etc/cni/net.d/10-atomicni.conflist\n");
    assertStringIncludes(looked, "An ADD would work");
    const first = await follow(node, "docs/troubleshooting.md", "");
    assertStringIncludes(first, "No attachments.");
    // The command of the unit is run directly, because the node has no systemd.
    const page = await Deno.readTextFile(`${ROOT}docs/monitoring.md`);
    const [, copy = ""] = /^# (cp deploy\/.*)$/m.exec(page) ?? [];
    await node.sh(`cd ${ROOT}; mkdir -p /var/lib/prometheus/node-exporter; ${copy}`);
    await node.containers("c1");
    await node.add(await configOf(node), "c1");
    await node.sh(
      "sed -n 's/^ExecStart=//p' /etc/systemd/system/atomicni-metrics.service | sh -e",
    );
    const metrics = await node.read("/var/lib/prometheus/node-exporter/atomicni.prom");
    assertStringIncludes(metrics, 'atomicni_attachments{network="podnet",state="live"} 1\n');
    await node.sh("test -f /etc/systemd/system/atomicni-metrics.timer");
  },
);
