import { SIZE } from "../size.ts";
import type { State } from "./scene.ts";

/** The states of SECURITY.md's table. */
export const OURS: readonly State[] = [
  { name: "guard off" },
  { name: "guard on", guard: true },
  { name: "guard on, host rules", guard: true, rules: true },
];
const MORE: readonly State[] = [
  { name: "host rules alone", rules: true },
  { name: "guard on, host rules, isolated", guard: true, rules: true, isolated: true },
  { name: "reference", reference: true },
  { name: "reference, macspoofchk", reference: true, guard: true },
];

export const STATES: readonly State[] = SIZE === "full" ? [...OURS, ...MORE] : OURS;
