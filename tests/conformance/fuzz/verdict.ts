import { ERROR_CODES } from "../../../lib/base/errors.ts";
import type { Case } from "./mutate.ts";

/** The outcome of one run. */
export interface Ended {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

const CODES: readonly unknown[] = Object.values(ERROR_CODES);

/** The fault in the outcome of a run; `undefined` if there is none. */
export function complaint({ env }: Case, { exit, stdout, stderr }: Ended): string | undefined {
  if (exit !== 0 && exit !== 1) return `exit status ${exit}`;
  if (/\n\s+at |\\n\s+at |Stack backtrace|Uncaught/.test(stdout + stderr)) return "a stack trace";
  const silent = exit === 0 && ["DEL", "CHECK", "GC", "STATUS"].includes(env["CNI_COMMAND"] ?? "");
  if (silent) return stdout === "" ? undefined : "success with output";
  let document: unknown;
  try {
    document = JSON.parse(stdout);
  } catch {
    return "not one JSON document";
  }
  if (typeof document !== "object" || document === null) return "no JSON object";
  const { cniVersion, code, msg, details, ...rest } = document as Record<string, unknown>;
  if (typeof cniVersion !== "string") return "no cniVersion";
  if (exit === 0) return code === undefined ? undefined : "an error with exit status 0";
  if (!CODES.includes(code) || code === ERROR_CODES.Bug) return `code ${code}`;
  if (typeof msg !== "string" || msg === "" || !["string", "undefined"].includes(typeof details)) {
    return "no message";
  }
  return Object.keys(rest).length === 0 ? undefined : "more keys than an error has";
}
