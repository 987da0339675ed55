import { differentialTest } from "./compare.ts";
import { DIFFERENCES } from "./differences.ts";
import { FAMILY_DIFFERENCES } from "./family_differences.ts";
import { FAMILY_INPUTS } from "./family_inputs.ts";

differentialTest(
  "ranges, both families and layer 2, in this plugin and in the reference",
  FAMILY_INPUTS,
  {
    own: FAMILY_DIFFERENCES,
    common: DIFFERENCES,
  },
);
