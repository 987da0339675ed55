import { tableTest } from "../table.ts";
import { CHECK } from "./check.ts";

tableTest(CHECK);
