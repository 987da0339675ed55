import { CniError, escaped, quote } from "../base/errors.ts";
import { isObject, type JsonObject } from "../base/fields.ts";

export const INSTALL = "install iproute2 (apt install iproute2, apk add iproute2)";

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

/** The arguments of an `ip` that reads its commands from stdin; `options` stand in front of each. */
export function batch(options: readonly string[]): string[] {
  return [...options, "-batch", "-"];
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

/** The list that an `ip` printed which ended well: it prints an empty one rather than nothing. Throws IpFailed. */
export function listIn(action: string, output: IpOutput): JsonObject[] {
  const [list] = parseIpJson(output);
  if (list !== undefined) return list;
  throw new CniError("IpFailed", `Cannot ${action}: ip ended with exit status 0 and said nothing`, {
    details: `${output.argv.join(" ")}: is it the ip of iproute2? ${INSTALL}`,
  });
}

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
    if (!INTERRUPTED.test(output.stderr)) return listIn(action, output);
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
