import { tableTest } from "../table.ts";
import { RANGES } from "./ranges.ts";

tableTest(RANGES);
