/** Possible ways around the guard: frames that a bridge treats specially, and sources that rules easily miss. */
import { linkLocal } from "./announcements.ts";
import { acquaint, forge, newMark, type Result, steal, stoppers, TRIES } from "./attack.ts";
import { type Attack, ipOf } from "./attacks.ts";
import { GATEWAY } from "./claims.ts";
import { datagram, ndClaims } from "./frames.ts";
import { NETWORK } from "./scene.ts";
import { PATIENCE_S } from "./agent.ts";
import { latest } from "../until.ts";

/** Sends as bob to each reserved group address; counts the frames that the host accepted at the worst of them. */
export const reservedGroups: Attack = async (scene, family) => {
  await acquaint(scene);
  const bob = scene.at("bob");
  const [source, destination] = [ipOf(bob, family), ipOf(GATEWAY, family)];
  const sent = Array.from({ length: 16 }, (_, last) => {
    const mark = newMark("reserved");
    const to = `01:80:c2:00:00:0${last.toString(16)}`;
    return { mark, frame: datagram({ from: bob.mac, to, source, destination, mark }) };
  });
  const [out] = [newMark("bob-host")];
  await scene.agent("eve").raw(sent.map(({ frame }) => frame), TRIES, 2);
  await scene.agent("bob").talk({ [destination]: out }, TRIES, 5);
  const own = (await scene.agent("host").sees(out, TRIES)).own;
  const here = stoppers(scene.state);
  const isOpen = !here.has("guard") && !here.has("rules");
  const got = await latest(
    async () =>
      Math.max(...await Promise.all(sent.map(({ mark }) => scene.agent("host").taken(mark)))),
    (most) => most >= TRIES,
    isOpen ? PATIENCE_S : 0.1,
  );
  return [{
    attack: "pose as bob, MAC and address, to reserved group addresses, to host",
    stops: ["guard", "rules"],
    got,
    own: [own, TRIES],
  }];
};

/** Eve claims the bridge's link-local address, which is derived from its MAC; routes and services may use it. */
export const iAmTheBridge: Attack = async (scene, family): Promise<Result[]> => {
  if (family === 4) return [];
  await acquaint(scene);
  const [bob, eve] = [scene.at("bob"), scene.at("eve")];
  const address = await linkLocal(scene, "", NETWORK.bridge);
  const receiver = await linkLocal(scene, "bob");
  const link = { from: eve.mac, to: bob.mac, at: eve.mac, mark: newMark("claim") };
  return await steal(
    scene,
    ndClaims({ ...link, address, receiver }, await linkLocal(scene, "eve")),
    [{
      attack: "NA 'I am the bridge's link-local address' to bob: bob → host",
      stops: ["guard", "rules", "isolation"],
      from: "bob",
      to: "host",
      address: `${address}%eth0`,
    }],
  );
};

/** Sends to a neighbour through the gateway's MAC. The host routes the packets back, past the isolation of the ports. */
export const byTheGateway: Attack = async (scene, family) => {
  await acquaint(scene);
  const [ann, eve] = [scene.at("ann"), scene.at("eve")];
  const mark = newMark("routed");
  const [source, destination] = [ipOf(eve, family), ipOf(ann, family)];
  const frame = datagram({ from: eve.mac, to: scene.bridgeMac, source, destination, mark });
  return await forge(scene, [
    {
      attack: "reach an isolated neighbour through the gateway",
      stops: ["isolation's rules"],
      to: "ann",
      mark,
      frame,
    },
  ]);
};

/** Sends UDP from `::`, the source of a host that only requests an address. */
export const fromNobody: Attack = async (scene, family) => {
  if (family === 4) return [];
  await acquaint(scene);
  const mark = newMark("nobody");
  const link = { from: scene.at("eve").mac, to: scene.bridgeMac };
  const frame = datagram({ ...link, source: "::", destination: NETWORK.gateway6, mark });
  return await forge(scene, [
    { attack: "UDP from ::, to host", stops: ["rules"], to: "host", mark, frame },
  ]);
};
