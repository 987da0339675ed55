import type { CniError } from "../base/errors.ts";
import type { Report } from "./command.ts";
import type { Overview } from "./overview.ts";
import type { Line } from "./screen.ts";

/** Errors as lines for people: the message, then the remedy. */
export function problems(errors: readonly CniError[]): Line[] {
  return errors.flatMap(({ code, message, details }): Line[] => [
    [{ text: `error ${code}`, tone: "bad" }, `: ${message}`],
    ...(details === "" ? [] : [`  ${details}`]),
    `  more: atomicni explain ${code}`,
  ]);
}

/** A report about an overview. Its errors follow the lines. */
export function reportOn(
  { errors }: Overview,
  lines: readonly Line[],
  json: Readonly<Record<string, unknown>>,
  needsLook: boolean,
): Report {
  const plain = errors.map(({ code, message, details }) => ({ code, msg: message, details }));
  return {
    lines: [...lines, ...problems(errors)],
    json: { ...json, errors: plain },
    exit: errors.length > 0 ? 2 : needsLook ? 1 : 0,
  };
}
