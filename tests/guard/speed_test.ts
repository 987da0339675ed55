import { assert, assertEquals } from "@std/assert";
import { hostTest } from "../integration/host.ts";
import { Agent } from "./agent.ts";
import { tableSize } from "./announcements.ts";
import { Iperf, median } from "./iperf.ts";
import { record, SIZE } from "./outcome.ts";
import { Scene } from "./scene.ts";

const ROUNDS = 9;
/** Each round is a second of both on a machine that others use too: a median can be off by a tenth. */
const LEAST = 0.85;

/** Speed takes time to measure: not for the short form. */
const fullTest: typeof hostTest = (...test) => {
  if (SIZE === "full") hostTest(...test);
};

fullTest("a guarded container's traffic is as fast as an unguarded one's", async (host) => {
  await using scene = await Scene.create(host, { name: "speed", guard: false }, false);
  for (const id of ["g1", "g2"]) await scene.plug(id, { guard: true });
  for (const id of ["u1", "u2"]) await scene.plug(id);
  for (const family of ["ip4", "ip6"] as const) {
    await using guarded = await Iperf.start(host, "g2");
    await using unguarded = await Iperf.start(host, "u2");
    const ratios: number[] = [];
    const speeds: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const first = await guarded.from("g1", scene.at("g2")[family], 1);
      const second = await unguarded.from("u1", scene.at("u2")[family], 1);
      ratios.push(first / second);
      speeds.push(second);
    }
    const ratio = median(ratios);
    record({
      measure: `guarded ÷ unguarded, TCP between two containers, IPv${family.slice(2)}`,
      value: `${ratio.toFixed(2)} (median of ${ROUNDS} pairs of 1 s; unguarded ${
        (median(speeds) / 1000).toFixed(1)
      } Gbit/s)`,
    });
    assert(ratio >= LEAST, `${ratio}: ${ratios}`);
  }
});

fullTest(
  "a flood of random source MACs: what it does to others, with and without",
  async (host) => {
    await using scene = await Scene.create(host, { name: "flood", guard: false }, false);
    await using server = await Iperf.start(host, await addTo(scene, "bob", false));
    await addTo(scene, "ann", false);
    const measure = async () => await server.from("ann", scene.at("bob").ip4, 2);
    const quiet = await measure();
    record({ measure: "TCP ann → bob, nobody floods", value: `${quiet} Mbit/s` });
    for (const guard of [true, false]) {
      const eve = await addTo(scene, guard ? "guarded" : "unguarded", guard);
      await using agent = await Agent.start(host, eve, "eth0", "send");
      const before = await tableSize(scene);
      const [sent, speed] = await Promise.all([agent.flood(2.5), measure()]);
      const grown = await tableSize(scene) - before;
      record({
        measure: `TCP ann → bob while ${guard ? "a guarded" : "an unguarded"} container floods`,
        value: `${speed} Mbit/s; ${sent} frames in 2.5 s, the bridge's table grew by ${grown}`,
      });
      if (guard) assertEquals(grown, 0);
      else assert(grown > 1000, `${grown} learnt: the flood reached no bridge`);
      assert(speed > quiet / 20, `${speed} Mbit/s of ${quiet}`);
    }
  },
);

async function addTo(scene: Scene, id: string, guard: boolean): Promise<string> {
  await scene.plug(id, { guard });
  return id;
}
