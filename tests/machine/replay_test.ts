import { assertEquals } from "@std/assert";
import { newRandom } from "../random.ts";
import { FILE_SYSTEMS } from "./filesystem.ts";
import { recordRow } from "./page_row.ts";
import { SIZE } from "../size.ts";
import { PROGRAM } from "./command_line.ts";
import { replay } from "./replay.ts";
import { test } from "../both_errors.ts";

const FULL = SIZE === "full";

for (const system of FULL ? FILE_SYSTEMS : FILE_SYSTEMS.slice(1, 2)) {
  test(`one storm, cut at many points: ${system.name}`, async () => {
    const seen = await replay({
      system,
      program: PROGRAM,
      points: FULL ? 100 : 6,
      commands: FULL ? 60 : 16,
      useEach: 5,
      random: newRandom(`points on ${system.name}`),
    });
    assertEquals(seen.stormFaults, []);
    assertEquals([...seen.faults], []);
    const { points, writes, flushes, commands, kept, unflushed } = seen;
    recordRow("points", system.name, points, writes, flushes, commands, `${kept} of ${unflushed}`);
  });
}
