import { tableTest } from "../table.ts";
import { LAYER2_ROWS } from "./layer2.ts";

tableTest(LAYER2_ROWS);
