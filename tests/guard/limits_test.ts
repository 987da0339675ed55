import { assert, assertEquals } from "@std/assert";
import { hostTest } from "../integration/host.ts";
import { acquaint, TRIES } from "./attack.ts";
import { iAmBob, takeNeighboursMac } from "./attacks.ts";
import { BY_HAND } from "./by_hand.ts";
import { record } from "./outcome.ts";
import { NETWORK, Scene } from "./scene.ts";

// The kernel moves a static entry to any port that learns; `sticky` would hold it, and `ip` can't set that.
hostTest("an unguarded container on the same bridge takes a guarded one's MAC", async (host) => {
  await using scene = await Scene.create(host, { name: "mixed", guard: true });
  await scene.unplug("eve");
  await scene.plug("eve", { guard: false });
  await scene.listen("eve", "eve");
  const results = await takeNeighboursMac(scene, 4);
  for (const { attack, got } of results) assert(got >= TRIES / 2, `${attack}: only ${got}`);
  const bob = scene.at("bob");
  const talk = async () => {
    const mark = `after.${performance.now().toFixed(0)}`;
    await scene.agent("bob").talk({ [NETWORK.gateway]: mark }, TRIES);
    return (await scene.agent("host").seen(mark)).own;
  };
  assertEquals(await talk(), 0, "the entry did not move: then say so in SECURITY.md");
  // What CHECK finds missing, and `repair` puts back.
  await host.sh(`ip -B neigh replace any lladdr ${bob.mac} nud noarp dev ${bob.hostVeth}`);
  const again = await talk();
  assertEquals(again, TRIES);
  record({
    measure: "an unguarded container takes the MAC of a guarded one",
    value: `${
      results.map(({ got }) => got).join(" and ")
    } of ${TRIES} frames; then bob is cut off ` +
      `until his entry is put back (${again} of ${TRIES} after)`,
  });
});

if (!BY_HAND) {
  hostTest("a bridge that went and came back: the ports are guarded again", async (host) => {
    await using scene = await Scene.create(host, { name: "return", guard: true });
    await host.sh(`ip link del dev ${NETWORK.bridge}`);
    await scene.plug("zoe");
    const [bridge] = await host.ip("", "link", "show", "dev", NETWORK.bridge);
    scene.bridgeMac = bridge.address;
    await scene.listen("host", "", NETWORK.bridge);
    for (const family of [4, 6] as const) {
      await acquaint(scene);
      for (
        const result of [...await takeNeighboursMac(scene, family), ...await iAmBob(scene, family)]
      ) {
        if (result.attack.endsWith("to ann")) continue;
        assertEquals([result.got, result.own], [0, [TRIES, TRIES]], result.attack);
      }
    }
  });
}
