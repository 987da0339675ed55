/** The codes of an error document: the specification's (SPEC §5) up to 99, this plugin's own from 100. */
export type ErrorCode =
  | 1 // spec version not supported
  | 2 // configuration key not supported
  | 3 // container unknown
  | 4 // environment
  | 5 // state folder or file can't be read or written
  | 6 // stdin can't be decoded
  | 7 // network configuration
  | 8 // network namespace
  | 11 // took too long or was told to stop: try again
  | 50 // STATUS: an ADD could not be served
  | 100 // `ip` failed
  | 101 // no free address
  | 102 // the address asked for can't be given
  | 103 // the interface exists in the container already
  | 104 // state file damaged
  | 105 // bridge not usable as configured
  | 106 // CHECK found a difference
  | 199; // a bug in this program

export interface ErrorContext {
  /** What to do about it; a sentence or several. */
  readonly details?: string;
  readonly cause?: unknown;
}

/**
 * The only error a caller of this program ever sees. The message names the value, what was wanted and what was
 * found (`Cannot <do> "<value>" as <wanted>: <found>`); `details` holds the remedy.
 */
export class CniError extends Error {
  override readonly name = "CniError";
  readonly code: ErrorCode;
  readonly details: string;

  constructor(code: ErrorCode, message: string, context: ErrorContext = {}) {
    // Both are shown on somebody's terminal, and both quote what others wrote.
    super(printable(message), { cause: context.cause });
    this.code = code;
    this.details = printable(context.details ?? "");
  }

  /** The same error with a further sentence behind its details. */
  withDetails(sentence: string): CniError {
    const details = this.details === "" ? sentence : `${this.details}; ${sentence}`;
    return new CniError(this.code, this.message, { details, cause: this.cause });
  }
}

/** A value that does not parse: what was wanted and what was found, without the name it was read under. */
export class Malformed extends Error {
  override readonly name = "Malformed";
  constructor(readonly wanted: string, readonly found: string) {
    super(`not ${wanted}: ${found}`);
  }

  /** The same for somebody who knows the name, and the value that was read under it. */
  named(code: ErrorCode, name: string, value: unknown, remedy: string): CniError {
    return new CniError(
      code,
      `Cannot use ${name} ${quote(value)} as ${this.wanted}: ${this.found}`,
      {
        details: remedy,
        cause: this,
      },
    );
  }
}

/**
 * `text` with everything that a terminal would act on, or that turns the order of letters round, made visible.
 * Newlines and tabs stay: `ip` has them in what it says.
 */
export function printable(text: string): string {
  return text.replaceAll(
    // deno-lint-ignore no-control-regex
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    escaped,
  );
}

/** A character as JSON writes those that it may not have as they are. */
export function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

const LONGEST_QUOTE = 120;

/** `value` as JSON, cut to a length that fits a log line; control characters stay escaped. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= LONGEST_QUOTE ? text : `${text.slice(0, LONGEST_QUOTE)}…`;
}

/** Any thrown thing as a `CniError`; what is not one already is a bug of ours (code 199). */
export function asCniError(thrown: unknown): CniError {
  if (thrown instanceof CniError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const frame = error.stack?.split("\n").find((line) => line.trimStart().startsWith("at "));
  return new CniError(199, `Cannot go on: ${error.name}: ${error.message}`, {
    details: `this is a bug in atomicni; it happened ${frame?.trim() ?? "at an unknown place"}`,
    cause: error,
  });
}
