import {
  type Call,
  type Command,
  type ExitStatus,
  parseArguments,
  problems,
  type Report,
  surplus,
  UsageError,
  wantsJson,
} from "./cli/command.ts";
import { completionOf } from "./cli/completion.ts";
import { doctor } from "./cli/doctor.ts";
import { explain } from "./cli/explain.ts";
import { helpOf, overview } from "./cli/help.ts";
import { hostRulesCommand } from "./cli/host_rules.ts";
import { importCommand } from "./cli/import.ts";
import { list } from "./cli/list.ts";
import { render, type Screen } from "./cli/screen.ts";
import { repair } from "./cli/repair.ts";
import { status } from "./cli/status.ts";
import { version } from "./cli/version.ts";
import { didYouMean } from "./cli/wording.ts";
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

interface Terminal {
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
      const versions = `CNI protocol versions supported: ${SPEC_VERSIONS.join(", ")}`;
      terminal.warn(`CNI atomicni plugin ${PROGRAM_VERSION}\n${versions}\n`);
      return 0;
    }
    return await dispatch(args, terminal);
  } catch (error) {
    // The reader closed the pipe.
    if (error instanceof Deno.errors.BrokenPipe) return 0;
    return printError(error, wantsJson(args), terminal);
  }
}

async function dispatch(args: readonly string[], terminal: Terminal): Promise<ExitStatus> {
  const [first] = args.filter((it) => !it.startsWith("-"));
  const command = first === undefined || first === "help" ? undefined : known(first);
  const { positional, flags } = parseArguments(args, command);
  if (flags["help"] === true || (command === undefined && !flags["version"])) {
    const about = first === "help" ? positional[1] : first;
    const isOverview = about === undefined || about === "help";
    return printReport(isOverview ? overview(COMMANDS) : helpOf(known(about)), flags, terminal);
  }
  const chosen = command ?? version;
  const [, ...own] = positional;
  const more = own[chosen.maxArguments ?? 0];
  if (more !== undefined) throw surplus(chosen, more);
  const kernel = openKernel();
  const call: Call = {
    args: own,
    has: (option) => flags[option] === true,
    value: (option) => typeof flags[option] === "string" ? String(flags[option]) : undefined,
    stdin: terminal.stdin,
    kernel,
  };
  try {
    for (;;) {
      const exit = printReport(await chosen.run(call), flags, terminal);
      if (flags["watch"] !== true) return exit;
      await new Promise((resume) => setTimeout(resume, 1000));
      if (terminal.isTerminal) terminal.print("\x1b[H\x1b[2J");
    }
  } finally {
    await kernel.close();
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

/** stdout could not be written. `printError` reports this error on stderr, even with `--json`. */
class PrintError extends CniError {
  constructor(error: Error) {
    super(
      "IOFailure",
      `Cannot print: ${error.message}`,
      "see where the output goes: its disk may be full",
    );
  }
}

/** Prints a report. File contents and `--wide` have no maximum width. */
function printReport(report: Report, flags: Readonly<Record<string, unknown>>, terminal: Terminal) {
  const { lines, json, isFile, errors, exit } = report;
  const { print, warn, screen } = terminal;
  const isWide = isFile === true || flags["wide"] === true;
  const text = flags["json"] === true
    ? jsonLine(json)
    : render(lines, isWide ? { ...screen, width: undefined } : screen);
  try {
    print(text);
  } catch (error) {
    throw error instanceof Deno.errors.BrokenPipe ? error : new PrintError(error as Error);
  }
  if (errors !== undefined) warn(render(problems(errors), PLAIN));
  return exit;
}

/** Prints an error: as JSON on stdout with `--json`, else as sentences on stderr. */
function printError(thrown: unknown, isJson: boolean, { print, warn }: Terminal): 2 {
  const error = thrown instanceof UsageError ? thrown : asCniError(thrown);
  const { message, details } = error;
  if (isJson && !(error instanceof PrintError)) {
    const code = error instanceof UsageError ? undefined : error.code;
    print(jsonLine({ error: { code, msg: message, details } }));
  } else if (error instanceof UsageError) {
    warn(render([`atomicni: ${message}`, `  ${details}`], PLAIN));
  } else warn(render(problems([error]), PLAIN));
  return 2;
}

const PLAIN: Screen = { colour: false, width: undefined };

/** JSON.stringify does not escape DEL and the control characters from U+0080 to U+009F. */
function jsonLine(value: unknown): string {
  return `${printable(JSON.stringify(value))}\n`;
}
