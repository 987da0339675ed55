import { tableTest } from "../table.ts";
import { RESULTS } from "./results.ts";

tableTest(RESULTS);
