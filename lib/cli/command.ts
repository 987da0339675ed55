import type { CniError } from "../base/errors.ts";
import type { Kernel } from "../netops.ts";
import type { Line } from "./screen.ts";

/** An option of a command: `--name`, or `--name VALUE` for a string. `short` is its one-letter form. */
export interface Option {
  readonly type: "boolean" | "string";
  readonly about: string;
  readonly short?: string;
}

export const COMMON_OPTIONS: Readonly<Record<string, Option>> = {
  json: { type: "boolean", about: "print one JSON value", short: "j" },
  wide: { type: "boolean", about: "do not fit lines to the width of the terminal" },
  output: { type: "string", about: "json or wide, as in kubectl", short: "o" },
  help: { type: "boolean", about: "describe the command, with an example", short: "h" },
};

/** Exit status: 0 all is well, 1 something needs a look, 2 the command failed. */
export type ExitStatus = 0 | 1 | 2;

/** The output of a command: lines for people, one JSON value for programs. */
export interface Report {
  readonly lines: readonly Line[];
  /** The lines are the contents of a file, so they are never wrapped. */
  readonly isFile?: true;
  /** Printed on stderr if the lines are for a program. */
  readonly errors?: readonly CniError[];
  readonly json: unknown;
  readonly exit: ExitStatus;
}

/** The arguments, stdin and kernel of a command. */
export interface Call {
  /** The arguments after the command name. */
  readonly args: readonly string[];
  readonly has: (option: string) => boolean;
  readonly value: (option: string) => string | undefined;
  /** The whole of stdin. */
  readonly stdin: () => Promise<string>;
  readonly kernel: Kernel;
}

/** An operator command; `lib/cli.ts` lists them. */
export interface Command {
  readonly name: string;
  /** The arguments, as help shows them. */
  readonly takes: string;
  readonly about: string;
  readonly example: string;
  /** The options in addition to `COMMON_OPTIONS`. */
  readonly options?: Readonly<Record<string, Option>>;
  /** None without it. */
  readonly maxArguments?: number;
  readonly run: (call: Call) => Report | Promise<Report>;
}

/** A wrong command line. The message names the wrong argument, `details` a valid one. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  constructor(message: string, readonly details: string) {
    super(message);
  }
}

/** Errors as lines for people: the message, then the remedy. */
export function problems(errors: readonly CniError[]): Line[] {
  return errors.flatMap(({ code, message, details }): Line[] => [
    [{ text: `error ${code}`, tone: "bad" }, `: ${message}`],
    ...(details === "" ? [] : [`  ${details}`]),
    `  more: atomicni explain ${code}`,
  ]);
}
