import { asksForJson, parseArguments, surplus } from "./cli/arguments.ts";
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
  const { words, flags } = parseArguments(args, command, known);
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
  const more = call.words[chosen.mostWords];
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
    `Cannot do "${name}": it is no command`,
    didYouMean(name, names) || `commands: ${names.join(", ")}`,
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
