import { assert } from "@std/assert";
import { framesOfAnAttacker } from "./frames.ts";
import { REPEATS } from "./limits.ts";
import { verify } from "./search.ts";
import { test } from "../both_errors.ts";

test("property: frames of an attacker", async () => {
  await verify(framesOfAnAttacker);
  const { seen, limits } = framesOfAnAttacker;
  const frames = seen.get("frames") ?? 0;
  assert(REPEATS || frames >= 1000 * limits.cases, `only ${frames} frames`);
});
