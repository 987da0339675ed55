import { assert, assertEquals } from "@std/assert";
import { hostTest } from "../integration/host.ts";
import { Agent } from "./agent.ts";
import { tableSize } from "./announcements.ts";
import { Iperf, median, type Transfer } from "./iperf.ts";
import { recordFinding } from "./finding.ts";
import { SIZE } from "../size.ts";
import { Scene } from "./scene.ts";

const ROUNDS = 7;
/** Measures CPU per byte, because a busy machine distorts the speed. A second unguarded pair shows the noise. */
const MOST_CPU = 1.25;

/** Skips the speed in the short form, because measuring it takes long. */
const fullTest: typeof hostTest = (...test) => {
  if (SIZE === "full") hostTest(...test);
};

fullTest(
  "traffic of a guarded container is as fast as that of an unguarded container",
  async (host) => {
    await using scene = await Scene.create(host, { name: "speed", guard: false }, false);
    const ends = { g: "guarded", n: "another unguarded", u: "unguarded" } as const;
    for (const pair of ["g", "n", "u"] as const) {
      for (const end of [1, 2]) await scene.plug(`${pair}${end}`, { guard: pair === "g" });
    }
    for (const family of ["ip4", "ip6"] as const) {
      await using g = await Iperf.start(host, "g2");
      await using n = await Iperf.start(host, "n2");
      await using u = await Iperf.start(host, "u2");
      const rounds: Record<"g" | "n" | "u", Transfer>[] = [];
      const transfer = (server: Iperf, pair: string) =>
        server.from(`${pair}1`, scene.at(`${pair}2`)[family], 1);
      for (let round = 0; round < ROUNDS; round++) {
        rounds.push({
          g: await transfer(g, "g"),
          u: await transfer(u, "u"),
          n: await transfer(n, "n"),
        });
      }
      for (const pair of ["g", "n"] as const) {
        const costs = rounds.map((it) => it[pair].cpu / it.u.cpu);
        const speeds = rounds.map((it) => it[pair].mbits / it.u.mbits);
        recordFinding({
          measure: `${ends[pair]} ÷ unguarded, TCP between two containers, IPv${family.slice(2)}`,
          value: `CPU per byte ${spread(costs)}, speed ${spread(speeds)}; ${ROUNDS} pairs of 1 s`,
        });
        if (pair === "g") assert(median(costs) <= MOST_CPU, `CPU per byte: ${costs}`);
      }
    }
  },
);

fullTest(
  "a flood of random source MACs, and its effect on others, with and without the guard",
  async (host) => {
    await using scene = await Scene.create(host, { name: "flood", guard: false }, false);
    await using server = await Iperf.start(host, await addTo(scene, "bob", false));
    await addTo(scene, "ann", false);
    const measure = async () => (await server.from("ann", scene.at("bob").ip4, 2)).mbits;
    const quiet = await measure();
    recordFinding({ measure: "TCP ann → bob, without a flood", value: `${quiet} Mbit/s` });
    for (const guard of [true, false]) {
      const eve = await addTo(scene, guard ? "guarded" : "unguarded", guard);
      await using agent = await Agent.start(host, eve, "eth0", "send");
      const before = await tableSize(scene);
      const [sent, speed] = await Promise.all([agent.flood(2.5), measure()]);
      const grown = await tableSize(scene) - before;
      recordFinding({
        measure: `TCP ann → bob while ${guard ? "a guarded" : "an unguarded"} container floods`,
        value: `${speed} Mbit/s; ${sent} frames in 2.5 s, the bridge's table grew by ${grown}`,
      });
      if (guard) assertEquals(grown, 0);
      else assert(grown > 1000, `${grown} learned: the flood did not reach the bridge`);
      assert(speed > quiet / 20, `${speed} Mbit/s of ${quiet}`);
    }
  },
);

/** The median and the range of some ratios. */
function spread(ratios: readonly number[]): string {
  const [middle, least, most] = [median(ratios), Math.min(...ratios), Math.max(...ratios)];
  return `${middle.toFixed(2)} (${least.toFixed(2)} to ${most.toFixed(2)})`;
}

async function addTo(scene: Scene, id: string, guard: boolean): Promise<string> {
  await scene.plug(id, { guard });
  return id;
}
