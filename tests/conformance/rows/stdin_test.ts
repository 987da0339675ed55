import { tableTest } from "../table.ts";
import { STDIN } from "./stdin.ts";

tableTest(STDIN);
