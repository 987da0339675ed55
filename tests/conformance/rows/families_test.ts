import { tableTest } from "../table.ts";
import { FAMILIES } from "./families.ts";

tableTest(FAMILIES);
