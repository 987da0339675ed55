import { assert, assertEquals } from "@std/assert";
import { type Node, nodeTest } from "./node.ts";
import { ATOMICNI, NETWORK } from "./conflist.ts";

const CONFIG = { cniVersion: "1.0.0", name: NETWORK, ...ATOMICNI, hairpinMode: true };
const SERVICE = "10.96.0.10";
const PAGE = "a page of a service\n";

/** A service with one pod, with kube-proxy's rules: DNAT to the pod, and masquerading if a pod calls itself. */
async function addService(node: Node, pod: string): Promise<void> {
  await node.sh(`
ip link add name uplink type veth peer name far
ip addr add 192.0.2.1/24 dev uplink
ip link set dev uplink up
ip link set dev far up
ip route add default via 192.0.2.254
iptables -t nat -A PREROUTING -d ${SERVICE} -p tcp --dport 80 -j DNAT --to-destination ${pod}:80
iptables -t nat -A OUTPUT -d ${SERVICE} -p tcp --dport 80 -j DNAT --to-destination ${pod}:80
iptables -t nat -A POSTROUTING -s ${pod} -d ${pod} -j MASQUERADE
mkdir -p /run/www && printf '${PAGE.trimEnd()}\\n' >/run/www/index.html`);
  await node.daemon(
    "web",
    "ip",
    "netns",
    "exec",
    "web",
    "busybox",
    "httpd",
    "-f",
    "-h",
    "/run/www",
  );
}

async function get(node: Node, id: string): Promise<number> {
  const { code } = await node.run(
    ["ip", "netns", "exec", id, "busybox", "wget", "-T", "1", "-qO-", `http://${SERVICE}/`],
  );
  return code;
}

nodeTest(
  "Kubernetes services: reached from the host, a pod of the same node, and the service's own pod",
  async (node) => {
    await node.containers("web", "client");
    for (const id of ["web", "client"]) await node.add(CONFIG, id);
    await addService(node, "10.86.0.2");
    await node.sh("nft -f -", await node.hostRules(CONFIG));
    assertEquals(await node.fetch(`http://${SERVICE}/`), PAGE, "from the host");

    // Without it, the answer crosses the bridge directly and comes from an unexpected address.
    await node.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=0");
    assert(
      await get(node, "client") !== 0,
      "the service works even without bridge-nf-call-iptables",
    );
    await node.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=1");
    for (const id of ["client", "web"]) {
      assertEquals(await node.fetch(`http://${SERVICE}/`, "ip", "netns", "exec", id), PAGE, id);
    }
    assert(await node.pings("client", "10.86.0.2"), "pod to pod");
  },
);

nodeTest(
  "Kubernetes services: without hairpinMode a pod does not reach itself through its service",
  async (node) => {
    await node.containers("web");
    await node.add({ ...CONFIG, hairpinMode: false }, "web");
    await addService(node, "10.86.0.2");
    await node.sh("sysctl -qw net.bridge.bridge-nf-call-iptables=1");
    assertEquals(await node.fetch(`http://${SERVICE}/`), PAGE, "from the host");
    assert(await get(node, "web") !== 0);
  },
);
