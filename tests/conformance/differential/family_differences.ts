import type { Meant } from "./differences.ts";

export const FAMILY_DIFFERENCES: readonly Meant[] = [];
