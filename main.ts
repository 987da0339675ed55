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
import { openKernel, type RunIp } from "./lib/netops.ts";
import { perform } from "./lib/plugin.ts";
import { type Document, errorDocument, resultDocument, versionDocument } from "./lib/result.ts";

/** What a run of the plugin ends with. */
export interface Outcome {
  /** One JSON document, or nothing where the specification wants nothing. */
  readonly stdout: string;
  /** For people; what was not undone stands here as well as in the document. */
  readonly stderr: string;
  readonly exitCode: 0 | 1;
}

/** What a run gets from outside. */
export interface Surroundings {
  readonly env: Variable;
  /** The whole of stdin; throws `CniError` where it can't be had, within that time if one is given. */
  readonly stdin: (limitMs?: number) => Promise<string>;
  /** Ends the run before its time; without it nothing does. */
  readonly stop?: AbortSignal;
  /** Prints the result of an ADD; where that fails, the ADD is undone. Without it the result is in the outcome. */
  readonly deliver?: (text: string) => void;
  /** Instead of the host's `ip`. */
  readonly ip?: RunIp;
}

/** One invocation by a container runtime: everything but the process around it (SPEC §2, rule E8). */
export async function run(surroundings: Surroundings): Promise<Outcome> {
  const { env, stdin, deliver, ip } = surroundings;
  const warnings: string[] = [];
  let cniVersion: string = NEWEST;
  let outcome = printed(undefined);
  let close: () => Promise<void> = () => Promise.resolve();
  try {
    const command = env("CNI_COMMAND") ?? "";
    if (command === "VERSION") return printed(versionDocument(await askedIn(stdin), SPEC_VERSIONS));
    const reading = stdin();
    reading.catch(() => {}); // awaited below
    const invocation = isCommand(command) ? parseInvocation(command, env) : undefined;
    const kernel = openKernel(command, ip);
    close = () => kernel.close();
    const root = parseDocument(await Promise.race([reading, aborted(surroundings.stop)]));
    if (!isCommand(command) || invocation === undefined) {
      throw new CniError("InvalidEnvironment", `unknown CNI_COMMAND: ${command}`, {
        details: "one of ADD, DEL, CHECK, GC, STATUS, VERSION, in capitals",
      });
    }
    const version = cniVersion = parseVersion(root, command);
    await perform({ command, invocation, root, version }, {
      kernel,
      stop: surroundings.stop ?? new AbortController().signal,
      warn: (sentence) => warnings.push(sentence),
      deliver: (result) => {
        outcome = printed(resultDocument(version, result));
        if (deliver !== undefined) outcome = delivered(outcome, deliver);
      },
    });
  } catch (thrown) {
    const error = asCniError(thrown);
    const details = error.details === "" ? "" : ` (${error.details})`;
    warnings.push(`${error.message}${details}`);
    outcome = { ...printed(errorDocument(cniVersion, error)), exitCode: 1 };
  } finally {
    await close();
  }
  return { ...outcome, stderr: warnings.map((it) => `atomicni: ${it}\n`).join("") };
}

/** Rejects when the run is to end; never resolves. */
function aborted(stop: AbortSignal | undefined): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  stop?.addEventListener("abort", () => reject(stop.reason));
  promise.catch(() => {}); // whoever is at work by then sees it by itself
  return promise;
}

function printed(document: Document | undefined): Outcome {
  return {
    stdout: document === undefined ? "" : `${JSON.stringify(document)}\n`,
    stderr: "",
    exitCode: 0,
  };
}

/** What is left to print of an outcome that was delivered. A result that nobody can read is none. */
function delivered({ stdout }: Outcome, deliver: (text: string) => void): Outcome {
  try {
    deliver(stdout);
  } catch (error) {
    throw new CniError("IOFailure", `Cannot print the result: ${(error as Error).message}`, {
      details: "what had been made was taken back; see who reads the plugin's stdout",
      cause: error,
    });
  }
  return printed(undefined);
}

/** A VERSION needs no stdin, so nobody has to close it; what a runtime writes is there by then. */
const VERSION_STDIN_LIMIT_MS = 500;

/** The version a VERSION was asked in, whatever its stdin looks like (rules V1, V2). */
async function askedIn(stdin: Surroundings["stdin"]): Promise<string> {
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
    throw new CniError("InvalidEnvironment", `Cannot use ${name} as text: it is not UTF-8`, {
      details: `set ${name} to UTF-8 text, or not at all`,
      cause: error,
    });
  }
}

/** Prints an outcome; the exit status. A reader that is gone makes it a failure. */
function print({ stdout, stderr, exitCode }: Outcome): number {
  try {
    writeAll(Deno.stderr, stderr);
  } catch {
    // Nobody reads it; the document counts.
  }
  try {
    writeAll(Deno.stdout, stdout);
  } catch {
    return 1;
  }
  return exitCode;
}

/** A bug outside of `run` still ends in one document. */
function fail(thrown: unknown): never {
  const stdout = `${JSON.stringify(errorDocument(NEWEST, asCniError(thrown)))}\n`;
  Deno.exit(print({ stdout, stderr: "", exitCode: 1 }));
}

/** The commands that make something, or take something away. */
const CHANGING = ["ADD", "DEL", "GC"];

/** One run for a runtime. */
async function serveRuntime(command: string): Promise<void> {
  const io = { env: environment, stdin: readStdin };
  if (!CHANGING.includes(command)) {
    const running = run(io);
    // A VERSION starts nothing that could fail unseen.
    if (command !== "VERSION") hearBugs();
    // A signal finds nothing to be taken back.
    Deno.exit(print(await running));
  }
  const stop = new AbortController();
  const signalled = (signal: string) => () => {
    stop.abort(
      new CniError("TryAgainLater", `Cannot finish: ended by ${signal}`, {
        details: "what had been made was taken back; try again",
      }),
    );
  };
  const deliver = (text: string) => writeAll(Deno.stdout, text);
  const running = run({ ...io, stop: stop.signal, deliver });
  // While stdin is read: until then nothing is made and nothing fails unseen.
  Deno.addSignalListener("SIGTERM", signalled("SIGTERM"));
  Deno.addSignalListener("SIGINT", signalled("SIGINT"));
  hearBugs();
  end(print(await running));
}

/** A rejection that nobody waits for ends the process with a document. */
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
        // A terminal that does not know its size has none.
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
