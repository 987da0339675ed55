import { assert, assertEquals, assertMatch } from "@std/assert";
import { BANDWIDTH, BURST, FIREWALL, PORTMAP, RATE } from "./chained.ts";
import { BLOCK_BYTES, Containerd, PAGE } from "./containerd.ts";
import { type Node, nodeTest } from "./node.ts";
import { assertNothingLeft, configure } from "./conflist.ts";
import { latest } from "../until.ts";

const TUNING = { type: "tuning", sysctl: { "net.ipv4.conf.eth0.rp_filter": "2" } };

/** A machine next to the node, 192.0.2.2; its only route to the containers leads through the node. */
async function addOutside(node: Node): Promise<void> {
  await node.sh(`
ip netns add outside
ip link add name uplink type veth peer name eth0 netns outside
ip addr add 192.0.2.1/24 dev uplink
ip link set dev uplink up
ip -n outside addr add 192.0.2.2/24 dev eth0
ip -n outside link set dev eth0 up
ip -n outside route add default via 192.0.2.1`);
}

const OUTSIDE = ["ip", "netns", "exec", "outside"];

nodeTest(
  "ctr run --cni in a chain with portmap: a port is published and removed again",
  async (node) => {
    await addOutside(node);
    await configure(node);
    const containerd = await Containerd.start(node);
    await containerd.run("client", "sleep", "3600");
    await configure(node, PORTMAP);
    await containerd.run("web", "httpd", "-f", "-h", "/www");

    assertEquals(await node.fetch("http://192.0.2.1:8080/", ...OUTSIDE), PAGE, "from outside");
    assertEquals(await node.fetch("http://192.0.2.1:8080/"), PAGE, "from the host");
    assertEquals(await node.fetch("http://127.0.0.1:8080/"), PAGE, "from the host's loopback");
    const fromClient = await containerd.exec("client", "wget", "-qO-", "http://192.0.2.1:8080/");
    assertEquals(fromClient, PAGE, "from another container");
    assertMatch(await node.sh("iptables-save -t nat"), /to-destination 10\.86\.0\.3:80/);

    await containerd.remove("web");
    const { code } = await node.run([
      ...OUTSIDE,
      "busybox",
      "wget",
      "-T",
      "1",
      "-qO-",
      "http://192.0.2.1:8080/",
    ]);
    assert(code !== 0, "the port is still published");
    await configure(node);
    await containerd.remove("client");
    await assertNothingLeft(node);
  },
);

nodeTest(
  "ctr run --cni in a chain with firewall: forwarding is opened only for the container",
  async (node) => {
    await addOutside(node);
    await configure(node);
    const containerd = await Containerd.start(node);
    await node.sh("iptables -P FORWARD DROP");
    await node.daemon("outside", ...OUTSIDE, "busybox", "httpd", "-f", "-h", "/run/image");
    await node.sh(`echo 'a page from outside' >/run/image/index.html`);
    await containerd.run("without", "sleep", "3600");
    await configure(node, FIREWALL);
    await containerd.run("with", "sleep", "3600");

    const get = ["busybox", "wget", "-T", "2", "-qO-", "http://192.0.2.2/"];
    const page = await node.until(
      "the page from outside",
      async () => (await containerd.exec("with", ...get)) || undefined,
    );
    assertEquals(page, "a page from outside\n");
    const refused = await node.run(["ctr", "task", "exec", "--exec-id", "x", "without", ...get]);
    assert(refused.code !== 0, "forwarded without a rule");

    await containerd.remove("with");
    await configure(node);
    await containerd.remove("without");
    await node.sh("iptables -P FORWARD ACCEPT");
    await assertNothingLeft(node);
  },
);

nodeTest(
  "ctr run --cni in a chain with tuning and bandwidth: the limit holds both ways",
  async (node) => {
    await configure(node);
    const containerd = await Containerd.start(node);
    await containerd.run("free", "httpd", "-f", "-h", "/www");
    await configure(node, TUNING, BANDWIDTH);
    await containerd.run("limited", "httpd", "-f", "-h", "/www");
    const limited = `http://${await containerd.address("limited")}/block`;
    const free = `http://${await containerd.address("free")}/block`;

    // On a busy machine, ctr may lose the output of a short command.
    const filter = () => containerd.exec("limited", "sysctl", "-n", "net.ipv4.conf.eth0.rp_filter");
    assertEquals(await latest(filter, (text) => text !== "", 10), "2\n");
    const least = (BLOCK_BYTES * 8 - BURST) / RATE;
    const out = await seconds(node, () => node.sh(`busybox wget -qO /dev/null ${limited}`));
    const into = await seconds(
      node,
      () => containerd.exec("limited", "wget", "-qO", "/dev/null", free),
    );
    const without = await seconds(node, () => node.sh(`busybox wget -qO /dev/null ${free}`));
    for (const [way, took] of [["out", out], ["in", into]] as const) {
      // Headers add bytes, so a faster transfer is impossible; a slow machine takes longer.
      assert(took >= least * 0.95, `${way}: ${took} s, the limit allows ${least} s`);
      assert(took <= least * 4, `${way}: ${took} s, more than the limit causes (${least} s)`);
    }
    assert(without < least / 2, `${without} s without a limit`);

    await containerd.remove("limited");
    await configure(node);
    await containerd.remove("free");
    await assertNothingLeft(node);
  },
);

nodeTest("ctr run --cni in the usual chain, all four at once, five times", async (node) => {
  await addOutside(node);
  await configure(node, TUNING, BANDWIDTH, PORTMAP, FIREWALL);
  const containerd = await Containerd.start(node);
  for (let round = 1; round <= 5; round++) {
    await containerd.run(`web${round}`, "httpd", "-f", "-h", "/www");
    assertEquals(await node.fetch("http://192.0.2.1:8080/", ...OUTSIDE), PAGE, `round ${round}`);
    await containerd.remove(`web${round}`);
    await assertNothingLeft(node);
  }
});

async function seconds(node: Node, work: () => Promise<unknown>): Promise<number> {
  let took = 0;
  await node.until("a transfer", async () => {
    const start = performance.now();
    await work();
    took = (performance.now() - start) / 1000;
    return true;
  });
  return took;
}
