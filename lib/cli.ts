import { parseArguments, surplus, wantsJson } from "./cli/arguments.ts";
import type { Call, Command, ExitStatus, Report } from "./cli/command.ts";
import { UsageError } from "./cli/command.ts";
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
import { asCniError, CniError, printable } from "./base/errors.ts";
import { PROGRAM_VERSION } from "./base/scope.ts";
import { SPEC_VERSIONS } from "./base/spec.ts";

/** The operator commands, in the order in which help lists them. */
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

/** The standard streams of the process that runs a command. */
export interface Terminal {
  readonly stdin: () => Promise<string>;
  readonly print: (text: string) => void;
  readonly warn: (text: string) => void;
  /** stdout is a terminal. */
  readonly isTerminal: boolean;
  readonly screen: Screen;
}

/** Runs the command that `args` name. Returns the exit status: 0 all is well, 1 something needs a look, 2 it failed. */
export async function serve(args: readonly string[], terminal: Terminal): Promise<ExitStatus> {
  try {
    if (args.length === 0 && !terminal.isTerminal) {
      // Every plugin prints this without CNI_COMMAND (rule V3). stdout stays empty, and stdin is not read.
      terminal.warn(
        `CNI atomicni plugin ${PROGRAM_VERSION}\nCNI protocol versions supported: ${
          SPEC_VERSIONS.join(", ")
        }\n`,
      );
      return 0;
    }
    return await dispatch(args, terminal);
  } catch (error) {
    // The reader closed the pipe.
    if (error instanceof Deno.errors.BrokenPipe) return 0;
    return printError(error, wantsJson(args), terminal);
  }
}

/** stdout could not be written. `printError` reports this error on stderr, even with `--json`. */
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
  const { positional, flags } = parseArguments(args, command, known);
  if (first === "help" || flags["help"] === true || (first === undefined && !flags["version"])) {
    const about = first === "help" ? positional[1] : first;
    const isOverview = about === undefined || about === "help";
    return print(isOverview ? overview(COMMANDS) : helpOf(known(about)), flags, terminal);
  }
  const chosen = first === undefined ? version : known(first);
  const call: Call = {
    args: positional.slice(1),
    has: (option) => flags[option] === true,
    value: (option) => typeof flags[option] === "string" ? String(flags[option]) : undefined,
    stdin: terminal.stdin,
    kernel: openKernel(),
  };
  const more = call.args[chosen.maxArguments];
  if (more !== undefined) throw surplus(chosen, more);
  for (;;) {
    const exit = print(await reported(chosen, call), flags, terminal);
    if (flags["watch"] !== true) return exit;
    await new Promise((resume) => setTimeout(resume, 1000));
    if (terminal.isTerminal) terminal.print("\x1b[H\x1b[2J");
  }
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
    `Cannot run "${name}": it is not a command`,
    didYouMean(name, names) || `commands: ${names.join(", ")}`,
  );
}

function print(
  report: Report,
  flags: Readonly<Record<string, unknown>>,
  terminal: Terminal,
): ExitStatus {
  // JSON.stringify does not escape DEL and the control characters from U+0080 to U+009F.
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

/** The screen of a report. File contents and `--wide` have no maximum width. */
function screenOf(
  { isFile }: Report,
  flags: Readonly<Record<string, unknown>>,
  { screen }: Terminal,
): Screen {
  return isFile === true || flags["wide"] === true ? { ...screen, width: undefined } : screen;
}

/** Prints an error: as JSON on stdout with `--json`, else as sentences on stderr. */
function printError(error: unknown, json: boolean, { print, warn }: Terminal): 2 {
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
