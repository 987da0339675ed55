import { CniError, escaped, quote } from "../base/errors.ts";
import { isObject, type JsonObject } from "../base/fields.ts";

export const INSTALL = "install iproute2 (apt install iproute2, apk add iproute2)";

/** The outcome of a finished `ip`. */
export interface IpOutput {
  readonly argv: readonly string[];
  readonly success: boolean;
  /** Exit status; 128 + signal number if a signal ended the process. */
  readonly status: number;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `ip` with these arguments and `stdin`. Throws IpFailed if it can't start, TryAgainLater if it takes too long. */
export type RunIp = (args: readonly string[], stdin?: string) => Promise<IpOutput>;

/** Runs commands in one process with fixed options, which stops at the first failure. The process may wait for them already. */
export type Batch = (commands: readonly (readonly string[])[]) => Promise<IpOutput>;

/** The arguments of an `ip` that reads its commands from stdin; `options` apply to each command. */
export function batch(options: readonly string[]): string[] {
  return [...options, "-batch", "-"];
}

/** The start of the complaint of BusyBox's own `ip`, which has neither JSON, batches nor namespaces. */
const BUSYBOX = /^BusyBox v\S+/;

/** The error for a failed `ip`, with its argv, exit status and stderr. */
export function ipFailed(action: string, output: IpOutput): CniError {
  const { argv, status, signal, stderr } = output;
  const [busybox] = BUSYBOX.exec(stderr) ?? [];
  if (busybox !== undefined) {
    return new CniError(
      "IpFailed",
      `Cannot ${action}: the ip of ${busybox} is not iproute2`,
      `${INSTALL}; ${argv.join(" ")} was run`,
    );
  }
  const end = signal === null ? `exit status ${status}` : `ended by ${signal}`;
  return new CniError(
    "IpFailed",
    `Cannot ${action}: ip failed with ${end}`,
    `${argv.join(" ")}: ${
      stderr === "" ? "nothing on stderr" : stderr
    }; atomicni doctor < CONFIGURATION looks for the cause`,
  );
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

/** The documents that `ip -j` printed, one array per command of a batch. Throws IpFailed for any other output. */
export function parseIpJson(output: Pick<IpOutput, "argv" | "stdout">): JsonObject[][] {
  return output.stdout.split("\n").filter((line) => line.trim() !== "").map((line) => {
    try {
      const list = parseLine(line);
      // A filtered dump contains an empty object per link that did not match.
      if (Array.isArray(list)) {
        return list.filter(isObject).filter((it) => Object.keys(it).length > 0);
      }
    } catch {
      // Continues with the throw below.
    }
    throw new CniError(
      "IpFailed",
      `Cannot read ${quote(line)} as the output of ip -j: it is not a list`,
      `${
        output.argv.join(" ")
      }; this needs the ip of iproute2 5.0 or newer, not another program of that name`,
    );
  });
}

/** Whether a batch can contain the word: `ip -batch` interprets quotes, `#` and `\\`, and has no escape for them. */
export function isBatchWord(word: string): boolean {
  return /^[^\t\r\n\f\v"'#\\\0]+$/.test(word);
}

/** Runs `lines` in one process, which stops at the first failure. `options` apply to each line. */
export async function runBatch(
  run: RunIp,
  options: readonly string[],
  lines: readonly (readonly string[])[],
): Promise<IpOutput> {
  return await run(batch(options), formatLines(lines));
}

/** The commands as the stdin of a batch. */
export function formatLines(lines: readonly (readonly string[])[]): string {
  return lines.map(formatLine).join("");
}

/** A command as a line of a batch. */
function formatLine(words: readonly string[]): string {
  // One test of the joined words is faster than one per word; a blank is allowed in a word.
  if (words.includes("") || !isBatchWord(words.join(" "))) {
    const wrong = words.find((word) => !isBatchWord(word));
    throw new Error(`${quote(wrong)} can't be part of a batch of ip`);
  }
  return `${words.map((word) => word.includes(" ") ? `"${word}"` : word).join(" ")}\n`;
}

/** The complaint of `ip` about a list that changed while it was read; it prints part of the list and exits with 0. */
const INTERRUPTED = /Dump was interrupted/;
const DUMP_TRIES = 8;

/** The list that a successful `ip` printed. Throws IpFailed if it printed nothing, because it prints an empty list as `[]`. */
export function listIn(action: string, output: Pick<IpOutput, "argv" | "stdout">): JsonObject[] {
  const [list] = parseIpJson(output);
  if (list !== undefined) return list;
  throw new CniError(
    "IpFailed",
    `Cannot ${action}: ip ended with exit status 0 and printed nothing`,
    `${output.argv.join(" ")}: is it the ip of iproute2? ${INSTALL}`,
  );
}

/** The list that `ip` prints for `args`, read again if links changed during the read. Throws IpFailed, TryAgainLater. */
export async function dump(
  run: RunIp,
  action: string,
  args: readonly string[],
): Promise<JsonObject[]> {
  for (let tries = 1; tries <= DUMP_TRIES; tries++) {
    const output = await outputOf(action, run(args));
    if (!INTERRUPTED.test(output.stderr)) return listIn(action, output);
  }
  throw new CniError(
    "TryAgainLater",
    `Cannot ${action}: interfaces came and went during each of ${DUMP_TRIES} tries`,
    "try again when fewer containers start and stop",
  );
}

/** The output of `ip` after its end. Throws IpFailed if it failed; `action` names the attempt in the message. */
export async function outputOf(action: string, running: Promise<IpOutput>): Promise<IpOutput> {
  const output = await running;
  if (!output.success) throw ipFailed(action, output);
  return output;
}
