import { expiry } from "../base/deadline.ts";
import { CniError, escaped, quote } from "../base/errors.ts";
import { isObject, type JsonObject } from "../base/fields.ts";
import { IP_PATHS } from "../base/scope.ts";

const INSTALL = "install iproute2 (apt install iproute2, apk add iproute2)";

/** How long one `ip` may take. */
const IP_LIMIT_MS = 15_000;

/** What a finished `ip` left behind. */
export interface IpOutput {
  readonly argv: readonly string[];
  readonly success: boolean;
  /** Exit status, 128 + signal where one ended it. */
  readonly status: number;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `ip` with these arguments, and `stdin` where it is given. TryAgainLater, IpFailed where it can't be started or ended. */
export type RunIp = (args: readonly string[], stdin?: string) => Promise<IpOutput>;

/**
 * Runs the `ip` of the permission scope. Batches are started before it is known what they shall do, for to start one takes
 * longer than what it does for an ADD: without a command they do nothing.
 */
export class Processes {
  readonly #waiting = new Map<string, Deno.ChildProcess>();
  readonly #running = new Set<Deno.ChildProcess>();

  /** Starts `ip OPTIONS -batch -`. */
  start(options: readonly string[]): void {
    const args = batch(options);
    try {
      this.#waiting.set(args.join(" "), spawn(args, true));
    } catch {
      // run() repeats the attempt and reports the error.
    }
  }

  /** By the one that was started with these arguments, where there is one; with an empty environment and bounded in time. */
  readonly run: RunIp = async (args, stdin) => {
    const key = args.join(" ");
    const waiting = stdin === undefined ? undefined : this.#waiting.get(key);
    if (waiting !== undefined) this.#waiting.delete(key);
    const child = waiting ?? spawn(args, stdin !== undefined);
    this.#running.add(child);
    try {
      return await finish(child, args, stdin);
    } finally {
      this.#running.delete(child);
    }
  };

  /** Ends those that were not needed, and those that nobody waits for any more: one may hang in a file for ever. */
  async end(): Promise<void> {
    for (const child of this.#running) kill(child);
    for (const child of this.#waiting.values()) {
      child.stdin.close().catch(() => {});
      if (await Promise.race([child.status, expiry(1_000)]) === "expired") kill(child);
    }
  }
}

async function finish(
  child: Deno.ChildProcess,
  args: readonly string[],
  stdin: string | undefined,
): Promise<IpOutput> {
  // First, for the ip waits for it.
  const feeding = stdin === undefined ? "" : feed(child, stdin);
  const ending = Promise.all([child.output(), feeding]);
  const end = await Promise.race([ending, expiry(IP_LIMIT_MS)]);
  if (end === "expired") {
    kill(child);
    ending.catch(() => {});
    throw new CniError(
      "TryAgainLater",
      `Cannot wait longer for "ip ${args.join(" ")}": ${IP_LIMIT_MS} ms are over`,
      {
        details: `try again; if it stays so, the kernel's network lock is held (dmesg)${
          given(stdin)
        }`,
      },
    );
  }
  const [outcome, unfed] = end;
  // Without its commands it has done none of them, however it ended.
  const success = outcome.success && unfed === "";
  const decoder = new TextDecoder();
  const said = decoder.decode(outcome.stderr).trim() || unfed;
  return {
    argv: ["ip", ...args],
    success,
    status: outcome.code,
    signal: outcome.signal,
    stdout: decoder.decode(outcome.stdout),
    stderr: said + (success ? "" : given(stdin)),
  };
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // The process has ended by itself, though somebody else holds its output.
  }
}

function batch(options: readonly string[]): string[] {
  return [...options, "-batch", "-"];
}

function given(stdin: string | undefined): string {
  return stdin === undefined ? "" : `; its input was ${JSON.stringify(stdin)}`;
}

function spawn(args: readonly string[], piped: boolean): Deno.ChildProcess {
  for (const path of IP_PATHS) {
    try {
      return new Deno.Command(path, {
        args: [...args],
        clearEnv: true,
        stdin: piped ? "piped" : "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      const found = error instanceof Error ? error.message : String(error);
      throw new CniError("IpFailed", `Cannot run "${path}" as ip: ${found}`, {
        details:
          `it is there but can't be run: look at the file (ls -lL ${path}; findmnt -T ${path}), install ` +
          "it anew (apt install --reinstall iproute2, apk fix iproute2), and look at the limits of the runtime's unit",
        cause: error,
      });
    }
  }
  throw new CniError("IpFailed", `Cannot run "ip": it is at none of ${IP_PATHS.join(", ")}`, {
    details: INSTALL,
  });
}

/** Writes all of `text`; returns what kept it from being written, "" where nothing did. */
async function feed(child: Deno.ChildProcess, text: string): Promise<string> {
  const writer = child.stdin.getWriter();
  try {
    await writer.write(new TextEncoder().encode(text));
    await writer.close();
    return "";
  } catch (error) {
    return `its stdin can't be written: ${(error as Error).message}`;
  }
}

/** BusyBox has an `ip` of its own, without JSON, batches or namespaces; this is how its answer to those begins. */
const BUSYBOX = /^BusyBox v\S+/;

/** An `ip` that said no: its argv, exit status and what it wrote to stderr. */
export function ipFailed(action: string, output: IpOutput): CniError {
  const { argv, status, signal, stderr } = output;
  const [busybox] = BUSYBOX.exec(stderr) ?? [];
  if (busybox !== undefined) {
    return new CniError("IpFailed", `Cannot ${action}: the ip of ${busybox} is no iproute2`, {
      details: `${INSTALL}; ${argv.join(" ")} was run`,
    });
  }
  const end = signal === null ? `exit status ${status}` : `ended by ${signal}`;
  return new CniError("IpFailed", `Cannot ${action}: ip failed with ${end}`, {
    details: `${argv.join(" ")}: ${
      stderr === "" ? "nothing on stderr" : stderr
    }; atomicni doctor < CONFIGURATION looks for the cause`,
  });
}

/** `ip -j` escapes newlines and tabs, and writes other control characters of an alias as they are. */
function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // deno-lint-ignore no-control-regex
    return JSON.parse(line.replaceAll(/[\u0000-\u001f]/g, escaped));
  }
}

/** The documents that `ip -j` printed, one array for each command of a batch. Throws IpFailed for anything else. */
export function parseIpJson(output: IpOutput): JsonObject[][] {
  return output.stdout.split("\n").filter((line) => line.trim() !== "").map((line) => {
    try {
      const list = parseLine(line);
      // A filtered dump has an empty object for each link that did not match.
      if (Array.isArray(list)) {
        return list.filter(isObject).filter((it) => Object.keys(it).length > 0);
      }
    } catch {
      // Falls through to the throw.
    }
    throw new CniError(
      "IpFailed",
      `Cannot read ${quote(line)} as the output of ip -j: it is no list`,
      {
        details: `${
          output.argv.join(" ")
        }; this needs the ip of iproute2 5.0 or newer, not another program of that name`,
      },
    );
  });
}

/** Whether `ip -batch` can be given a word: it knows quotes, `#` and `\\`, but no way to escape them. */
export function isBatchWord(word: string): boolean {
  return /^[^\t\r\n\f\v"'#\\\0]+$/.test(word);
}

/** Runs `lines` in one process, which stops at the first that fails. `options` stand in front of each. */
export async function runBatch(
  run: RunIp,
  options: readonly string[],
  lines: readonly (readonly string[])[],
): Promise<IpOutput> {
  return await run(batch(options), lines.map(formatLine).join(""));
}

function formatLine(words: readonly string[]): string {
  // All at once, which is quicker: none has become another by the blanks between them.
  if (words.includes("") || !isBatchWord(words.join(" "))) {
    const wrong = words.find((word) => !isBatchWord(word));
    throw new Error(`${quote(wrong)} can't stand in a batch of ip`);
  }
  return `${words.map((word) => word.includes(" ") ? `"${word}"` : word).join(" ")}\n`;
}

/** What `ip` says of a list that changed while it was read, with exit status 0 and part of the list. */
const INTERRUPTED = /Dump was interrupted/;
const DUMP_TRIES = 8;

/**
 * The one list that `ip OPTIONS ARGS` prints; asked for again where links came and went meanwhile. Throws IpFailed, and
 * TryAgainLater where it never came whole.
 */
export async function dump(
  run: RunIp,
  action: string,
  args: readonly string[],
): Promise<JsonObject[]> {
  for (let tries = 1; tries <= DUMP_TRIES; tries++) {
    const output = await must(action, run(args));
    if (!INTERRUPTED.test(output.stderr)) return parseIpJson(output)[0] ?? [];
  }
  throw new CniError(
    "TryAgainLater",
    `Cannot ${action}: interfaces came and went during each of ${DUMP_TRIES} tries`,
    { details: "try again when fewer containers start and stop" },
  );
}

export async function must(action: string, running: Promise<IpOutput>): Promise<IpOutput> {
  const output = await running;
  if (!output.success) throw ipFailed(action, output);
  return output;
}
