import { assert, assertEquals } from "@std/assert";
import { hostTest } from "../integration/host.ts";
import { Agent } from "./agent.ts";
import { acquaint, newMark, TRIES } from "./attack.ts";
import { iAmBob, takeNeighboursMac } from "./attacks.ts";
import { datagram, type Frame, lldp } from "./frames.ts";
import { recordFinding } from "./finding.ts";
import { SIZE } from "../size.ts";
import { NETWORK, Scene } from "./scene.ts";

const TURNS = SIZE === "full" ? 10 : 3;

/** Counts how many of ten datagrams from bob reach the host. */
async function reachesHost(scene: Scene): Promise<number> {
  const mark = newMark("bob-host");
  await scene.agent("bob").talk({ [NETWORK.gateway]: mark }, TRIES);
  return (await scene.agent("host").sees(mark, TRIES)).own;
}

/** Frames from bob's MAC that make a bridge learn. */
function lies(scene: Scene): Frame[] {
  const { mac: from, ip4: source } = scene.at("bob");
  const to = "02:ff:ff:ff:ff:fe";
  const mark = newMark("lie");
  return [lldp(from), datagram({ from, to, source, destination: NETWORK.gateway, mark })];
}

// The kernel moves a static entry to any port that learns. The flag `sticky` would prevent that, but `ip` can't set it.
hostTest(
  "an unguarded container on the same bridge takes the MAC of a guarded container",
  async (host) => {
    await using scene = await Scene.create(host, { name: "mixed", guard: true });
    await scene.unplug("eve");
    await scene.plug("eve", { guard: false });
    await scene.listen("eve", "eve");
    const results = await takeNeighboursMac(scene, 4);
    for (const { attack, got } of results) assert(got >= TRIES / 2, `${attack}: only ${got}`);
    const bob = scene.at("bob");
    assertEquals(await reachesHost(scene), 0, "the entry did not move: correct SECURITY.md");
    // CHECK reports the missing entry, and `repair` restores it.
    await host.sh(`ip -B neigh replace any lladdr ${bob.mac} nud noarp dev ${bob.hostVeth}`);
    const again = await reachesHost(scene);
    assertEquals(again, TRIES);
    recordFinding({
      measure: "an unguarded container takes the MAC of a guarded one",
      value: `${
        results.map(({ got }) => got).join(" and ")
      } of ${TRIES} frames; then bob is cut off ` +
        `until his entry is restored (${again} of ${TRIES} after)`,
    });
  },
);

// The kernel never resolves a permanent neighbour again, so a new MAC of the bridge stays unknown.
hostTest(
  "guarded containers lose a bridge that changes its MAC, until their neighbours are corrected",
  async (host) => {
    await using scene = await Scene.create(host, { name: "moved", guard: true });
    assertEquals(await reachesHost(scene), TRIES);
    const other = "0a:58:00:00:00:99";
    await host.sh(`ip link set dev ${NETWORK.bridge} address ${other}`);
    const cut = await reachesHost(scene);
    assertEquals(cut, 0);
    await host.sh(
      `ip -n bob neigh replace ${NETWORK.gateway} lladdr ${other} dev eth0 nud permanent`,
    );
    const again = await reachesHost(scene);
    assertEquals(again, TRIES);
    recordFinding({
      measure: "root changes the MAC of the bridge",
      value: `${cut} of ${TRIES} frames of a guarded container reach the host; ${again} with the ` +
        "new MAC in its permanent neighbour",
    });
  },
);

// A port that is locked only after it is up gives the container time to take over a MAC permanently.
hostTest(
  "a container that sends forged frames during its own ADD gains nothing",
  async (host) => {
    await using scene = await Scene.create(host, { name: "early", guard: true });
    for (let turn = 0; turn < TURNS; turn++) {
      const id = `mal${turn}`;
      await host.containers(id);
      await using agent = await Agent.start(host, id, "eth0", "early");
      const hasty = agent.haste(lies(scene), 1);
      await scene.plug(id, { inside: true });
      const sent = await hasty;
      assert(sent > 100, `only ${sent} forged frames were sent`);
      assertEquals(await reachesHost(scene), TRIES, `of bob's frames, turn ${turn}`);
    }
  },
);

hostTest("the ports of a bridge that is created again are guarded again", async (host) => {
  await using scene = await Scene.create(host, { name: "return", guard: true });
  // Eve sends forged frames while the ports return: no port may learn in that time.
  const [frames, eve] = [lies(scene), scene.agent("eve")];
  let [more, sent] = [true, 0];
  const hasty = (async () => {
    while (more) sent += await eve.haste(frames, 0.3);
  })();
  await host.sh(`ip link del dev ${NETWORK.bridge}`);
  await scene.plug("zoe").finally(() => more = false);
  await hasty;
  assert(sent > 100, `only ${sent} forged frames were sent`);
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
