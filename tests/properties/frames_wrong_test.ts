import { frames } from "./frames.ts";
import { PROGRAMS } from "./frames/wrong.ts";
import { RULE_SETS } from "./frames/wrong_rules.ts";
import { SIZE } from "../size.ts";
import { REPEATS } from "./limits.ts";
import { finds } from "./search.ts";

const ALL = [...PROGRAMS, ...RULE_SETS];
/** The short form runs one of each sort: an order, a flag, a rule. */
const FEW = /^(sets a port up before|hands frames to reserved|lets routers)/;

for (const { name, script, kind, focus, from } of ALL) {
  if (SIZE === "short" && !FEW.test(name)) continue;
  Deno.test({
    name: `frames of an attacker: a program that ${name} is found`,
    ignore: REPEATS,
    fn: () => finds(frames(focus), script, kind, from),
  });
}
