/** The protections of `host-rules` on networks that the matrix does not cover. */
import { assert, assertEquals } from "@std/assert";
import { hostTest } from "../integration/host.ts";
import { Agent, PATIENCE_S } from "./agent.ts";
import { newMark, TRIES } from "./attack.ts";
import { arpClaims, datagram } from "./frames.ts";
import { loadRules } from "./load_rules.ts";
import { recordFinding } from "./finding.ts";
import { OURS } from "./states.ts";
import { latest } from "../until.ts";

const V4 = { subnet: "10.86.0.0/24", gateway: "10.86.0.1" };
const V6 = { subnet6: "fd88::/64", gateway6: "fd88::1" };
const BASE = { cniVersion: "1.1.0", type: "atomicni", name: "podnet", bridge: "atomic0" };

/** Counts how many of ten datagrams of the missing address family the host accepts. */
const LACKING = [
  { lacks: 6, own: V4, claimed: "fd99::9" },
  { lacks: 4, own: V6, claimed: "10.99.0.9" },
] as const;
for (
  const [{ lacks, own, claimed }, state] of LACKING.flatMap((it) =>
    OURS.map((at) => [it, at] as const)
  )
) {
  hostTest(
    `rules: IPv${lacks} from a network without it: ${state.name}`,
    async (host) => {
      const config = { ...BASE, ...own, macspoofchk: state.guard ?? false };
      await host.containers("eve");
      const { interfaces: [bridge, , { mac }] } = await host.add({ id: "eve", config });
      await host.sh(`ip addr add ${lacks === 6 ? "fd99::1/64 nodad" : "10.99.0.1/24"} dev lo`);
      await using eve = await Agent.start(host, "eve", "eth0", "send");
      await using listener = await Agent.start(host, "", "atomic0");
      const destination = lacks === 6 ? "fd99::1" : "10.99.0.1";
      if (state.rules) await loadRules(host, config);
      const mark = newMark("lacks");
      const frame = datagram({ from: mac, to: bridge.mac, source: claimed, destination, mark });
      await eve.raw([frame], TRIES, 2);
      const got = await latest(
        () => listener.taken(mark),
        (taken) => taken >= TRIES,
        state.rules ? 0.2 : PATIENCE_S,
      );
      recordFinding({
        attack: `IPv${lacks}: in a network that lacks this family, to host`,
        ...{ state: state.name, got, of: TRIES },
      });
      assertEquals(got, state.rules ? 0 : TRIES);
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
    for (const config of [one, two]) await loadRules(host, config);
    assert(await host.pings("c1", V6.gateway6));
    assert(await host.pings("c2", two.gateway6));
    assert(await host.pings("c2", V4.gateway));
  },
);

hostTest(
  "rules: isolated containers can't reach each other through their gateway",
  async (host) => {
    const config = { ...BASE, ...V4, ...V6, portIsolation: true };
    await host.sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
    await host.containers("c1", "c2");
    const { interfaces: [bridge] } = await host.add({ id: "c1", config });
    await host.add({ id: "c2", config });
    // The attacker sends all packets to the gateway.
    for (const id of ["c1", "c2"]) {
      await host.sh(`ip netns exec ${id} sysctl -qw net.ipv4.conf.all.accept_redirects=0 \\
      net.ipv6.conf.all.accept_redirects=0 net.ipv6.conf.eth0.accept_redirects=0
    ip -n ${id} route del 10.86.0.0/24; ip -n ${id} -6 route del fd88::/64
    ip -n ${id} route add 10.86.0.1 dev eth0; ip -n ${id} route replace default via 10.86.0.1
    ip -n ${id} -6 route add fd88::1 dev eth0; ip -n ${id} -6 route replace default via fd88::1 metric 1`);
    }
    // The host forwards packets with link-local addresses too, if they leave by the interface by which they came.
    const local: string[] = [];
    for (const [id, other] of [["c1", "c2"], ["c2", "c1"]]) {
      const shown = await host.sh(`ip -n ${id} -o -6 addr show dev eth0 scope link`);
      const ip = /fe80::[^/]*/.exec(shown)?.[0] ?? "";
      await host.sh(
        `ip -n ${other} neigh replace ${ip} lladdr ${bridge.mac} dev eth0 nud permanent`,
      );
      local.push(ip);
    }
    const ways = ["10.86.0.3", "fd88::3", `${local[1]}%eth0`];
    for (const to of ways) {
      // The first packet may be lost during neighbour resolution.
      const answers = [await host.pings("c1", to), await host.pings("c1", to)];
      assert(answers.includes(true), `${to} without rules`);
    }
    await loadRules(host, config);
    for (const to of ways) assert(!await host.pings("c1", to), to);
    for (const to of ["10.86.0.1", "fd88::1"]) assert(await host.pings("c1", to), to);
  },
);

// The host does not know the MAC of that gateway, so no protection applies (SECURITY.md).
for (const state of OURS) {
  hostTest(`rules: a gateway behind a port is not protected: ${state.name}`, async (host) => {
    const config = {
      ...BASE,
      macspoofchk: state.guard ?? false,
      ipam: { type: "host-local", subnet: V4.subnet, routes: [{ dst: "0.0.0.0/0" }] },
    };
    await host.containers("bob", "eve", "gate");
    const [bob, eve] = [
      await host.add({ id: "bob", config }),
      await host.add({ id: "eve", config }),
    ];
    if (state.rules) {
      await loadRules(host, config);
    }
    await host.sh(`ip link add gate0 master atomic0 up type veth peer name eth0 netns gate
  ip -n gate link set dev eth0 up; ip -n gate addr add ${V4.gateway}/24 dev eth0`);
    const known = async () =>
      (await host.ip("bob", "neigh", "show", "to", V4.gateway, "dev", "eth0"))[0]?.lladdr;
    assert(await host.pings("bob", V4.gateway));
    const [, , { mac: to }] = bob.interfaces;
    const [, , { mac: from }] = eve.interfaces;
    assert(await known() !== from);
    await using victim = await Agent.start(host, "bob", "eth0");
    await using agent = await Agent.start(host, "eve", "eth0");
    const receiver = bob.ips[0].address.split("/")[0];
    const frames = arpClaims({ from, to, at: from, address: V4.gateway, receiver, mark: "gate" });
    // The kernel does not replace a neighbour within a second after its confirmation.
    for (let tries = 0; tries < 40 && await known() !== from; tries++) {
      await agent.raw(frames, TRIES, 10);
    }
    assertEquals(await known(), from);
    const mark = newMark("bob-gate");
    await victim.talk({ [V4.gateway]: mark }, TRIES, 2);
    const { own, others } = await latest(
      () => agent.seen(mark),
      (seen) => seen.own + seen.others >= TRIES,
      PATIENCE_S,
    );
    const got = own + others;
    recordFinding({
      attack: "IPv4: ARP 'I am the gateway behind a port' to bob",
      state: state.name,
      got,
      of: TRIES,
    });
    assert(got >= TRIES / 2, `only ${got} of bob's datagrams reached eve`);
  });
}
