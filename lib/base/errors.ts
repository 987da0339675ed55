/** The specification's errors up to 99 (SPEC §5, names after the reference's `types.go`), this plugin's from 100. */
export const ERROR_CODES = {
  IncompatibleVersion: 1,
  UnsupportedField: 2,
  UnknownContainer: 3,
  InvalidEnvironment: 4,
  IOFailure: 5,
  DecodingFailure: 6,
  InvalidNetworkConfig: 7,
  InvalidNetNS: 8,
  TryAgainLater: 11,
  PluginNotAvailable: 50,
  IpFailed: 100,
  PoolExhausted: 101,
  AddressUnavailable: 102,
  InterfaceExists: 103,
  StateDamaged: 104,
  BridgeUnusable: 105,
  AttachmentDiffers: 106,
  Bug: 199,
} as const;

export type ErrorName = keyof typeof ERROR_CODES;
export type ErrorCode = (typeof ERROR_CODES)[ErrorName];

/**
 * The only error that a caller of this program sees. The message names the value, the wanted form and the found one
 * (`Cannot <do> "<value>" as <wanted>: <found>`); `details` has the remedy.
 */
export class CniError extends Error {
  override readonly name = "CniError";
  /** The remedy, in one or several sentences. */
  readonly details: string;

  constructor(readonly kind: ErrorName, message: string, details: string) {
    // A terminal shows both, and both may quote text from containers and users.
    super(printable(message));
    this.details = printable(details);
  }

  get code(): ErrorCode {
    return ERROR_CODES[this.kind];
  }

  /** The message, with the details in parentheses. */
  get sentence(): string {
    return `${this.message} (${this.details})`;
  }

  /** The same error with a sentence added to its details. */
  withDetails(sentence: string): CniError {
    return new CniError(this.kind, this.message, `${this.details}; ${sentence}`);
  }
}

/** Whether `thrown` is this program's error of that kind. */
export function isError(thrown: unknown, kind: ErrorName): thrown is CniError {
  return thrown instanceof CniError && thrown.kind === kind;
}

function unless<T>(isExpected: (error: unknown) => boolean, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (isExpected(error)) return undefined;
    throw error;
  }
}

/** The value of `work`; `undefined` if it throws an error of one of these kinds. */
export function unlessError<T>(kinds: readonly ErrorName[], work: () => T): T | undefined {
  return unless((error) => kinds.some((kind) => isError(error, kind)), work);
}

/** The value of `parse`; `undefined` if it throws `Malformed`. */
export function unlessMalformed<T>(parse: () => T): T | undefined {
  return unless((error) => error instanceof Malformed, parse);
}

/** The value of `parse`. If it throws `Malformed`, throws the error that `report` makes of that. */
export function orReport<T>(parse: () => T, report: (error: Malformed) => CniError): T {
  try {
    return parse();
  } catch (error) {
    throw error instanceof Malformed ? report(error) : error;
  }
}

/** A value that does not parse: the wanted form and the found one, without the name of its key. */
export class Malformed extends Error {
  override readonly name = "Malformed";
  constructor(readonly wanted: string, readonly found: string) {
    super(`not ${wanted}: ${found}`);
  }

  /** As a CniError that names the value and its key. */
  withName(kind: ErrorName, name: string, value: unknown, remedy: string): CniError {
    return new CniError(
      kind,
      `Cannot use ${name} ${quote(value)} as ${this.wanted}: ${this.found}`,
      remedy,
    );
  }
}

/** Shows control characters and those that reverse the writing direction. Newlines and tabs stay: `ip` prints them. */
export function printable(text: string): string {
  return text.replaceAll(
    // deno-lint-ignore no-control-regex
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    escaped,
  );
}

/** A character as a JSON escape. */
export function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

const LONGEST_QUOTE = 120;

/** `value` as JSON, cut to a length that fits a log line; control characters stay escaped. */
export function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= LONGEST_QUOTE ? text : `${text.slice(0, LONGEST_QUOTE)}…`;
}

/** Any thrown value as a `CniError`; a value of another type is a bug of this program. */
export function asCniError(thrown: unknown): CniError {
  if (thrown instanceof CniError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const frame = error.stack?.split("\n").find((line) => line.trimStart().startsWith("at "));
  return new CniError(
    "Bug",
    `Unexpected internal error: ${error.name}: ${error.message}`,
    `this is a bug in atomicni; it happened ${frame?.trim() ?? "at an unknown place"}`,
  );
}

/** The value of `work`. An error of the operating system in it becomes an IOFailure about `path`. */
export function orIoError<T>(action: string, path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw error instanceof CniError ? error : ioError(action, path, error);
  }
}

/** As `orIoError`; `undefined` if `work` finds no file. */
export function ifThere<T>(action: string, path: string, work: () => T): T | undefined {
  const isMissing = (error: unknown) => error instanceof Deno.errors.NotFound;
  return orIoError(action, path, () => unless(isMissing, work));
}

/** An operating system's error about a path in the state folder. */
export function ioError(action: string, path: string, error: unknown): CniError {
  const found = error instanceof Error ? error.message : String(error);
  const folder = path.slice(0, path.lastIndexOf("/")) || "/";
  const details = error instanceof Deno.errors.PermissionDenied
    ? `run this as root; if you are root, see ls -ld ${folder} and lsattr -d ${folder}`
    // EMFILE and ENFILE
    : /os error 2[34]\)/.test(found)
    ? "raise the limit of open files of the runtime (LimitNOFILE in its unit, ulimit -n) or of the host (fs.file-max)"
    : `look at the disk (df, mount) and the folder (ls -ld ${folder}); it must be root's and writable`;
  return new CniError("IOFailure", `Cannot ${action} "${path}": ${found}`, details);
}
