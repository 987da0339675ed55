import { assert, assertEquals, assertMatch } from "@std/assert";
import { Containerd, PAGE } from "./containerd.ts";
import { Cri, inParallel } from "./cri.ts";
import { DEPLOY, type Node, nodeTest } from "./node.ts";
import { assertNothingLeft, ATOMICNI, cachedResults, NETWORK, writeConflist } from "./conflist.ts";

const PODS = Array.from({ length: 50 }, (_, index) => `pod-${index + 1}`);
const AT_A_TIME = 10;

/** Every ready pod has its own address, its lease agrees, and there are no other leases. */
async function assertAllConnected(node: Node, cri: Cri): Promise<void> {
  const ready = (await cri.pods()).filter((pod) => pod.ready);
  assertEquals(ready.map(({ name }) => name).sort(), [...PODS].sort());
  const leases = await node.leases(NETWORK);
  const addresses = new Set<string>();
  for (const { id } of ready) {
    const address = await cri.addressOf(id);
    assertEquals(leases[`${id}/eth0`], address, `lease of ${id}`);
    addresses.add(address);
  }
  assertEquals(addresses.size, PODS.length, "an address was allocated twice");
}

nodeTest(
  "containerd through CRI: a pod, its page, its port, its name; nothing is left",
  async (node) => {
    await node.write(
      "/etc/cni/net.d/10-podnet.conflist",
      await Deno.readTextFile(`${DEPLOY}/10-atomicni-chain.conflist`),
    );
    await Containerd.start(node);
    using cri = await Cri.connect(node);
    const web = { name: "web", ports: [{ host: 8080, container: 80 }] };
    const client = { name: "client" };
    const webId = await cri.runPod(web);
    const clientId = await cri.runPod(client);
    await cri.runContainer(webId, web, "httpd", "-f", "-h", "/www");
    const container = await cri.runContainer(clientId, client, "sleep", "3600");

    const address = await cri.addressOf(webId);
    assertEquals([address, await cri.addressOf(clientId)], ["10.86.0.2", "10.86.0.3"]);
    assertEquals(await node.fetch(`http://${address}/`), PAGE, "from the host");
    assertEquals(await node.fetch("http://127.0.0.1:8080/"), PAGE, "through the published port");
    assertEquals(
      await cri.exec(container, "wget", "-qO-", `http://${address}/`),
      PAGE,
      "pod to pod",
    );

    const state = JSON.parse(await node.read(`/var/lib/atomicni/${NETWORK}.json`));
    assertEquals(state.leases[`${webId}/eth0`].pod, "shop/web");
    // Kubelet sees an address of each family.
    const both = await cri.addressesOf(webId);
    assertEquals(both, ["10.86.0.2", "fd00:10:86::2"]);
    assertEquals(state.containerToIP[`${webId}/eth0`], both);
    assertEquals(
      await cri.exec(container, "wget", "-qO-", `http://[${both[1]}]/`),
      PAGE,
      "pod to pod, IPv6",
    );
    assertMatch(
      await node.sh("/opt/cni/bin/atomicni list"),
      /shop\/web .* 10\.86\.0\.2, fd00:10:86::2 .* live/,
    );
    const aliases = (await node.hostVeths()).map(({ ifalias }) => ifalias).sort();
    assertEquals(aliases, [`shop/client podnet/${clientId}/eth0`, `shop/web podnet/${webId}/eth0`]);

    await cri.removePod(webId);
    assertEquals(Object.keys(await node.leases(NETWORK)), [`${clientId}/eth0`]);
    await cri.removePod(clientId);
    await assertNothingLeft(node);
  },
);

nodeTest(
  "containerd through CRI: 50 pods, 10 at a time, while containerd is killed and the node rebooted",
  async (node) => {
    // 61 addresses: 50 new pods and 50 old leases fit only if ADD reclaims stale leases.
    await writeConflist(node, { ...ATOMICNI, subnet: "10.86.0.0/26" });
    const containerd = await Containerd.start(node);
    let cri = await Cri.connect(node);
    try {
      let started = 0;
      let crashed: Promise<void> | undefined;
      await inParallel(PODS, AT_A_TIME, async (name) => {
        if (started++ === PODS.length / 2) crashed = containerd.crash();
        // Pods in progress when containerd is killed fail, as a kubelet sees it.
        await cri.runPod({ name }).catch(() => {});
      });
      assert(crashed !== undefined);
      await crashed;
      cri[Symbol.dispose]();
      await containerd.restart();
      cri = await Cri.connect(node);
      // Killed between an ADD and its own record of the sandbox, containerd does not know it and sends no DEL.
      const known = (await cri.pods()).map(({ id }) => id);
      const forgotten = (await cachedResults(node)).filter((path) =>
        !known.some((id) => path.includes(id))
      );
      await startMissing(cri, 1);
      await assertAllConnected(node, cri);

      await reboot(node, containerd);
      cri[Symbol.dispose]();
      cri = await Cri.connect(node);
      const before = await cri.pods();
      assertEquals(before.filter(({ ready }) => ready), [], "a pod has survived the reboot");
      await inParallel(
        PODS,
        AT_A_TIME,
        async (name) => void await cri.runPod({ name, attempt: 2 }),
      );
      await inParallel(before, AT_A_TIME, async ({ id }) => await cri.removePod(id));
      await assertAllConnected(node, cri);

      await inParallel(await cri.pods(), AT_A_TIME, async ({ id }) => await cri.removePod(id));
      await assertNothingLeft(node, forgotten);
    } finally {
      cri[Symbol.dispose]();
    }
  },
);

/** As a kubelet does: removes sandboxes that are not ready, and starts the pods that have none. */
async function startMissing(cri: Cri, attempt: number): Promise<void> {
  const pods = await cri.pods();
  await inParallel(
    pods.filter(({ ready }) => !ready),
    AT_A_TIME,
    async ({ id }) => await cri.removePod(id),
  );
  const running = new Set(pods.filter(({ ready }) => ready).map(({ name }) => name));
  const missing = PODS.filter((name) => !running.has(name));
  await inParallel(missing, AT_A_TIME, async (name) => void await cri.runPod({ name, attempt }));
}

/** As a power failure does: every process, network namespace and link is gone, /run is empty, and disks stay. */
async function reboot(node: Node, containerd: Containerd): Promise<void> {
  await containerd.crash();
  await node.sh(`
for process in /proc/[0-9]*; do
  case $(readlink $process/exe) in */containerd-shim* | */busybox) kill -9 \${process#/proc/} ;; esac
done
for name in $(ls /run/netns); do umount /run/netns/$name 2>/dev/null || :; rm /run/netns/$name; done
for mounted in $(sed -n 's|^[^ ]* \\(/run/containerd/[^ ]*\\) .*|\\1|p' /proc/mounts | sort -r); do umount -l $mounted; done
rm -r /run/containerd
ip link del dev atomic0`);
  await node.until(
    "the veths are gone",
    async () => (await node.hostVeths()).length === 0 || undefined,
  );
  await containerd.restart();
}
