import { tableTest } from "../table.ts";
import { ENVIRONMENT } from "./environment.ts";

tableTest(ENVIRONMENT);
