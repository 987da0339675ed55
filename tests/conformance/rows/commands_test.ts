import { tableTest } from "../table.ts";
import { COMMANDS } from "./commands.ts";

tableTest(COMMANDS);
