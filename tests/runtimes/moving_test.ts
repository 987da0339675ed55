import { assert, assertEquals, assertMatch } from "@std/assert";
import { commandsOf, follow, followCommands, ROOT } from "../firsthour/page.ts";
import { Containerd, PAGE } from "./containerd.ts";
import { Cri, type Pod } from "./cri.ts";
import { type Node, nodeTest } from "./node.ts";
import { ATOMICNI } from "./conflist.ts";

const GUIDE = "docs/moving.md";
const PORTMAP = { type: "portmap", capabilities: { portMappings: true } };

/** A typical network of the reference plugins. */
const reference = (name: string, bridge: string, subnet: string, ...more: unknown[]) =>
  JSON.stringify({
    cniVersion: "1.0.0",
    name,
    plugins: [
      {
        type: "bridge",
        bridge,
        ipMasq: true,
        isGateway: true,
        ipam: {
          type: "host-local",
          ranges: [[{ subnet }]],
          ...(name === "podnet" && { routes: [{ dst: "0.0.0.0/0" }] }),
        },
      },
      ...more,
    ],
  });

/** A host beyond the node, with a page and without a route to containers: only masqueraded packets get an answer. */
const OUTSIDE = `
ip link add name uplink type veth peer name far
ip netns add outside && ip link set dev far netns outside
ip addr add 192.0.2.1/24 dev uplink && ip link set dev uplink up
ip -n outside addr add 192.0.2.2/24 dev far && ip -n outside link set dev far up
mkdir -p /run/page && echo beyond >/run/page/index.html`;

/** A running pod: its sandbox and its container. */
interface Running {
  readonly id: string;
  readonly container: string;
  readonly address: string;
}

async function start(cri: Cri, pod: Pod): Promise<Running> {
  const id = await cri.runPod(pod);
  const container = await cri.runContainer(id, pod, "httpd", "-f", "-h", "/www");
  return { id, container, address: await cri.addressOf(id) };
}

/** The pod reaches the outside and its gateway of each network, and its port is published. */
async function assertConnected(node: Node, cri: Cri, pod: Running, port: number): Promise<void> {
  const fetch = (from: string) => cri.exec(pod.container, "wget", "-T", "2", "-qO-", from);
  assertEquals(await fetch("http://192.0.2.2/"), "beyond\n");
  assertEquals(await node.fetch(`http://${pod.address}/`), PAGE);
  const own = await cri.exec(pod.container, "ip", "-4", "addr", "show", "dev", "eth1");
  const second = /inet (10\.99\.0\.\d+)\//.exec(own)?.[1];
  assert(second !== undefined, own);
  assertEquals(await node.fetch(`http://${second}/`), PAGE, "on the second network");
  const outside = ["ip", "netns", "exec", "outside"];
  assertEquals(await node.fetch(`http://192.0.2.1:${port}/`, ...outside), PAGE, "published");
}

/** The page's commands for the time when all containers have ended. */
async function followRoot(node: Node): Promise<void> {
  const page = await Deno.readTextFile(`${ROOT}${GUIDE}`);
  const commands = /^```text\n([\s\S]*?)^```/m.exec(page)?.[1]?.replaceAll(/^# /gm, "");
  assert(commands !== undefined && commands.includes("nft delete table"));
  assertMatch(await node.sh("nft list tables"), /inet atomicni_podnet/);
  await node.sh(commands);
}

const rules = (node: Node) => node.sh("iptables-save -t nat");
/** The chains with which the reference masquerades a container. */
const chains = async (node: Node) => (await rules(node)).match(/^:CNI-[0-9a-f]{24} /gm) ?? [];
const hostLocal = async (node: Node) =>
  (await node.sh("ls /var/lib/cni/networks/podnet /var/lib/cni/networks/second")).split("\n")
    .filter((it) => /^10\./.test(it));

nodeTest(
  "docs/moving.md: live pods of bridge + host-local with ipMasq, portmap and two networks move here and back",
  async (node) => {
    await node.sh(OUTSIDE);
    const web = ["ip", "netns", "exec", "outside", "busybox", "httpd", "-f", "-h", "/run/page"];
    await node.daemon("outside", ...web);
    await node.write(
      "/etc/cni/net.d/10-podnet.conflist",
      reference("podnet", "cni0", "10.86.0.0/24", PORTMAP),
    );
    await node.write(
      "/etc/cni/net.d/20-second.conflist",
      reference("second", "cni1", "10.99.0.0/24"),
    );
    await Containerd.start(node, 2);
    using cri = await Cri.connect(node);
    const port = (host: number) => ({ ports: [{ host, container: 80 }] });
    const first = await start(cri, { name: "first", ...port(8081) });
    const second = await start(cri, { name: "second", ...port(8082) });
    await assertConnected(node, cri, first, 8081);
    assertEquals((await chains(node)).length, 4, "a chain for each attachment");

    await follow(node, GUIDE, "From bridge and host-local");
    assertEquals(await chains(node), []);
    await assertConnected(node, cri, first, 8081);
    await assertConnected(node, cri, second, 8082);
    const moved = Object.values(await node.leases("podnet")).sort();
    assertEquals(moved, [first.address, second.address].sort());
    await node.until("containerd has read the files", async () => {
      const id = await cri.runPod({ name: "probe" });
      await cri.removePod(id);
      return (await chains(node)).length === 0 || undefined;
    });
    await cri.removePod(second.id);
    assertEquals(Object.values(await node.leases("podnet")), [first.address]);
    const third = await start(cri, { name: "third", ...port(8083) });
    await assertConnected(node, cri, third, 8083);
    assertEquals(await chains(node), []);

    await follow(node, GUIDE, "Back to bridge and host-local");
    assertEquals((await hostLocal(node)).length, 4);
    await assertConnected(node, cri, first, 8081);
    await assertConnected(node, cri, third, 8083);
    await node.until("containerd has read the files", async () => {
      const id = await cri.runPod({ name: "probe2" });
      const has = (await chains(node)).length === 6;
      await cri.removePod(id);
      return has || undefined;
    });
    const fourth = await start(cri, { name: "fourth", ...port(8084) });
    await assertConnected(node, cri, fourth, 8084);
    assert(![first.address, third.address].includes(fourth.address));
    for (const { id } of await cri.pods()) await cri.removePod(id);
    assertEquals(await hostLocal(node), []);
    assertEquals((await node.ip("link", "show", "type", "veth")).map(({ ifname }) => ifname), [
      "uplink",
    ]);
    await followRoot(node);
    assertEquals(await node.sh("nft list tables | grep atomicni_podnet || :"), "");
    assertEquals((await rules(node)).match(/10\.(86|99)\.0\.|CNI-[0-9a-f]{24}|CNI-DN-/g), null);
  },
);

const STATE = "/var/lib/atomicni/podnet.json";
/** The state of the Go program after two ADDs, in its form: indented, without a newline at the end. */
const ORIGINAL = `{
  "containerToIP": {
    "c1": "10.86.0.2",
    "c2": "10.86.0.3"
  },
  "ipToContainer": {
    "10.86.0.2": "c1",
    "10.86.0.3": "c2"
  },
  "lastReserved": "10.86.0.3"
}`;

/** A host as that program leaves it, with c1 alive and c2 ended: the bridge has no fixed MAC, veths have no alias. */
async function original(node: Node): Promise<void> {
  await node.containers("c1");
  await node.write(
    "/etc/cni/net.d/10-atomicni.conflist",
    JSON.stringify({ cniVersion: "1.1.0", name: "podnet", plugins: [ATOMICNI] }),
  );
  await node.write(STATE, ORIGINAL);
  // The first 13 digits of: printf c1 | sha1sum
  await node.sh(`
touch /var/lib/atomicni/podnet.lock
chmod 755 /var/lib/atomicni; chmod 644 /var/lib/atomicni/*
mkdir -p /run/netns
ip link add name atomic0 type bridge
ip addr add 10.86.0.1/24 dev atomic0
ip link set dev atomic0 up
ip link add name av2f22765d04931 type veth peer name cv2f22765d04931
ip link set dev av2f22765d04931 master atomic0 up
ip link set dev cv2f22765d04931 netns c1
ip -n c1 link set dev cv2f22765d04931 name eth0
ip -n c1 addr add 10.86.0.2/24 dev eth0
ip -n c1 link set dev eth0 up
ip -n c1 route add default via 10.86.0.1`);
}

nodeTest(
  "docs/moving.md: a live container of the Go original moves here and back",
  async (node) => {
    await original(node);
    await node.sh("rm /opt/cni/bin/atomicni");
    const [over = "", ...back] = (await commandsOf(GUIDE, "From the Go original")).split(
      /^(?=jq )/m,
    );
    assertEquals(back.length, 1, "the section's last block rolls back");
    const printed = await followCommands(node, over);
    assertMatch(printed, /^ +host veth gone, or of a later ADD: 10\.86\.0\.3 c2$/m);
    assertMatch(printed, /^podnet +c1 +- +10\.86\.0\.2 +- +av2f22765d04931 +- +live$/m);
    const config = { cniVersion: "1.1.0", name: "podnet", ...ATOMICNI };
    await node.containers("c3");
    await node.add(config, "c3");
    assert(await node.pings("c1", "10.86.0.4"));

    await followCommands(node, back.join(""));
    // The file has the original's form again, with the live containers of both programs.
    assertEquals(JSON.parse(await node.read(STATE)), {
      containerToIP: { c1: "10.86.0.2", c3: "10.86.0.4" },
      ipToContainer: { "10.86.0.2": "c1", "10.86.0.4": "c3" },
      lastReserved: "10.86.0.4",
    });
    assert(await node.pings("c1", "10.86.0.4"));
  },
);
