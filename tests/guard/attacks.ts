import {
  acquaint,
  type Family,
  forge,
  type Forged,
  newMark,
  type Result,
  steal,
} from "./attack.ts";
import { arpClaims, datagram, lldp } from "./frames.ts";
import { OUTSIDE, type Place, type Scene } from "./scene.ts";
import { claims, GATEWAY } from "./claims.ts";

/** An attack, which fills one or more lines of the matrix. */
export type Attack = (scene: Scene, family: Family) => Promise<Result[]>;

export const ipOf = (it: { ip4: string; ip6: string }, family: Family): string =>
  family === 4 ? it.ip4 : it.ip6;

export const takeNeighboursMac: Attack = async (scene, family) => {
  await acquaint(scene);
  const bob = scene.at("bob");
  // To an unused MAC: the bridge learns from the frame, and no receiver answers it.
  const frame = datagram({
    from: bob.mac,
    to: "02:ff:ff:ff:ff:fe",
    source: ipOf(bob, family),
    destination: ipOf(OUTSIDE, family),
    mark: newMark("lie"),
  });
  const attack = "take bob's MAC:";
  const to = { to: "bob", address: ipOf(bob, family), stops: ["mac"] } as const;
  return await steal(scene, [frame], [
    { ...to, attack: `${attack} host → bob`, from: "host" },
    { ...to, attack: `${attack} ann → bob`, from: "ann", stops: ["mac", "isolation"] },
  ]);
};

// A bridge learns from LLDP frames before it checks `locked`; the guard's `learning off` stops that.
export const takeMacByLldp: Attack = async (scene, family) => {
  await acquaint(scene);
  const bob = scene.at("bob");
  return await steal(scene, [lldp(bob.mac)], [{
    attack: "take bob's MAC by LLDP: host → bob",
    stops: ["guard"],
    from: "host",
    to: "bob",
    address: ipOf(bob, family),
  }]);
};

export const takeBridgesMac: Attack = async (scene, family) => {
  await acquaint(scene);
  const ann = scene.at("ann");
  const [source, destination] = [ipOf(GATEWAY, family), ipOf(ann, family)];
  const lie = (mark: string) => ({
    mark,
    frame: datagram({ from: scene.bridgeMac, to: ann.mac, source, destination, mark }),
  });
  const stolen = await steal(scene, [lie(newMark("lie")).frame], [{
    attack: "take the bridge's MAC: ann → host",
    // A bridge never learns its own MAC on a port.
    stops: ["kernel"],
    from: "ann",
    to: "host",
    address: ipOf(GATEWAY, family),
  }]);
  const attack = "pose as the host, MAC and address, to ann";
  const stops = ["mac", "rules", "isolation"] as const;
  return [
    ...stolen,
    ...await forge(scene, [{ attack, stops, to: "ann", ...lie(newMark("posed")) }]),
  ];
};

/** Frames from a forged source to the host, to ann and through the host to a machine outside. */
function everywhere(
  scene: Scene,
  family: Family,
  from: string,
  source: string,
  stops: Readonly<Record<"host" | "ann" | "outside", Forged["stops"]>>,
  attack: string,
): Forged[] {
  const ann = scene.at("ann");
  const row = (to: "host" | "ann" | "outside", mac: string, destination: string): Forged => {
    const mark = newMark(to);
    return {
      attack: `${attack}, to ${to === "outside" ? "a machine outside" : to}`,
      stops: stops[to],
      to,
      mark,
      frame: datagram({ from, to: mac, source, destination, mark }),
    };
  };
  return [
    row("host", scene.bridgeMac, ipOf(GATEWAY, family)),
    row("ann", ann.mac, ipOf(ann, family)),
    row("outside", scene.bridgeMac, ipOf(OUTSIDE, family)),
  ];
}

export const poseAsNeighbour: Attack = async (scene, family) => {
  await acquaint(scene);
  const bob = scene.at("bob");
  const stops = { host: ["mac"], ann: ["mac", "isolation"], outside: ["mac"] } as const;
  const attack = "pose as bob, MAC and address";
  return await forge(scene, everywhere(scene, family, bob.mac, ipOf(bob, family), stops, attack));
};

export const forgeSource: Attack = async (scene, family) => {
  await acquaint(scene);
  const { mac } = scene.at("eve");
  const foreign = family === 4 ? "203.0.113.9" : "2001:db8:bad::9";
  const rules = { host: ["rules"], ann: ["rules", "isolation"], outside: ["rules"] } as const;
  const nothing = { host: [], ann: ["isolation"], outside: [] } as const;
  const bob = ipOf(scene.at("bob"), family);
  return [
    ...await forge(scene, everywhere(scene, family, mac, foreign, rules, "forged foreign source")),
    ...family === 4 ? await forge(scene, [foreignArp(scene, foreign)]) : [],
    ...await forge(scene, everywhere(scene, family, mac, bob, nothing, "forged source of bob")),
  ];
};

/** ARP from a foreign address, which adds an entry to the host's neighbour table. */
function foreignArp(scene: Scene, address: string): Forged {
  const [from, to, mark] = [scene.at("eve").mac, scene.bridgeMac, newMark("arp")];
  const [frame = ""] = arpClaims({ from, to, at: from, address, receiver: GATEWAY.ip4, mark });
  return {
    attack: "ARP from a foreign address, to host",
    stops: ["rules"],
    to: "host",
    mark,
    frame,
  };
}

export const iAmBob: Attack = async (scene, family) => {
  const [ann, bob] = [scene.at("ann"), scene.at("bob")];
  const what = family === 4 ? "ARP" : "NA";
  const to = { to: "bob", address: ipOf(bob, family) } as const;
  await acquaint(scene);
  const host = await steal(scene, claims(scene, family, bob, GATEWAY, scene.bridgeMac), [
    { ...to, attack: `${what} 'I am bob' to the host`, stops: ["guard"], from: "host" },
  ]);
  await acquaint(scene);
  const neighbour = await steal(scene, claims(scene, family, bob, ann, ann.mac), [
    { ...to, attack: `${what} 'I am bob' to ann`, stops: ["isolation"], from: "ann" },
  ]);
  return [...host, ...neighbour];
};

export const iAmTheGateway: Attack = async (scene, family) => {
  await acquaint(scene);
  const bob = scene.at("bob");
  const what = `${family === 4 ? "ARP" : "NA"} 'I am the gateway' to bob:`;
  const flow = (to: Place, address: string) =>
    ({
      attack: `${what} bob → ${to}`,
      stops: ["guard", "rules", "isolation"],
      from: "bob",
      to,
      address,
    }) as const;
  return await steal(scene, claims(scene, family, GATEWAY, bob, bob.mac), [
    flow("host", ipOf(GATEWAY, family)),
    flow("outside", ipOf(OUTSIDE, family)),
  ]);
};
