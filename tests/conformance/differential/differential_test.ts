import { DIFFERENCES } from "./differences.ts";
import { differentialTest } from "./compare.ts";
import { INPUTS } from "./inputs.ts";

differentialTest("the same inputs to this plugin and to bridge + host-local", INPUTS, {
  own: DIFFERENCES,
});
