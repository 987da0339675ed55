import { assert, assertEquals } from "@std/assert";
import { hostTest } from "../integration/host.ts";
import { newMark, TRIES } from "./attack.ts";
import { takeNeighboursMac } from "./attacks.ts";
import { recordFinding } from "./finding.ts";
import { NETWORK, Scene } from "./scene.ts";

/** Counts how many of ten datagrams from bob reach the host. */
async function reachesHost(scene: Scene): Promise<number> {
  const mark = newMark("bob-host");
  await scene.agent("bob").talk({ [NETWORK.gateway]: mark }, TRIES);
  return (await scene.agent("host").sees(mark, TRIES)).own;
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
