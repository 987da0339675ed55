import { parseArgs } from "@std/cli/parse-args";
import type { Call, Command, ExitStatus, Report } from "./cli/command.ts";
import { COMMON_OPTIONS, UsageError } from "./cli/command.ts";
import { completionOf } from "./cli/completion.ts";
import { doctor } from "./cli/doctor.ts";
import { explain } from "./cli/explain.ts";
import { helpOf, overview } from "./cli/help.ts";
import { hostRulesCommand } from "./cli/host_rules.ts";
import { importCommand } from "./cli/import.ts";
import { list } from "./cli/list.ts";
import { didYouMean } from "./cli/nearest.ts";
import { problems } from "./cli/problems.ts";
import { type Line, render, type Screen } from "./cli/screen.ts";
import { repair } from "./cli/repair.ts";
import { status } from "./cli/status.ts";
import { version } from "./cli/version.ts";
import { openKernel } from "./netops.ts";
import { asCniError, CniError, printable, quote } from "./base/errors.ts";
import { PROGRAM_VERSION } from "./base/scope.ts";
import { SPEC_VERSIONS } from "./base/spec.ts";

/** What a person can run, in the order of help. */
const COMMANDS: readonly Command[] = [
  list,
  explain,
  status,
  doctor,
  repair,
  hostRulesCommand,
  importCommand,
  version,
  completionOf(() => COMMANDS),
];

/** The process around a command. */
export interface Terminal {
  readonly stdin: () => Promise<string>;
  readonly print: (text: string) => void;
  readonly warn: (text: string) => void;
  /** stdout is somebody's terminal. */
  readonly isTerminal: boolean;
  readonly screen: Screen;
}

/** Runs what `args` ask for; returns the exit status: 0 well, 1 needs a look, 2 can't be done. */
export async function serve(args: readonly string[], terminal: Terminal): Promise<ExitStatus> {
  try {
    if (args.length === 0 && !terminal.isTerminal) {
      // What every plugin says without a command (rule V3); stdout stays empty, stdin unread.
      terminal.warn(
        `CNI atomicni plugin ${PROGRAM_VERSION}\nCNI protocol versions supported: ${
          SPEC_VERSIONS.join(", ")
        }\n`,
      );
      return 0;
    }
    return await dispatch(args, terminal);
  } catch (error) {
    // Whoever reads has read enough.
    if (error instanceof Deno.errors.BrokenPipe) return 0;
    return tell(error, asksForJson(args), terminal);
  }
}

/** Whether an error of the command line itself is to be JSON. */
function asksForJson(args: readonly string[]): boolean {
  return ["--json", "-j", "-ojson", "--output=json"].some((it) => args.includes(it)) ||
    /(^| )(-o|--output) json( |$)/.test(args.join(" "));
}

/** What could not be printed, so that it has to be told elsewhere. */
class PrintError extends CniError {
  constructor(error: Error) {
    super("IOFailure", `Cannot print: ${error.message}`, {
      details: "see where the output goes: its disk may be full",
      cause: error,
    });
  }
}

function printTo({ print }: Terminal, text: string): void {
  try {
    print(text);
  } catch (error) {
    throw error instanceof Deno.errors.BrokenPipe ? error : new PrintError(error as Error);
  }
}

async function dispatch(args: readonly string[], terminal: Terminal): Promise<ExitStatus> {
  const [first] = args.filter((it) => !it.startsWith("-"));
  const command = COMMANDS.find(({ name }) => name === first);
  const { words, flags } = parsed(args, command);
  if (first === "help" || flags["help"] === true || (first === undefined && !flags["version"])) {
    const about = first === "help" ? words[1] : first;
    const isOverview = about === undefined || about === "help";
    return print(isOverview ? overview(COMMANDS) : helpOf(known(about)), flags, terminal);
  }
  const chosen = first === undefined ? version : known(first);
  const call: Call = {
    words: words.slice(1),
    has: (option) => flags[option] === true,
    value: (option) => typeof flags[option] === "string" ? String(flags[option]) : undefined,
    stdin: terminal.stdin,
    kernel: openKernel(),
  };
  const surplus = call.words[chosen.mostWords];
  if (surplus !== undefined) {
    throw new UsageError(
      `Cannot take "${surplus}": unexpected argument`,
      takesFile(chosen) ? onStdin(chosen, surplus) : usage(chosen),
    );
  }
  for (;;) {
    const exit = print(await reported(chosen, call), flags, terminal);
    if (flags["watch"] !== true) return exit;
    await new Promise((resume) => setTimeout(resume, 1000));
    if (terminal.isTerminal) terminal.print("\x1b[H\x1b[2J");
  }
}

/** A command whose only input is a configuration on stdin. */
function takesFile({ takes, mostWords }: Command): boolean {
  return takes.includes("<") && mostWords === 0;
}

/** The line that gives the command its configuration. This program can't look into /etc/cni/net.d, so the shell does. */
function onStdin({ name }: Command, word: string): string {
  const isPath = word.includes("/") || /\.(conf|conflist|json)$/.test(word);
  const isName = /^[\w.-]+$/.test(word);
  const file = isPath || !isName ? "FILE" : `"$(grep -l '"${word}"' /etc/cni/net.d/* | head -n 1)"`;
  return `a configuration comes on stdin: atomicni ${name} < ${
    isPath && !/[^\w./-]/.test(word) ? word : file
  }`;
}

async function reported(command: Command, call: Call): Promise<Report> {
  try {
    return await command.run(call);
  } finally {
    await call.kernel.close();
  }
}

function known(name: string): Command {
  const found = COMMANDS.find((it) => it.name === name);
  if (found !== undefined) return found;
  const names = [...COMMANDS.map((it) => it.name), "help"];
  throw new UsageError(
    `Cannot do "${name}": it is no command`,
    didYouMean(name, names) || `commands: ${names.join(", ")}`,
  );
}

function usage({ name, takes }: Command): string {
  return `usage: atomicni ${name}${
    takes === "" ? "" : ` ${takes}`
  } (more: atomicni ${name} --help)`;
}

/** The words and options of a command line; `help` and a line without a command have the common options alone. */
function parsed(args: readonly string[], command: Command | undefined): {
  words: string[];
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
  const { _: words, ...flags }: { _: unknown[]; [option: string]: unknown } = parseArgs(apart, {
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
        `Cannot use "${arg}": it is no option${
          command === undefined ? "" : ` of "${command.name}"`
        }`,
        didYouMean(`--${key}`, all) || `options: ${all.join(", ")}`,
      );
    },
  });
  mustHaveNoValue(args, booleans);
  return { words: words.map(String), flags: withOutput(flags) };
}

/** A value that would be dropped silently. */
function mustHaveNoValue(args: readonly string[], booleans: readonly string[]): void {
  const wrong = args.find((arg) => booleans.some((name) => arg.startsWith(`--${name}=`)));
  if (wrong === undefined) return;
  const [option = ""] = wrong.split("=");
  throw new UsageError(`Cannot use "${wrong}": ${option} takes no value`, `write ${option}`);
}

/** `-o json` and `-o wide`, as kubectl has them. */
function withOutput(flags: Record<string, unknown>): Record<string, unknown> {
  const { output, ...others } = flags;
  if (output === undefined) return others;
  if (output === "json" || output === "wide") return { ...others, [output]: true };
  throw new UsageError(
    `Cannot print as ${quote(output)}: -o takes json or wide`,
    "leave -o out for a table, or use --json or --wide",
  );
}

function print(
  report: Report,
  flags: Readonly<Record<string, unknown>>,
  terminal: Terminal,
): ExitStatus {
  // JSON itself leaves the second half of the control characters as they are.
  printTo(
    terminal,
    flags["json"] === true
      ? `${printable(JSON.stringify(report.json))}\n`
      : render(report.lines, screenOf(report, flags, terminal)),
  );
  if (report.errors !== undefined) {
    terminal.warn(render(problems(report.errors), { colour: false, width: undefined }));
  }
  return report.exit;
}

/** What is a file, and what is asked for in full, may be wider than the screen. */
function screenOf(
  { isFile }: Report,
  flags: Readonly<Record<string, unknown>>,
  { screen }: Terminal,
): Screen {
  return isFile === true || flags["wide"] === true ? { ...screen, width: undefined } : screen;
}

/** An error in the form that was asked for: JSON on stdout, or sentences on stderr. */
function tell(error: unknown, json: boolean, { print, warn }: Terminal): 2 {
  if (error instanceof PrintError) json = false;
  const { code, message, details } = error instanceof UsageError
    ? { code: undefined, message: error.message, details: error.remedy }
    : asCniError(error);
  if (json) {
    print(`${printable(JSON.stringify({ error: { code, msg: message, details } }))}\n`);
    return 2;
  }
  const lines: Line[] = error instanceof UsageError
    ? [`atomicni: ${message}`, `  ${details}`]
    : problems([asCniError(error)]);
  warn(render(lines, { colour: false, width: undefined }));
  return 2;
}
