import type { Row } from "./lab.ts";
import { BRIDGE } from "./rows/bridge.ts";
import { CHECK } from "./rows/check.ts";
import { COMMANDS } from "./rows/commands.ts";
import { ENVIRONMENT } from "./rows/environment.ts";
import { FAMILIES } from "./rows/families.ts";
import { LAYER2_ROWS } from "./rows/layer2.ts";
import { RANGES } from "./rows/ranges.ts";
import { RESULTS } from "./rows/results.ts";
import { STDIN } from "./rows/stdin.ts";

/** The whole table. */
export const ROWS: readonly Row[] = [
  ...ENVIRONMENT,
  ...STDIN,
  ...RESULTS,
  ...COMMANDS,
  ...CHECK,
  ...BRIDGE,
  ...RANGES,
  ...FAMILIES,
  ...LAYER2_ROWS,
];
