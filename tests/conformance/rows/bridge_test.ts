import { tableTest } from "../table.ts";
import { BRIDGE } from "./bridge.ts";

tableTest(BRIDGE);
