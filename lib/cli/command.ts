import { parseArgs } from "@std/cli/parse-args";
import { type CniError, quote } from "../base/errors.ts";
import type { Kernel } from "../netops.ts";
import type { Line } from "./screen.ts";
import { didYouMean } from "./wording.ts";

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
    `  ${details}`,
    `  more: atomicni explain ${code}`,
  ]);
}

/** Parses a command line into arguments and options. `help` and a line without a command accept only common options. */
export function parseArguments(args: readonly string[], command: Command | undefined) {
  const options = Object.entries({ ...COMMON_OPTIONS, ...command?.options });
  const namesOf = (wanted: Option["type"]) =>
    options.filter(([, { type }]) => type === wanted).map(([name]) => name);
  const string = namesOf("string");
  const boolean = [...namesOf("boolean"), ...(command === undefined ? ["version"] : [])];
  const letters = options.filter(([, { type }]) => type === "string").map(([, it]) => it.short);
  // `parseArgs` would read `-ojson` as five options.
  const apart = args.flatMap((arg) =>
    letters.includes(arg[1]) && /^-[a-z][^=]/.test(arg) ? [arg.slice(0, 2), arg.slice(2)] : [arg]
  );
  const refuse = (arg: string, key?: string) => {
    if (key === undefined) return true;
    const all = [...boolean, ...string].map((name) => `--${name}`);
    const of = command === undefined ? "" : ` of "${command.name}"`;
    throw new UsageError(
      `Cannot use "${arg}": it is not an option${of}`,
      didYouMean(`--${key}`, all) || `options: ${all.join(", ")}`,
    );
  };
  const alias = Object.fromEntries(
    options.flatMap(([name, { short }]) => short ? [[short, name]] : []),
  );
  const { _: positional, output, ...flags }: { _: unknown[]; [option: string]: unknown } =
    parseArgs(
      apart,
      { boolean, string: [...string, "_"], alias, unknown: refuse },
    );
  // `parseArgs` would ignore the value of a boolean option.
  const valued = args.find((arg) => boolean.some((name) => arg.startsWith(`--${name}=`)));
  if (valued !== undefined) {
    const [option] = valued.split("=");
    throw new UsageError(`Cannot use "${valued}": ${option} takes no value`, `write ${option}`);
  }
  if (output !== undefined && output !== "json" && output !== "wide") {
    throw new UsageError(
      `Cannot print as ${quote(output)}: -o takes json or wide`,
      "leave -o out for a table, or use --json or --wide",
    );
  }
  // kubectl has -o json and -o wide too.
  if (output !== undefined) flags[output] = true;
  return { positional: positional.map(String), flags };
}

/** Whether an error in the command line is printed as JSON. */
export function wantsJson(args: readonly string[]): boolean {
  return ["--json", "-j", "-ojson", "--output=json"].some((it) => args.includes(it)) ||
    /(^| )(-o|--output) json( |$)/.test(args.join(" "));
}

/** The error for the first argument that the command does not take. */
export function surplus({ name, takes, maxArguments = 0 }: Command, word: string): UsageError {
  const isFromFile = takes.includes("<") && maxArguments === 0;
  const usage = `usage: ${`atomicni ${name} ${takes}`.trim()} (more: atomicni ${name} --help)`;
  return new UsageError(
    `Cannot take "${word}": unexpected argument`,
    isFromFile ? `a configuration comes on stdin: atomicni ${name} < ${fileOf(word)}` : usage,
  );
}

/** The file that the shell opens, because the scope excludes /etc/cni/net.d: a path, or the file of a network. */
function fileOf(word: string): string {
  if (word.includes("/") || /\.(conf|conflist|json)$/.test(word)) {
    return /[^\w./-]/.test(word) ? "FILE" : word;
  }
  return /^[\w.-]+$/.test(word) ? `"$(grep -l '"${word}"' /etc/cni/net.d/* | head -n 1)"` : "FILE";
}
