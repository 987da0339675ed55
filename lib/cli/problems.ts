import type { CniError } from "../base/errors.ts";
import type { Line } from "./screen.ts";

/** Errors for people: what is wrong, then what to do about it. */
export function problems(errors: readonly CniError[]): Line[] {
  return errors.flatMap(({ code, message, details }): Line[] => [
    [{ text: `error ${code}`, tone: "bad" }, `: ${message}`],
    ...(details === "" ? [] : [`  ${details}`]),
    `  more: atomicni explain ${code}`,
  ]);
}
