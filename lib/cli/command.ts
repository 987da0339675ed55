import type { CniError } from "../base/errors.ts";
import type { Kernel } from "../netops.ts";
import type { Line } from "./screen.ts";

/** An option of a command, `--name` or, for a string, `--name VALUE`; `short` is its one-letter form. */
export interface Option {
  readonly type: "boolean" | "string";
  readonly about: string;
  readonly short?: string;
}

/** The options that each command has. */
export const COMMON_OPTIONS: Readonly<Record<string, Option>> = {
  json: { type: "boolean", about: "the same as one JSON value", short: "j" },
  wide: { type: "boolean", about: "lines as long as they are, whatever the terminal's width" },
  output: { type: "string", about: "json or wide, as kubectl has it", short: "o" },
  help: { type: "boolean", about: "what it does, with an example", short: "h" },
};

/** Exit status for scripts: all is well; something needs a look; it can't be done. */
export type ExitStatus = 0 | 1 | 2;

/** What a command found, for people as lines and for programs as one JSON value. */
export interface Report {
  readonly lines: readonly Line[];
  /** The lines are a file's: they are printed as they are, however wide the screen is. */
  readonly isFile?: true;
  /** Printed on stderr, besides lines that are for a program. */
  readonly errors?: readonly CniError[];
  readonly json: unknown;
  readonly exit: ExitStatus;
}

/** What a command is called with. */
export interface Call {
  /** The arguments after the command name. */
  readonly words: readonly string[];
  readonly has: (option: string) => boolean;
  readonly value: (option: string) => string | undefined;
  /** The whole of stdin. */
  readonly stdin: () => Promise<string>;
  readonly kernel: Kernel;
}

/** One command of those a person runs; `lib/cli.ts` has the list. */
export interface Command {
  readonly name: string;
  /** The words it takes, as help shows them. */
  readonly takes: string;
  readonly about: string;
  readonly example: string;
  /** Besides `COMMON_OPTIONS`. */
  readonly options: Readonly<Record<string, Option>>;
  readonly mostWords: number;
  readonly run: (call: Call) => Report | Promise<Report>;
}

/** A command line that is not of the form; the message says which word, the remedy what would be. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  constructor(message: string, readonly remedy: string) {
    super(message);
  }
}
