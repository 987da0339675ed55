import type { CniError } from "../base/errors.ts";
import type { Line } from "./screen.ts";

/** Errors as lines for people: the message, then the remedy. */
export function problems(errors: readonly CniError[]): Line[] {
  return errors.flatMap(({ code, message, details }): Line[] => [
    [{ text: `error ${code}`, tone: "bad" }, `: ${message}`],
    ...(details === "" ? [] : [`  ${details}`]),
    `  more: atomicni explain ${code}`,
  ]);
}
