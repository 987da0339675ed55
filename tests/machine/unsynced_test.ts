import { assert, assertEquals } from "@std/assert";
import { newRandom } from "../random.ts";
import { build, UNSYNCED } from "./unsynced.ts";
import { FILE_SYSTEMS } from "./filesystem.ts";
import { scratchFolder } from "./power.ts";
import { recordRow } from "./page_row.ts";
import { SIZE } from "../size.ts";
import { replay } from "./replay.ts";
import { test } from "../both_errors.ts";

const FULL = SIZE === "full";
const [SYSTEM] = FILE_SYSTEMS;

// The short form tries one missing fsync.
for (const unsynced of UNSYNCED.filter(({ name }) => FULL || name === "no fsync of the file")) {
  test(`a program that must fail: ${unsynced.name}`, async () => {
    assert(SYSTEM !== undefined);
    // A machine has a /dev of its own, but the host's /tmp.
    using folder = scratchFolder("/tmp");
    const { points, stormFaults, faults } = await replay({
      system: SYSTEM,
      program: await build(unsynced, folder.path),
      points: FULL ? 60 : 10,
      commands: FULL ? 45 : 20,
      useEach: 1000,
      random: newRandom(unsynced.name),
    });
    assertEquals(stormFaults, [], "it must work as long as the power stays");
    const [first = []] = faults.values();
    assert(first.length > 0, `${unsynced.name}: all of ${points} points are right`);
    recordRow(
      "programs",
      unsynced.name,
      SYSTEM.name,
      `${faults.size} of ${points}`,
      first[0] ?? "",
    );
  });
}
