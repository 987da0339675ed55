import { expiry } from "./lib/base/deadline.ts";
import { asCniError, CniError } from "./lib/base/errors.ts";
import { NEWEST, SPEC_VERSIONS } from "./lib/base/spec.ts";
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
  /** The whole of stdin; throws `CniError` where it can't be had. */
  readonly stdin: () => Promise<string>;
  readonly stop: AbortSignal;
  /** Prints the result of an ADD; where that fails, the ADD is undone. Without it the result is in the outcome. */
  readonly deliver?: (text: string) => void;
  /** Instead of the host's `ip`. */
  readonly ip?: RunIp;
}

/** One invocation by a container runtime: everything but the process around it (SPEC §2, rule E8). */
export async function run(surroundings: Surroundings): Promise<Outcome> {
  const { env, stdin, stop, deliver, ip } = surroundings;
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
    const kernel = openKernel({ command, netns: invocation?.netns ?? "" }, ip);
    close = () => kernel.close();
    const root = parseDocument(await reading);
    if (!isCommand(command) || invocation === undefined) {
      throw new CniError("InvalidEnvironment", `unknown CNI_COMMAND: ${command}`, {
        details: "one of ADD, DEL, CHECK, GC, STATUS, VERSION, in capitals",
      });
    }
    const version = cniVersion = parseVersion(root, command);
    await perform({ command, invocation, root, version }, {
      kernel,
      stop,
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
async function askedIn(stdin: () => Promise<string>): Promise<string> {
  try {
    const text = await Promise.race([stdin(), expiry(VERSION_STDIN_LIMIT_MS)]);
    const asked: unknown = JSON.parse(text)?.cniVersion;
    return typeof asked === "string" && /^[\w.-]{1,32}$/.test(asked) ? asked : NEWEST;
  } catch {
    return NEWEST;
  }
}

/** A configuration of a runtime has a few kB; what is larger is none. */
const MOST_STDIN = 8 * 1024 * 1024;
const STDIN_LIMIT_MS = 30_000;

async function readStdin(): Promise<string> {
  const expired = expiry(STDIN_LIMIT_MS);
  let bytes = new Uint8Array(16 * 1024);
  let length = 0;
  for (;;) {
    if (length === bytes.length) bytes = enlarged(bytes);
    const read = await Promise.race([readSome(bytes.subarray(length)), expired]);
    if (read === "expired") {
      throw new CniError(
        "IOFailure",
        `Cannot read stdin: it was not closed within ${STDIN_LIMIT_MS} ms`,
        {
          details: "close it behind the configuration (atomicni doctor < CONFIGURATION)",
        },
      );
    }
    if (read === null) break;
    length += read;
    if (length > MOST_STDIN) {
      throw new CniError(
        "DecodingFailure",
        `Cannot read stdin as a network configuration: it has more than ${MOST_STDIN} bytes`,
        { details: "a configuration has a few kB: see what the runtime sends" },
      );
    }
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length));
  } catch (error) {
    throw new CniError(
      "DecodingFailure",
      "Cannot read stdin as a network configuration: it is not UTF-8",
      {
        details: "save the configuration as UTF-8 (iconv -t UTF-8)",
        cause: error,
      },
    );
  }
}

function enlarged(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(bytes.length * 4);
  larger.set(bytes);
  return larger;
}

async function readSome(chunk: Uint8Array): Promise<number | null> {
  for (;;) {
    try {
      return await Deno.stdin.read(chunk);
    } catch (error) {
      // A pipe that somebody set to non-blocking has nothing for us yet.
      if (!(error instanceof Deno.errors.WouldBlock)) {
        throw new CniError("IOFailure", `Cannot read stdin: ${(error as Error).message}`, {
          details: "give the configuration as a file or by a pipe (< CONFIGURATION)",
          cause: error,
        });
      }
      await expiry(2);
    }
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

/** Writes all of `text`, to a pipe that is full for the moment too. */
function writeAll(to: typeof Deno.stdout, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let written = 0; written < bytes.length;) {
    try {
      written += to.writeSync(bytes.subarray(written));
    } catch (error) {
      if (!(error instanceof Deno.errors.WouldBlock)) throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }
  }
}

/** Prints an outcome and ends the process; a reader that is gone makes it a failure. */
function finish({ stdout, stderr, exitCode }: Outcome): never {
  try {
    writeAll(Deno.stderr, stderr);
  } catch {
    // Nobody reads it; the document counts.
  }
  try {
    writeAll(Deno.stdout, stdout);
  } catch {
    Deno.exit(1);
  }
  Deno.exit(exitCode);
}

async function main(): Promise<never> {
  const stop = new AbortController();
  const io = { env: environment, stdin: readStdin, stop: stop.signal };
  // It makes nothing that a signal would have to take back.
  if (environment("CNI_COMMAND") === "VERSION") return finish(await run(io));
  const signalled = (signal: string) => () => {
    stop.abort(
      new CniError("TryAgainLater", `Cannot finish: ended by ${signal}`, {
        details: "what had been made was taken back; try again",
      }),
    );
  };
  Deno.addSignalListener("SIGTERM", signalled("SIGTERM"));
  Deno.addSignalListener("SIGINT", signalled("SIGINT"));
  return finish(await run({ ...io, deliver: (text) => writeAll(Deno.stdout, text) }));
}

if (import.meta.main) {
  // A bug outside of `run` still ends in one document.
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    finish({
      stdout: `${JSON.stringify(errorDocument(NEWEST, asCniError(event.reason)))}\n`,
      stderr: "",
      exitCode: 1,
    });
  });
  if (environment("CNI_COMMAND")) await main();
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
