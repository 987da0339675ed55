import type { CniError } from "../../base/errors.ts";

/** `note` is what the scope keeps from being seen; `warning` works but not as one may think; `error` fails an ADD. */
export type Level = "ok" | "note" | "warning" | "error";

/** One thing that was looked at. */
export interface Finding {
  readonly level: Level;
  readonly about: string;
  /** A sentence without its final stop. */
  readonly found: string;
  /** What to do, as a command or as the value to write; absent where there is nothing to do. */
  readonly remedy?: string;
  /** The code an ADD would fail with. */
  readonly code?: number;
  /** The line that it is about, and a caret below its place. */
  readonly excerpt?: readonly string[];
}

export function finding(level: Level, about: string, found: string, remedy = ""): Finding {
  return { level, about, found, ...(remedy !== "" && { remedy }) };
}

/** What would fail an ADD with this error. */
export function failure(about: string, { code, message, details }: CniError): Finding {
  return { ...finding("error", about, message, details), code };
}
