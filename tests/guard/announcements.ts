import {
  acquaint,
  forge,
  type Forged,
  newMark,
  type Result,
  shared,
  steal,
  TRIES,
} from "./attack.ts";
import { type Attack, ipOf } from "./attacks.ts";
import { claims, GATEWAY } from "./claims.ts";
import { pause } from "../../lib/base/deadline.ts";
import {
  behindOptions,
  BROADCAST,
  datagram,
  type Frame,
  ndClaims,
  redirect,
  routerAdvertisement,
  tagged,
} from "./frames.ts";
import { NETWORK, OUTSIDE, type Scene } from "./scene.ts";

const ALL_NODES_MAC = "33:33:00:00:00:01";

/** Eve claims bob's link-local address, which is derived from his MAC and is in no lease. */
export const linkLocalClaim: Attack = async (scene, family) => {
  if (family === 4) return [];
  await acquaint(scene);
  const [bob, host] = [await linkLocal(scene, "bob"), await linkLocal(scene, "", NETWORK.bridge)];
  const from = scene.at("eve").mac;
  const link = { from, to: scene.bridgeMac, at: from, mark: newMark("claim") };
  return await steal(
    scene,
    ndClaims({ ...link, address: bob, receiver: host }, scene.at("eve").ip6),
    [{
      attack: "NA 'I am bob's link-local address' to the host",
      stops: ["guard"],
      from: "host",
      to: "bob",
      address: `${bob}%${NETWORK.bridge}`,
    }],
  );
};

/** An ICMP redirect that claims to come from the gateway and directs bob's packets to eve. */
export const redirectBob: Attack = async (scene, family) => {
  if (family === 6) return [];
  await acquaint(scene);
  const [bob, eve] = [scene.at("bob"), scene.at("eve")];
  const frame = redirect({ from: eve.mac, to: bob.mac }, {
    router: NETWORK.gateway,
    victim: bob.ip4,
    destination: OUTSIDE.ip4,
    instead: eve.ip4,
  });
  return await steal(scene, [frame], [{
    attack: "ICMP redirect 'as the gateway' to bob: bob → outside",
    stops: ["rules", "isolation"],
    from: "bob",
    to: "outside",
    address: OUTSIDE.ip4,
  }]);
};

/** A new container gets the addresses of the removed bob, while eve claims them. */
export const reuse: Attack = async (scene, family) => {
  await acquaint(scene);
  const bob = scene.at("bob");
  const frames = claims(scene, family, bob, GATEWAY, family === 4 ? BROADCAST : ALL_NODES_MAC);
  await scene.unplug("bob");
  const lies = scene.lies(frames);
  await pause(50);
  const again = await scene.plug("bob", { like: bob });
  await scene.listen("bob", "bob");
  const mark = newMark("host-bob");
  await scene.agent("host").talk({ [ipOf(again, family)]: mark }, TRIES);
  await lies.end();
  const { got, own } = await shared(scene, "bob", mark);
  return [{
    attack: `gratuitous ${family === 4 ? "ARP" : "NA"} on re-use of bob's address: host → new bob`,
    stops: ["guard"],
    got,
    own: [own, TRIES],
  }];
};

export async function linkLocal(scene: Scene, id: string, ifname = "eth0"): Promise<string> {
  const [link] = await scene.host.ip(id, "-6", "addr", "show", "dev", ifname, "scope", "link");
  return link.addr_info.find((it: { local?: string }) => it.local !== undefined).local;
}

/** Counts the default routes that come from router advertisements. */
async function learntRoutes(scene: Scene, id: string): Promise<number> {
  const routes = await scene.host.ip(id, "-6", "route", "show", "default", "proto", "ra");
  return routes.length;
}

/** On a host with default settings: it does not forward IPv6, so it accepts router advertisements. */
const GULLIBLE = `
sysctl -qw net.ipv6.conf.all.forwarding=0 net.ipv6.conf.${NETWORK.bridge}.forwarding=0`;

export const advertiseRouter: Attack = async (scene, family) => {
  if (family === 4) return [];
  await acquaint(scene);
  await scene.host.sh(GULLIBLE);
  const source = await linkLocal(scene, "eve");
  const from = scene.at("eve").mac;
  const row = (to: "host" | "ann", behind = "", wrap = (it: Frame) => it): Forged => {
    const mark = newMark("router");
    const frame = wrap(routerAdvertisement({ from, to: ALL_NODES_MAC }, source, mark));
    return {
      attack: `router advertisement${behind}, to ${to}`,
      stops: to === "host" ? ["rules"] : ["rules", "isolation"],
      to,
      mark,
      frame,
    };
  };
  const results: Result[] = [];
  const all = [
    row("host"),
    row("ann"),
    row("ann", " behind a header of options", behindOptions),
    row("ann", " behind a tag of VLAN 0", (it) => tagged(it, 1)),
    row("ann", " behind two tags of VLAN 0", (it) => tagged(it, 2)),
  ];
  for (const forged of all) {
    const id = forged.to === "host" ? "" : forged.to;
    await scene.host.sh(`ip ${id && `-n ${id}`} -6 route flush proto ra; :`);
    const [result] = await forge(scene, [forged]);
    if (result === undefined) continue;
    results.push({ ...result, effect: `default routes: ${await learntRoutes(scene, id)}` });
  }
  return results;
};

/** Broadcasts DHCP offers from the server's port and from another port, because a client accepts both. */
export const serveDhcp: Attack = async (scene, family) => {
  await acquaint(scene);
  const { mac: from, ip4 } = scene.at("eve");
  const source = family === 4 ? ip4 : await linkLocal(scene, "eve");
  const destination = family === 4 ? "255.255.255.255" : "ff02::1";
  const link = { from, to: family === 4 ? BROADCAST : ALL_NODES_MAC, source, destination };
  const [server, client] = family === 4 ? [67, 68] : [547, 546];
  const row = (to: "host" | "ann", port: number): Forged => {
    const mark = newMark("dhcp");
    return {
      attack: `DHCP${family === 6 ? "v6" : ""} answers from port ${port}, to ${to}`,
      stops: to === "host" ? ["rules"] : ["rules", "isolation"],
      to,
      mark,
      frame: datagram({ ...link, ports: [port, client], mark }),
    };
  };
  return await forge(scene, [row("host", server), row("ann", server), row("ann", 6767)]);
};

/** Counts the MACs in the forwarding table of the bridge. */
export async function tableSize(scene: Scene): Promise<number> {
  const list = await scene.host.sh(`bridge fdb show br ${NETWORK.bridge}`);
  return list.split("\n").filter((line) => line.includes(" master ")).length;
}

/** Eve sends frames from random MACs, while ann talks with the host. */
export const flood: Attack = async (scene, family) => {
  if (family === 6) return [];
  await acquaint(scene);
  const before = await tableSize(scene);
  const mark = newMark("ann-host");
  const [sent] = await Promise.all([
    scene.agent("eve").flood(0.3),
    scene.agent("ann").talk({ [GATEWAY.ip4]: mark }, TRIES),
  ]);
  const { own } = await scene.agent("host").sees(mark, TRIES);
  const grown = await tableSize(scene) - before;
  return [{
    attack: "flood of random source MACs: entries of the bridge's table",
    stops: ["mac"],
    got: grown,
    of: sent,
    own: [own, TRIES],
  }];
};
