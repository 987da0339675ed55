import { assert, assertEquals } from "@std/assert";
import { newRandom } from "../random.ts";
import { build, CARELESS } from "./careless.ts";
import { FILE_SYSTEMS } from "./filesystem.ts";
import { scratchFolder } from "./power.ts";
import { recordRow } from "./page_row.ts";
import { SIZE } from "../size.ts";
import { replay } from "./replay.ts";

const FULL = SIZE === "full";
const [SYSTEM] = FILE_SYSTEMS;

// The short form tries one missing fsync; a program without any is tried in the full form only.
for (const careless of CARELESS.filter(({ name }) => FULL || name !== "no fsync at all")) {
  Deno.test(`a program that must fail: ${careless.name}`, async () => {
    assert(SYSTEM !== undefined);
    // A machine has a /dev of its own, but the host's /tmp.
    using folder = scratchFolder("/tmp");
    const { points, stormFaults, faults } = await replay({
      system: SYSTEM,
      program: await build(careless, folder.path),
      points: FULL ? 60 : 30,
      commands: FULL ? 45 : 20,
      useEach: 1000,
      random: newRandom(careless.name),
    });
    assertEquals(stormFaults, [], "it must work as long as the power stays");
    const [first = []] = faults.values();
    assert(first.length > 0, `${careless.name}: all of ${points} points are right`);
    recordRow(
      "programs",
      careless.name,
      SYSTEM.name,
      `${faults.size} of ${points}`,
      first[0] ?? "",
    );
  });
}
