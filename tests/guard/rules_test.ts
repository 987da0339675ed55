/** The protections of `host-rules` on networks that the matrix does not cover. */
import { assert, assertEquals } from "@std/assert";
import { type Host, hostTest, type Json } from "../integration/host.ts";
import { Agent } from "./agent.ts";
import { newMark, TRIES } from "./attack.ts";
import { delay } from "./delay.ts";
import { arpClaims, datagram, frame, icmp6 } from "./frames.ts";

const V4 = { subnet: "10.88.0.0/24", gateway: "10.88.0.1" };
const V6 = { subnet6: "fd88::/64", gateway6: "fd88::1" };
const BASE = { cniVersion: "1.1.0", type: "atomicni", name: "podnet", bridge: "atomic0" };

async function load(host: Host, config: Json): Promise<void> {
  const { stdout } = await host.program(["host-rules"], JSON.stringify(config));
  const loaded = await host.run(["nft", "-f", "-"], stdout);
  assertEquals(loaded.code, 0, `${loaded.stderr}\n${stdout}`);
}

async function settled(host: Host, ...namespaces: string[]): Promise<void> {
  await host.sh(
    namespaces.map((it) =>
      `for i in $(seq 60); do ip ${
        it && `-n ${it}`
      } -6 addr show tentative | grep -q . || break; sleep 0.1; done`
    ).join("\n"),
  );
}

/** Counts how many of ten datagrams of the missing address family the host accepts. */
for (const [lacks, own, claimed] of [[6, V4, "fd99::9"], [4, V6, "10.99.0.9"]] as const) {
  hostTest(
    `rules: IPv${lacks} of a network that lacks it does not reach the host`,
    async (host) => {
      const config = { ...BASE, ...own, macspoofchk: true };
      await host.containers("eve");
      const { interfaces: [bridge, , { mac }] } = await host.add({ id: "eve", config });
      await host.sh(`ip addr add ${lacks === 6 ? "fd99::1/64 nodad" : "10.99.0.1/24"} dev lo`);
      await using eve = await Agent.start(host, "eve", "eth0", "send");
      await using listener = await Agent.start(host, "", "atomic0");
      const destination = lacks === 6 ? "fd99::1" : "10.99.0.1";
      const shoot = async () => {
        const mark = newMark("lacks");
        const frame = datagram({ from: mac, to: bridge.mac, source: claimed, destination, mark });
        await eve.raw([frame], TRIES, 2);
        for (
          let waited = 0;
          waited < 10 && await listener.taken(mark) < TRIES;
          waited++
        ) await delay(20);
        return await listener.taken(mark);
      };
      assertEquals(await shoot(), TRIES, "nothing stops it without the rules");
      await load(host, config);
      assertEquals(await shoot(), 0);
      // Traffic of the network's own family still passes.
      assert(await host.pings("eve", lacks === 6 ? V4.gateway : V6.gateway6));
    },
  );
}

hostTest(
  "rules: two networks on one bridge reach their gateways under the rules of both",
  async (host) => {
    const one = { ...BASE, ...V6 };
    const two = { ...BASE, name: "two", subnet6: "fd77::/64", gateway6: "fd77::1", ...V4 };
    await host.containers("c1", "c2");
    await host.add({ id: "c1", config: one });
    await host.add({ id: "c2", config: two });
    for (const config of [one, two]) await load(host, config);
    assert(await host.pings("c1", V6.gateway6));
    assert(await host.pings("c2", two.gateway6));
    assert(await host.pings("c2", V4.gateway));
  },
);

hostTest("rules: isolated containers do not meet at their gateway", async (host) => {
  const config = { ...BASE, ...V4, ...V6, portIsolation: true };
  await host.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
  await host.containers("c1", "c2");
  await host.add({ id: "c1", config });
  await host.add({ id: "c2", config });
  // The attacker sends all packets to the gateway.
  for (const id of ["c1", "c2"]) {
    await host.sh(`ip netns exec ${id} sysctl -qw net.ipv4.conf.all.accept_redirects=0 \\
      net.ipv6.conf.all.accept_redirects=0 net.ipv6.conf.eth0.accept_redirects=0
    ip -n ${id} route del 10.88.0.0/24; ip -n ${id} -6 route del fd88::/64
    ip -n ${id} route add 10.88.0.1 dev eth0; ip -n ${id} route replace default via 10.88.0.1
    ip -n ${id} -6 route add fd88::1 dev eth0; ip -n ${id} -6 route replace default via fd88::1 metric 1`);
  }
  for (const to of ["10.88.0.3", "fd88::3"]) {
    // The first packet may be lost during neighbour resolution.
    const answers = [await host.pings("c1", to), await host.pings("c1", to)];
    assert(answers.includes(true), `${to} without rules`);
  }
  await load(host, config);
  for (const to of ["10.88.0.3", "fd88::3"]) assert(!await host.pings("c1", to), to);
  for (const to of ["10.88.0.1", "fd88::1"]) assert(await host.pings("c1", to), to);
});

hostTest("rules: a query of a container makes no bridge take it for a querier", async (host) => {
  const config = { ...BASE, ...V6 };
  // A bridge as an earlier version created it.
  await host.sh("ip link add atomic0 address 02:00:00:00:00:01 up type bridge mcast_snooping 1");
  await host.containers("eve");
  const { interfaces: [, , { mac }] } = await host.add({ id: "eve", config });
  await settled(host, "", "eve");
  await using eve = await Agent.start(host, "eve", "eth0", "send");
  const [link] = await host.ip("eve", "-6", "addr", "show", "dev", "eth0", "scope", "link");
  const source = link.addr_info.find((it: Json) => it.local !== undefined).local;
  const message = icmp6(source, "ff02::1", 130, [0x27, 0x10, 0, 0, ...new Array(16).fill(0)]);
  // With a router alert option, because receivers ignore a query without it.
  const alert = [58, 0, 5, 2, 0, 0, 1, 0];
  const query = frame({ from: mac, to: "33:33:00:00:00:01" }, 0x86dd, [
    ...message.slice(0, 4),
    ...[0, message.length - 40 + alert.length, 0, 1],
    ...message.slice(8, 40),
    ...alert,
    ...message.slice(40),
  ]);
  const queriers = async () => {
    await eve.raw([query], TRIES, 2);
    await delay(50);
    const routers = await host.sh("bridge -d -j mdb show");
    return (JSON.parse(routers)[0]?.router?.atomic0 ?? []).length;
  };
  await load(host, config);
  assertEquals(await queriers(), 0);
  await host.sh("nft flush ruleset");
  assertEquals(
    await queriers(),
    1,
    "without rules the query has to be seen: else the zero proves nothing",
  );
});

// The host does not know the MAC of that gateway, so no protection applies (SECURITY.md).
hostTest("rules: a gateway behind a port is not held, whatever is on", async (host) => {
  const config = {
    ...BASE,
    macspoofchk: true,
    ipam: { type: "host-local", subnet: V4.subnet, routes: [{ dst: "0.0.0.0/0" }] },
  };
  await host.containers("bob", "eve", "gate");
  const [bob, eve] = [await host.add({ id: "bob", config }), await host.add({ id: "eve", config })];
  await load(host, config);
  await host.sh(`ip link add gate0 master atomic0 up type veth peer name eth0 netns gate
  ip -n gate link set dev eth0 up; ip -n gate addr add ${V4.gateway}/24 dev eth0`);
  const known = async () =>
    (await host.ip("bob", "neigh", "show", "to", V4.gateway, "dev", "eth0"))[0]?.lladdr;
  assert(await host.pings("bob", V4.gateway));
  const [, , { mac: to }] = bob.interfaces;
  const [, , { mac: from }] = eve.interfaces;
  assert(await known() !== from);
  await using agent = await Agent.start(host, "eve", "eth0", "send");
  const receiver = bob.ips[0].address.split("/")[0];
  const frames = arpClaims({ from, to, at: from, address: V4.gateway, receiver, mark: "gate" });
  // The kernel does not replace a neighbour within a second after its confirmation.
  for (let tries = 0; tries < 40 && await known() !== from; tries++) {
    await agent.raw(frames, TRIES, 10);
  }
  assertEquals(await known(), from);
});
