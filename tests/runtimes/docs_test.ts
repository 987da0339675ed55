import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { type Json, run } from "../integration/host.ts";
import { Containerd } from "./containerd.ts";
import { Cri } from "./cri.ts";
import { DEPLOY, type Node, nodeTest } from "./node.ts";

const YAML = "npm:yaml@2.9.1";
const DOCS = fromFileUrl(new URL("../../docs/", import.meta.url));

/** The text of the first fenced block of a page that contains `mark`. */
async function block(mark: string, page = "clusters.md"): Promise<string> {
  const blocks = (await Deno.readTextFile(`${DOCS}${page}`)).split(/^ *```.*\n/m);
  const found = blocks.find((text, index) => index % 2 === 1 && text.includes(mark));
  assert(found !== undefined, `docs/${page} has no block with ${mark}`);
  return found;
}

Deno.test("docs/clusters.md: the FRR file is the one in deploy/", async () => {
  assertEquals(await block("router ospf"), await Deno.readTextFile(`${DEPLOY}/frr.conf`));
});

Deno.test("README and docs: each test that a table names exists", async () => {
  const folder = fromFileUrl(new URL("../../", import.meta.url));
  let named = 0;
  for (const file of ["README.md", "docs/tested-with.md"]) {
    const text = await Deno.readTextFile(`${folder}${file}`);
    for (
      const [, test, name = ""] of text.matchAll(/\[\w+_test\.ts\]\(\.\.\/(\S*)\): (.+?) *\|/g)
    ) {
      const source = await Deno.readTextFile(`${folder}${test}`);
      assert(source.includes(name), `${file} names a test that ${test} lacks: ${name}`);
      named++;
    }
  }
  assert(named > 20, `${named} tests are named`);
});

/**
 * The delegate's configuration that flannel's CNI plugin makes from its own and from
 * /run/flannel/subnet.env of flanneld.
 */
function delegateOf(conflist: Json, env: { subnet: string; network: string; mtu: number }): Json {
  const { delegate } = conflist.plugins.find(({ type }: Json) => type === "flannel");
  return {
    ipMasq: true, // if flanneld has no --ip-masq and the delegate does not set it
    mtu: env.mtu,
    ...delegate,
    name: conflist.name,
    cniVersion: conflist.cniVersion,
    ipam: {
      type: "host-local",
      ranges: [[{ subnet: env.subnet }]],
      routes: [{ dst: env.network }],
    },
  };
}

/** VXLAN between two nodes, as flanneld configures it: a route, a neighbour and a forwarding entry for each peer. */
async function flanneld(node: Node, own: number, peer: number): Promise<void> {
  await node.sh(`
ip link add flannel.1 address 02:00:00:00:00:0${own} mtu 1450 type vxlan id 1 dev eth0 local 192.0.2.${own} dstport 8472 nolearning
ip addr add 10.244.${own}.0/32 dev flannel.1
ip link set dev flannel.1 up
ip route add 10.244.${peer}.0/24 via 10.244.${peer}.0 dev flannel.1 onlink
ip neigh add 10.244.${peer}.0 lladdr 02:00:00:00:00:0${peer} dev flannel.1 nud permanent
bridge fdb add 02:00:00:00:00:0${peer} dev flannel.1 dst 192.0.2.${peer}`);
}

nodeTest(
  "docs/clusters.md: with flannel's ConfigMap the plugin is its delegate, over VXLAN",
  async (a, b) => {
    const { parse } = await import(YAML);
    const { data } = parse(await block("kube-flannel-cfg"));
    const conflist = JSON.parse(data["cni-conf.json"]);
    const network = JSON.parse(data["net-conf.json"]).Network;
    const link = `ip link add name eth0 type veth peer name eth0 netns ${b.pid}`;
    await run(["nsenter", "-t", String(a.pid), "-n", ...link.split(" ")]);
    for (const [node, own, peer] of [[a, 1, 2], [b, 2, 1]] as const) {
      await node.sh(`ip addr add 192.0.2.${own}/24 dev eth0; ip link set dev eth0 up`);
      await flanneld(node, own, peer);
      const config = delegateOf(conflist, { subnet: `10.244.${own}.0/24`, network, mtu: 1450 });
      await node.containers("pod");
      const { ips, interfaces } = await node.add(config, "pod");
      assertEquals(ips[0].address, `10.244.${own}.2/24`);
      assertEquals(interfaces.length, 3);
      const [eth0] = await node.ip("-n", "pod", "link", "show", "dev", "eth0");
      assertEquals(eth0.mtu, 1450);
    }
    const whole = ["-s", String(1450 - 28)];
    await a.until(
      "the other pod",
      async () => await a.pings("pod", "10.244.2.2", ...whole) || undefined,
    );
    assert(await b.pings("pod", "10.244.1.2", ...whole));
    assert(await b.pings("pod", "192.0.2.2"), "the node itself");
    const config = delegateOf(conflist, { subnet: "10.244.1.0/24", network, mtu: 1450 });
    await a.del(config, "pod");
    assertEquals([await a.hostVeths(), await a.leases(conflist.name)], [[], {}]);
  },
  ["node-a", "node-b"],
);

nodeTest(
  "docs/clusters.md: without ipMasq false, flannel's delegate is refused by name",
  async (node) => {
    const { parse } = await import(YAML);
    const conflist = JSON.parse(parse(await block("kube-flannel-cfg")).data["cni-conf.json"]);
    delete conflist.plugins[0].delegate.ipMasq;
    await node.containers("pod");
    const config = delegateOf(conflist, {
      subnet: "10.244.1.0/24",
      network: "10.244.0.0/16",
      mtu: 1450,
    });
    const { code, stdout } = await node.cni("ADD", config, "pod");
    const { code: error, msg } = JSON.parse(stdout);
    assertEquals([code, error], [1, 2]);
    assert(msg.includes('"ipMasq"'), msg);
  },
);

nodeTest(
  "docs/kubernetes-image.md: containerd writes the configuration of deploy/containerd.template",
  async (node) => {
    await node.sh(`cp ${DEPLOY}/containerd.template /etc/cni/atomicni.template`);
    const settings = await block("conf_template", "kubernetes-image.md");
    await Containerd.start(
      node,
      1,
      `conf_template = ${/conf_template = (.*)/.exec(settings)?.[1]}`,
    );
    using cri = await Cri.connect(node, false);
    await cri.call("UpdateRuntimeConfig", {
      runtime_config: { network_config: { pod_cidr: "10.244.7.0/24,fd00:10:244:7::/64" } },
    });
    await cri.ready(node);
    const id = await cri.runPod({ name: "web" });
    assertEquals(await cri.addressOf(id), "10.244.7.2");
    await cri.removePod(id);
    assertEquals([await node.hostVeths(), await node.leases("podnet")], [[], {}]);
  },
);
