import { CODES, plain } from "./codes.ts";
import type { ErrorCode } from "../base/errors.ts";
import { type Report, UsageError } from "./command.ts";
import type { Line } from "./screen.ts";

export function isCode(text: string): boolean {
  return Object.hasOwn(CODES, text);
}

/** What a code means, what to look at, what to do. */
export function explainCode(text: string): Report {
  const entry = Object.entries(CODES).find(([code]) => code === text);
  if (entry === undefined) {
    throw new UsageError(
      `Cannot explain "${text}": it is no code of this plugin`,
      `its codes: ${Object.keys(CODES).join(", ")}`,
    );
  }
  const [code, { meaning, cause, cure }] = entry;
  const lines: Line[] = [
    [{ text: `Code ${code}: ${plain(meaning)}`, tone: "strong" }],
    `Why: ${plain(cause)}`,
    "What to do:",
    ...cure.map((step) => `  - ${plain(step)}`),
  ];
  return { lines, json: { code: Number(code) as ErrorCode, meaning, cause, cure }, exit: 0 };
}
