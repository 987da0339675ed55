import type { ErrorCode } from "../base/errors.ts";
import { isObject } from "../base/fields.ts";
import { CODES, withoutBackquotes } from "./codes.ts";
import { type Report, UsageError } from "./command.ts";
import { type Line, strong } from "./screen.ts";

/** Whether `text` is the number of a code in the table. */
export function isCode(text: string): boolean {
  return Object.hasOwn(CODES, text);
}

/** A code, with the message and the details of its error document. */
export interface FoundCode {
  readonly code: string;
  readonly said: readonly string[];
}

/** The error in `101`, `error 101`, `code: 101`, or in an error document, which may be part of a log line. */
export function errorIn(text: string): FoundCode | undefined {
  const code = /^(?:(?:error|code)\s*:?\s*){0,2}(\d{1,3})$/i.exec(text)?.[1];
  if (code !== undefined) return { code, said: [] };
  return inDocument(text.slice(text.indexOf("{"), text.lastIndexOf("}") + 1));
}

function inDocument(text: string): FoundCode | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined; // the text is a name
  }
  if (!isObject(parsed)) return undefined;
  const { code, msg, details } = isObject(parsed["error"]) ? parsed["error"] : parsed;
  if (typeof code !== "number") return undefined;
  const said = [msg, details].filter((it) => typeof it === "string" && it !== "");
  return { code: String(code), said: said.map(String) };
}

/** The meaning, the cause and the remedies of a code. */
export function explainCode({ code, said }: FoundCode): Report {
  if (!isCode(code)) {
    throw new UsageError(
      `Cannot explain "${code}": it is not a code of this plugin`,
      `its codes: ${Object.keys(CODES).join(", ")}`,
    );
  }
  const number = Number(code) as ErrorCode;
  const { meaning, cause, cure } = CODES[number];
  const lines: Line[] = [
    ...said.map((it) => `> ${it}`),
    [strong(`Code ${code}: ${withoutBackquotes(meaning)}`)],
    `Why: ${withoutBackquotes(cause)}`,
    "What to do:",
    ...cure.map((step) => `  - ${withoutBackquotes(step)}`),
  ];
  return { lines, json: { code: number, meaning, cause, cure }, exit: 0 };
}
