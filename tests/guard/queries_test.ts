/** Multicast queries: if a bridge accepts a container as querier, IPv6 stops for all containers. */
import { assertEquals } from "@std/assert";
import { type Host, hostTest, type Json } from "../integration/host.ts";
import { Agent } from "./agent.ts";
import { TRIES } from "./attack.ts";
import { pause } from "../../lib/base/deadline.ts";
import { type Frame, frame, icmp6 } from "./frames.ts";
import { loadRules } from "./load_rules.ts";
import { recordFinding } from "./finding.ts";
import { OURS } from "./states.ts";
import { settled } from "../integration/settled.ts";

const NETWORK = {
  cniVersion: "1.1.0",
  type: "atomicni",
  name: "podnet",
  bridge: "atomic0",
  subnet6: "fd88::/64",
  gateway6: "fd88::1",
};

/** An MLD general query from a container. */
async function queryOf(host: Host, id: string, mac: string): Promise<Frame> {
  const [link] = await host.ip(id, "-6", "addr", "show", "dev", "eth0", "scope", "link");
  const source = link.addr_info.find((it: Json) => it.local !== undefined).local;
  const message = icmp6(source, "ff02::1", 130, [0x27, 0x10, 0, 0, ...new Array(16).fill(0)]);
  // With a router alert option, because receivers ignore a query without it.
  const alert = [58, 0, 5, 2, 0, 0, 1, 0];
  return frame({ from: mac, to: "33:33:00:00:00:01" }, 0x86dd, [
    ...message.slice(0, 4),
    ...[0, message.length - 40 + alert.length, 0, 1],
    ...message.slice(8, 40),
    ...alert,
    ...message.slice(40),
  ]);
}

/** Counts the turns, of ten, in which the bridge accepts the container as querier. */
async function queriers(host: Host, veth: string, eve: Agent, query: Frame): Promise<number> {
  let got = 0;
  for (let turn = 0; turn < TRIES; turn++) {
    await eve.raw([query], 3, 2);
    await pause(50);
    const routers = JSON.parse(await host.sh("bridge -d -j mdb show"));
    got += (routers[0]?.router?.atomic0 ?? []).length;
    // Clears the port's state, for the next turn.
    await host.sh(`ip link set dev ${veth} type bridge_slave mcast_router 0
      ip link set dev ${veth} type bridge_slave mcast_router 1`);
  }
  return got;
}

const BRIDGES = {
  "that AtomicNI made": "",
  "with multicast snooping":
    "ip link add atomic0 address 02:00:00:00:00:01 up type bridge mcast_snooping 1",
};
for (
  const [[whose, made], state] of Object.entries(BRIDGES).flatMap((it) =>
    OURS.map((at) => [it, at] as const)
  )
) {
  hostTest(`a query of a container, on a bridge ${whose}: ${state.name}`, async (host) => {
    const config = { ...NETWORK, macspoofchk: state.guard ?? false };
    await host.sh(made);
    await host.containers("eve");
    const { interfaces } = await host.add({ id: "eve", config });
    const [, { name: veth }, { mac }] = interfaces;
    await settled(host, "", "eve");
    if (state.rules) await loadRules(host, config);
    await using eve = await Agent.start(host, "eve", "eth0", "send");
    const got = await queriers(host, veth, eve, await queryOf(host, "eve", mac));
    recordFinding({
      attack: `IPv6: multicast query, on a bridge ${whose}`,
      ...{ state: state.name, got, of: TRIES },
    });
    // The query must have an effect on the other bridge; otherwise the zeros prove nothing.
    assertEquals(got, made === "" || state.rules ? 0 : TRIES);
  });
}
