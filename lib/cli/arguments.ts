import { parseArgs } from "@std/cli/parse-args";
import { quote } from "../base/errors.ts";
import { type Command, COMMON_OPTIONS, UsageError } from "./command.ts";
import { didYouMean } from "./nearest.ts";

/** Parses a command line into arguments and options. `help` and a line without a command accept only common options. */
export function parseArguments(
  args: readonly string[],
  command: Command | undefined,
  known: (name: string) => unknown,
): {
  positional: string[];
  flags: Record<string, unknown>;
} {
  const options = Object.entries({ ...COMMON_OPTIONS, ...command?.options });
  const strings = options.filter(([, { type }]) => type === "string").map(([name]) => name);
  const booleans = options.filter(([, { type }]) => type === "boolean").map(([name]) => name);
  if (command === undefined) booleans.push("version");
  const alias = options.flatMap(([name, { short }]) => short === undefined ? [] : [[short, name]]);
  const letters = options.filter(([, { type }]) => type === "string").map(([, it]) => it.short);
  const apart = args.flatMap((arg) =>
    letters.includes(arg[1]) && /^-[a-z][^=]/.test(arg) ? [arg.slice(0, 2), arg.slice(2)] : [arg]
  );
  const { _: positional, ...flags }: { _: unknown[]; [option: string]: unknown } = parseArgs(
    apart,
    {
      boolean: booleans,
      string: [...strings, "_"],
      alias: Object.fromEntries(alias),
      unknown: (arg: string, key?: string) => {
        if (key === undefined) return true;
        // If the command does not exist, that is the error to report.
        const [first] = args;
        if (command === undefined && first !== undefined && !first.startsWith("-")) known(first);
        const all = [...booleans, ...strings].map((name) => `--${name}`);
        throw new UsageError(
          `Cannot use "${arg}": it is not an option${
            command === undefined ? "" : ` of "${command.name}"`
          }`,
          didYouMean(`--${key}`, all) || `options: ${all.join(", ")}`,
        );
      },
    },
  );
  refuseValues(args, booleans);
  return { positional: positional.map(String), flags: withOutput(flags) };
}

/** Throws for a value after a boolean option, because `parseArgs` would ignore the value. */
function refuseValues(args: readonly string[], booleans: readonly string[]): void {
  const wrong = args.find((arg) => booleans.some((name) => arg.startsWith(`--${name}=`)));
  if (wrong === undefined) return;
  const [option = ""] = wrong.split("=");
  throw new UsageError(`Cannot use "${wrong}": ${option} takes no value`, `write ${option}`);
}

/** Turns `-o json` and `-o wide`, which kubectl has too, into `--json` and `--wide`. */
function withOutput(flags: Record<string, unknown>): Record<string, unknown> {
  const { output, ...others } = flags;
  if (output === undefined) return others;
  if (output === "json" || output === "wide") return { ...others, [output]: true };
  throw new UsageError(
    `Cannot print as ${quote(output)}: -o takes json or wide`,
    "leave -o out for a table, or use --json or --wide",
  );
}

/** Whether an error in the command line is printed as JSON. */
export function wantsJson(args: readonly string[]): boolean {
  return ["--json", "-j", "-ojson", "--output=json"].some((it) => args.includes(it)) ||
    /(^| )(-o|--output) json( |$)/.test(args.join(" "));
}

/** The error for the first argument that the command does not take. */
export function surplus(command: Command, word: string): UsageError {
  return new UsageError(
    `Cannot take "${word}": unexpected argument`,
    takesFile(command) ? onStdin(command, word) : usage(command),
  );
}

/** Whether a configuration on stdin is the command's only input. */
function takesFile({ takes, maxArguments }: Command): boolean {
  return takes.includes("<") && maxArguments === 0;
}

/** The command line that passes the configuration. The shell opens the file: the scope excludes /etc/cni/net.d. */
function onStdin({ name }: Command, word: string): string {
  const isPath = word.includes("/") || /\.(conf|conflist|json)$/.test(word);
  const isName = /^[\w.-]+$/.test(word);
  const file = isPath || !isName ? "FILE" : `"$(grep -l '"${word}"' /etc/cni/net.d/* | head -n 1)"`;
  return `a configuration comes on stdin: atomicni ${name} < ${
    isPath && !/[^\w./-]/.test(word) ? word : file
  }`;
}

function usage({ name, takes }: Command): string {
  return `usage: atomicni ${name}${
    takes === "" ? "" : ` ${takes}`
  } (more: atomicni ${name} --help)`;
}
