import { expiry } from "../base/deadline.ts";
import { CniError } from "../base/errors.ts";
import { IP_PATHS } from "../base/scope.ts";
import { type Batch, batch, formatLines, INSTALL, type IpOutput, type RunIp } from "./ip.ts";

/** How long one `ip` may take. */
const IP_LIMIT_MS = 15_000;

/** Runs the `ip` of the permission scope, with an empty environment and a time limit. */
export class Processes {
  readonly #waiting = new Set<Deno.ChildProcess>();
  readonly #running = new Set<Deno.ChildProcess>();

  /**
   * Starts `ip OPTIONS -batch -` now, because starting it takes longer than running its commands. The first batch uses that
   * process, and each later batch another one. Without a command, the process does nothing.
   */
  ahead(options: readonly string[]): Batch {
    const args = batch(options);
    let child: Deno.ChildProcess | undefined;
    try {
      child = spawn(args, true);
      this.#waiting.add(child);
    } catch {
      // The batch tries again and reports the error.
    }
    return async (commands) => {
      const started = child ?? spawn(args, true);
      child = undefined;
      this.#waiting.delete(started);
      return await this.#complete(started, args, formatLines(commands));
    };
  }

  readonly run: RunIp = async (args, stdin) =>
    await this.#complete(spawn(args, stdin !== undefined), args, stdin);

  async #complete(
    child: Deno.ChildProcess,
    args: readonly string[],
    stdin: string | undefined,
  ): Promise<IpOutput> {
    this.#running.add(child);
    // First, because `ip` waits for its commands.
    const feeding = stdin === undefined ? Promise.resolve("") : feed(child, stdin);
    try {
      return await finish(child, Promise.all([child.output(), feeding]), args, stdin);
    } finally {
      this.#running.delete(child);
    }
  }

  /** Ends the unused processes, and those that still run: one may block forever while it opens a file. */
  async end(): Promise<void> {
    for (const child of this.#running) kill(child);
    for (const child of this.#waiting) {
      child.stdin.close().catch(() => {});
      if (await Promise.race([child.status, expiry(1_000)]) === "expired") kill(child);
    }
  }
}

async function finish(
  child: Deno.ChildProcess,
  ending: Promise<[Deno.CommandOutput, string]>,
  args: readonly string[],
  stdin: string | undefined,
): Promise<IpOutput> {
  const end = await Promise.race([ending, expiry(IP_LIMIT_MS)]);
  if (end === "expired") {
    kill(child);
    ending.catch(() => {});
    throw new CniError(
      "TryAgainLater",
      `Cannot wait longer for "ip ${args.join(" ")}": the limit of ${IP_LIMIT_MS} ms has passed`,
      `try again; if it fails again, the kernel's network lock is held (dmesg), or CNI_NETNS is a FIFO${
        inputNote(stdin)
      }`,
    );
  }
  const [outcome, unfed] = end;
  // An `ip` that did not receive its commands did nothing, whatever its exit status.
  const success = outcome.success && unfed === "";
  const decoder = new TextDecoder();
  const said = decoder.decode(outcome.stderr).trim() || unfed;
  return {
    argv: ["ip", ...args],
    success,
    status: outcome.code,
    signal: outcome.signal,
    stdout: decoder.decode(outcome.stdout),
    stderr: said + (success ? "" : inputNote(stdin)),
  };
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // The process has already ended; another process still holds its output open.
  }
}

function inputNote(stdin: string | undefined): string {
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
      throw new CniError(
        "IpFailed",
        `Cannot run "${path}" as ip: ${found}`,
        `the file exists but can't be run: inspect it (ls -lL ${path}; findmnt -T ${path}), reinstall ` +
          "it (apt install --reinstall iproute2, apk fix iproute2), and check the limits of the runtime's unit",
      );
    }
  }
  throw new CniError("IpFailed", `Cannot run "ip": none of ${IP_PATHS.join(", ")} exists`, INSTALL);
}

/** Writes `text`; returns the reason if that fails, or "". */
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
