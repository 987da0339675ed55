import { end } from "./lib/base/ending.ts";
import { asCniError, CniError } from "./lib/base/errors.ts";
import { NEWEST, SPEC_VERSIONS } from "./lib/base/spec.ts";
import { readStdin, writeAll } from "./lib/base/stdio.ts";
import { serve } from "./lib/cli.ts";
import {
  isCommand,
  parseDocument,
  parseInvocation,
  parseVersion,
  type Variable,
} from "./lib/config.ts";
import { type Kernel, openKernel, type RunIp } from "./lib/netops.ts";
import { perform } from "./lib/plugin.ts";
import { type Document, errorDocument, resultDocument } from "./lib/result.ts";

/** The outcome of a run. */
interface RunOutcome {
  /** One JSON document; empty if the specification wants no document, or if it was delivered. */
  readonly stdout: string;
  /** For people. Failed undos are reported here and in the document. */
  readonly stderr: string;
  readonly exitCode: 0 | 1;
}

/** The effects and inputs of a run. */
interface RunInputs {
  readonly env: Variable;
  /** Reads stdin to its end, within that time in ms if one is given. Throws `CniError`. */
  readonly stdin: (limitMs?: number) => Promise<string>;
  /** Aborts the run. Without it, nothing does. */
  readonly stop?: AbortSignal;
  /** Prints the result of an ADD; if that fails, the ADD is undone. Without it, the outcome has the result. */
  readonly deliver?: (text: string) => void;
  /** Replaces the host's `ip` in tests. */
  readonly ip?: RunIp;
}

/** One invocation by a container runtime: everything but the process around it (SPEC §2, rule E8). */
export async function run(inputs: RunInputs): Promise<RunOutcome> {
  const { env, stdin, ip, stop = new AbortController().signal } = inputs;
  const warnings: string[] = [];
  let cniVersion: string = NEWEST;
  let stdout = "";
  let exitCode: RunOutcome["exitCode"] = 0;
  const { deliver = (text: string) => void (stdout = text) } = inputs;
  let kernel: Kernel | undefined;
  try {
    const command = env("CNI_COMMAND") ?? "";
    if (command === "VERSION") {
      stdout = documentLine({ cniVersion: await askedIn(stdin), supportedVersions: SPEC_VERSIONS });
      return { stdout, stderr: "", exitCode };
    }
    const reading = stdin();
    reading.catch(() => {}); // awaited below
    const invocation = isCommand(command) ? parseInvocation(command, env) : undefined;
    kernel = openKernel(command, ip);
    const root = parseDocument(await Promise.race([reading, aborted(stop)]));
    if (!isCommand(command) || invocation === undefined) {
      throw new CniError(
        "InvalidEnvironment",
        `unknown CNI_COMMAND: ${command}`,
        "one of ADD, DEL, CHECK, GC, STATUS, VERSION, in capitals",
      );
    }
    const version = cniVersion = parseVersion(root, command);
    const warn = (sentence: string) => void warnings.push(sentence);
    await perform(
      { command, invocation, root, version },
      { kernel, stop, warn },
      (result) => deliver(documentLine(resultDocument(version, result))),
    );
  } catch (thrown) {
    const error = asCniError(thrown);
    warnings.push(error.sentence);
    stdout = documentLine(errorDocument(cniVersion, error));
    exitCode = 1;
  } finally {
    await kernel?.close();
  }
  return { stdout, stderr: warnings.map((it) => `atomicni: ${it}\n`).join(""), exitCode };
}

/** Rejects when the run is aborted; never resolves. */
function aborted(stop: AbortSignal): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  stop.addEventListener("abort", () => reject(stop.reason));
  promise.catch(() => {}); // the steps in progress check the signal themselves
  return promise;
}

function documentLine(document: Document): string {
  return `${JSON.stringify(document)}\n`;
}

/** How long a VERSION waits for stdin, in ms: it needs none, so a caller may leave stdin open. */
const VERSION_STDIN_LIMIT_MS = 500;

/** The version that a VERSION request names, whatever else stdin contains (rules V1, V2). */
async function askedIn(stdin: RunInputs["stdin"]): Promise<string> {
  try {
    const asked: unknown = JSON.parse(await stdin(VERSION_STDIN_LIMIT_MS))?.cniVersion;
    return typeof asked === "string" && /^[\w.-]{1,32}$/.test(asked) ? asked : NEWEST;
  } catch {
    return NEWEST;
  }
}

function environment(name: string): string | undefined {
  try {
    return Deno.env.get(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData)) throw error;
    throw new CniError(
      "InvalidEnvironment",
      `Cannot use ${name} as text: it is not UTF-8`,
      `set ${name} to UTF-8 text, or not at all`,
    );
  }
}

/** Prints an outcome and returns the exit status: 1 if stdout is closed. */
function printOutcome({ stdout, stderr, exitCode }: RunOutcome): number {
  try {
    writeAll(Deno.stderr, stderr);
  } catch {
    // stderr is closed; the document is on stdout.
  }
  try {
    writeAll(Deno.stdout, stdout);
  } catch {
    return 1;
  }
  return exitCode;
}

/** An ADD with an undelivered result has failed. */
function deliver(text: string): void {
  try {
    writeAll(Deno.stdout, text);
  } catch (error) {
    throw new CniError(
      "IOFailure",
      `Cannot print the result: ${(error as Error).message}`,
      "the ADD was rolled back; find out why the reader of the plugin's stdout closed it",
    );
  }
}

/** A bug outside of `run` is reported as one document too. */
function fail(thrown: unknown): never {
  const stdout = documentLine(errorDocument(NEWEST, asCniError(thrown)));
  Deno.exit(printOutcome({ stdout, stderr: "", exitCode: 1 }));
}

/** Runs one command of a runtime. */
async function serveRuntime(command: string): Promise<void> {
  const stop = new AbortController();
  const running = run({ env: environment, stdin: readStdin, stop: stop.signal, deliver });
  // CHECK and STATUS change nothing, so a signal finds nothing to undo.
  const isChanging = ["ADD", "DEL", "GC"].includes(command);
  // While stdin is read: nothing is created before that.
  for (const signal of isChanging ? ["SIGTERM", "SIGINT"] as const : []) {
    Deno.addSignalListener(signal, () => {
      const details = "if it was an ADD, it was rolled back; try again";
      stop.abort(new CniError("TryAgainLater", `Cannot finish: ended by ${signal}`, details));
    });
  }
  // A VERSION starts no process that could fail unnoticed.
  if (command !== "VERSION") hearBugs();
  const exitCode = printOutcome(await running);
  if (isChanging) end(exitCode);
  else Deno.exit(exitCode);
}

/** Ends the process with one document after an unhandled rejection. */
function hearBugs(): void {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    fail(event.reason);
  });
}

async function servePerson(): Promise<never> {
  hearBugs();
  const isTerminal = Deno.stdout.isTerminal();
  Deno.exit(
    await serve(Deno.args, {
      stdin: readStdin,
      print: (text) => writeAll(Deno.stdout, text),
      warn: (text) => writeAll(Deno.stderr, text),
      isTerminal,
      screen: {
        colour: isTerminal && !Deno.noColor,
        // A terminal may not know its size.
        width: (isTerminal ? Deno.consoleSize().columns : 0) || undefined,
      },
    }),
  );
}

if (import.meta.main) {
  try {
    const command = environment("CNI_COMMAND");
    await (command ? serveRuntime(command) : servePerson());
  } catch (error) {
    fail(error);
  }
}
