import { assertEquals } from "@std/assert";
import { newRandom } from "../random.ts";
import { cutAgainAndAgain } from "./cuts.ts";
import { FILE_SYSTEMS } from "./filesystem.ts";
import { recordRow } from "./page_row.ts";
import { SIZE } from "../size.ts";
import { test } from "../both_errors.ts";

const CUTS = Number(Deno.env.get("MACHINE_CUTS") ?? (SIZE === "full" ? 8 : 3));

for (const system of SIZE === "full" ? FILE_SYSTEMS : FILE_SYSTEMS.slice(0, 1)) {
  test(`power cuts: ${system.name}`, async () => {
    const seen = await cutAgainAndAgain(system, CUTS, newRandom(`power cuts on ${system.name}`));
    assertEquals(seen.faults, []);
    const { cuts, commands, unflushed, kept } = seen;
    recordRow("cuts", system.name, cuts, commands, `${kept} of ${unflushed}`);
  });
}
