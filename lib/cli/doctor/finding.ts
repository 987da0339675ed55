import type { CniError } from "../../base/errors.ts";

/** `note` can't be seen within the permission scope; `warning` works, but not as expected; `error` fails an ADD. */
export type Level = "ok" | "note" | "warning" | "error";

/** The result of one check. */
export interface Finding {
  readonly level: Level;
  readonly about: string;
  /** A sentence without the final full stop. */
  readonly found: string;
  /** A command to run or a value to write; absent if nothing has to be done. */
  readonly remedy?: string;
  /** The code an ADD would fail with. */
  readonly code?: number;
  /** The line of the input, and a caret below the place in it. */
  readonly excerpt?: readonly string[];
}

export function finding(level: Level, about: string, found: string, remedy = ""): Finding {
  return { level, about, found, ...(remedy !== "" && { remedy }) };
}

/** The finding for an error that would fail an ADD. */
export function failure(about: string, { code, message, details }: CniError): Finding {
  return { ...finding("error", about, message, details), code };
}
