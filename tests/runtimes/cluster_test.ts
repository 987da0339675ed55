import { assert, assertEquals } from "@std/assert";
import { run } from "../integration/host.ts";
import { DEPLOY, type Node, nodeTest } from "./node.ts";

const CLUSTER = "10.244.0.0/16";
const NAMES = ["node-a", "node-b"];

/** Configuration, own address and container subnet of node 1 or 2, in the form of `deploy/kubernetes/`. */
function planOf(number: number) {
  const subnet = `10.244.${number}.0/24`;
  const subnet6 = `fd00:10:244:${number}::/64`;
  return {
    address: `192.0.2.${number}`,
    subnet,
    subnet6,
    config: {
      cniVersion: "1.0.0",
      name: "podnet",
      type: "atomicni",
      bridge: "atomic0",
      isDefaultGateway: true,
      ipam: { type: "host-local", ranges: [[{ subnet }], [{ subnet: subnet6 }]] },
    },
  };
}
const A = planOf(1);
const B = planOf(2);

/** A wire from eth0 of one node to eth0 of the other. */
async function connect(a: Node, b: Node): Promise<void> {
  const link = `ip link add name eth0 type veth peer name eth0 netns ${b.pid}`;
  const { code, stderr } = await run(["nsenter", "-t", String(a.pid), "-n", ...link.split(" ")]);
  if (code !== 0) throw new Error(stderr);
  for (const [node, { address }] of [[a, A], [b, B]] as const) {
    await node.sh(`ip addr add ${address}/24 dev eth0; ip link set dev eth0 up`);
  }
}

async function startFrr(node: Node, address: string): Promise<void> {
  const file = await Deno.readTextFile(`${DEPLOY}/frr.conf`);
  await node.write(
    "/etc/frr/frr.conf",
    file.replaceAll("192.0.2.1", address).replace(
      "log syslog warnings",
      "log file /run/log/frr.log",
    ),
  );
  await node.sh(`
sed -i 's/^ospfd=no/ospfd=yes/; s/^ospf6d=no/ospf6d=yes/' /etc/frr/daemons
chown frr:frr /etc/frr/frr.conf
install -d -o frr -g frr /run/frr
install -o frr -g frr /dev/null /run/log/frr.log
/usr/lib/frr/frrinit.sh start >/run/log/frrinit.log 2>&1`);
}

async function killFrr(node: Node): Promise<void> {
  await node.sh(`
for process in /proc/[0-9]*; do
  case $(readlink $process/exe) in /usr/lib/frr/*) kill -9 \${process#/proc/} ;; esac
done
rm -rf /run/frr`);
}

/** As a power failure does: containers, links and routing daemons are gone, disks stay. */
async function powerOff(node: Node): Promise<void> {
  await killFrr(node);
  await node.sh(`
ip link set dev eth0 down
for name in $(ls /run/netns); do ip netns del $name; done
ip link del dev atomic0`);
  await node.until(
    "the veths are gone",
    async () => (await node.hostVeths()).length === 0 || undefined,
  );
}

/** The route of a node to a subnet: next hop and protocol. */
async function routeTo(node: Node, subnet: string): Promise<string> {
  const [route] = await node.ip("route", "show", subnet);
  return route === undefined ? "" : `${route.gateway} ${route.protocol}`;
}

async function untilRoute(node: Node, subnet: string, wanted: string): Promise<void> {
  await node.until(
    `${subnet} is reached by "${wanted}"`,
    async () => await routeTo(node, subnet) === wanted || undefined,
    40,
  );
}

/** A container's IPv6 address, as its own node sees it. */
async function address6(node: Node, id: string): Promise<string> {
  const [eth0] = await node.ip("-n", id, "-6", "addr", "show", "dev", "eth0", "scope", "global");
  return eth0?.addr_info[0].local;
}

/** Routes may come and go for some seconds, while a returning node receives older announcements about itself. */
async function untilPings(node: Node, id: string, to: string): Promise<void> {
  await node.until(`${id} reaches ${to}`, async () => await node.pings(id, to) || undefined, 40);
}

nodeTest(
  "two nodes with FRR (OSPF): containers reach each other; a node goes down and comes back",
  async (a, b) => {
    await connect(a, b);
    for (const [node, plan, id] of [[a, A, "a1"], [b, B, "b1"]] as const) {
      await node.containers(id);
      await node.add(plan.config, id);
      await startFrr(node, plan.address);
    }
    await untilRoute(a, B.subnet, "192.0.2.2 ospf");
    await untilRoute(b, A.subnet, "192.0.2.1 ospf");
    await untilPings(a, "a1", "10.244.2.2");
    await untilPings(b, "b1", "10.244.1.2");
    await untilPings(a, "a1", await address6(b, "b1"));
    await untilPings(b, "b1", await address6(a, "a1"));

    await powerOff(b);
    await untilRoute(a, B.subnet, "");
    await b.sh("ip link set dev eth0 up");
    await b.containers("b2");
    const { ips: [{ address }] } = await b.add(B.config, "b2");
    assertEquals(address, "10.244.2.3/24", "the previous address is not allocated again at once");
    await startFrr(b, B.address);
    await untilRoute(a, B.subnet, "192.0.2.2 ospf");
    await untilRoute(b, A.subnet, "192.0.2.1 ospf");
    await untilPings(a, "a1", "10.244.2.3");
    await untilPings(b, "b2", "10.244.1.2");
    await untilPings(a, "a1", await address6(b, "b2"));
  },
  NAMES,
);

nodeTest(
  "two nodes with FRR (OSPF): a node that falls silent is forgotten after the dead interval",
  async (a, b) => {
    await connect(a, b);
    await b.containers("b1");
    await b.add(B.config, "b1");
    await startFrr(a, A.address);
    await startFrr(b, B.address);
    await untilRoute(a, B.subnet, "192.0.2.2 ospf");
    // The node's link stays up, so only the missing hellos show its failure.
    await killFrr(b);
    await untilRoute(a, B.subnet, "");
  },
  NAMES,
);

nodeTest("two nodes with FRR (OSPF): a container can't take part in the routing", async (a, b) => {
  await connect(a, b);
  await a.containers("a1");
  await a.add(A.config, "a1");
  await startFrr(a, A.address);
  await startFrr(b, B.address);
  await untilRoute(b, A.subnet, "192.0.2.1 ospf");
  const { interfaces } = JSON.parse(await a.sh("vtysh -c 'show ip ospf interface json'"));
  assertEquals(interfaces.atomic0.timerPassiveIface, true);
  assertEquals(interfaces.eth0.nbrCount, 1);
  const said = await a.sh("vtysh -c 'show ipv6 ospf6 interface atomic0'");
  assert(/passive/i.test(said), said);
}, NAMES);

nodeTest(
  "two nodes with static routes, as a cloud's route controller writes them: down and back",
  async (a, b) => {
    await connect(a, b);
    const controller = async () => {
      await a.sh(`ip route replace ${B.subnet} via ${B.address}`);
      await b.sh(`ip route replace ${A.subnet} via ${A.address}`);
    };
    await controller();
    for (const [node, plan, id] of [[a, A, "a1"], [b, B, "b1"]] as const) {
      await node.containers(id);
      await node.add(plan.config, id);
    }
    assert(await a.pings("a1", "10.244.2.2"), "a1 to b1");
    await powerOff(b);
    assert(!await a.pings("a1", "10.244.2.2"), "answered by a node that is down");
    await b.sh("ip link set dev eth0 up");
    await controller();
    await b.containers("b2");
    await b.add(B.config, "b2");
    // A neighbour resolution that began while the other node was down fails after 3 s, and its packets are lost.
    await untilPings(a, "a1", "10.244.2.3");
  },
  NAMES,
);

nodeTest(
  "two nodes with host-rules: pods see each other's own address, others see the node's address",
  async (a, b) => {
    await connect(a, b);
    await a.sh(`ip route add ${B.subnet} via ${B.address}`);
    await b.sh(`ip route add ${A.subnet} via ${A.address}`);
    for (const [node, plan, id] of [[a, A, "a1"], [b, B, "b1"]] as const) {
      await node.containers(id);
      await node.add(plan.config, id);
      await node.sh("nft -f -", await node.hostRules(plan.config, CLUSTER));
    }
    const count = `
table ip seen {
  chain input {
    type filter hook input priority 0;
    ip saddr 10.244.1.2 icmp type echo-request counter comment "pod"
    ip saddr 192.0.2.1 icmp type echo-request counter comment "node"
  }
}`;
    await b.sh("ip netns exec b1 nft -f -", count);
    await b.sh("nft -f -", count);
    const seen = async (...at: string[]) => {
      const { nftables } = JSON.parse(await b.sh(`${at.join(" ")} nft -j list table ip seen`));
      return nftables.flatMap((
        { rule }: { rule?: { comment: string; expr: { counter?: { packets: number } }[] } },
      ) =>
        rule === undefined
          ? []
          : [`${rule.comment} ${rule.expr.find((it) => it.counter)?.counter?.packets}`]
      );
    };
    assert(await a.pings("a1", "10.244.2.2"), "pod to pod");
    assertEquals(await seen("ip netns exec b1"), ["pod 1", "node 0"]);
    assert(await a.pings("a1", "192.0.2.2"), "pod to the other node");
    assertEquals(await seen(), ["pod 0", "node 1"]);
  },
  NAMES,
);
