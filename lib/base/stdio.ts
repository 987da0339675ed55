/** The process's streams: reads stdin to its end, within a bound, and writes stdout and stderr completely. */
import { expiry, pause } from "./deadline.ts";
import { CniError, quote } from "./errors.ts";

/** The largest stdin, in bytes. A runtime's configuration has a few kB. */
const MOST_STDIN = 8 * 1024 * 1024;
const STDIN_LIMIT_MS = 30_000;

/** Reads stdin to its end. Throws IOFailure, DecodingFailure. */
export async function readStdin(limitMs = STDIN_LIMIT_MS): Promise<string> {
  const expired = expiry(limitMs);
  const chunks: Uint8Array[] = [];
  for (let length = 0;;) {
    const chunk = await Promise.race([readSome(), expired]);
    if (chunk === "expired") {
      throw new CniError(
        "IOFailure",
        `Cannot read stdin: it was not closed within ${limitMs} ms`,
        "close it after the configuration (atomicni doctor < CONFIGURATION)",
      );
    }
    length += chunk.length;
    if (length > MOST_STDIN) {
      throw noConfiguration(
        `it has more than ${MOST_STDIN} bytes`,
        "a configuration has a few kB: see what the runtime sends",
      );
    }
    if (chunk.length === 0) return decodeStdin(chunks);
    chunks.push(chunk);
  }
}

function decodeStdin(chunks: readonly Uint8Array[]): string {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  try {
    const text = chunks.map((it) => decoder.decode(it, { stream: true })).join("") +
      decoder.decode();
    if (!text.startsWith("\ufeff")) return text;
  } catch {
    throw noConfiguration("it is not UTF-8", "save the configuration as UTF-8 (iconv -t UTF-8)");
  }
  throw noConfiguration(
    "it begins with a byte order mark, which runtimes do not read",
    "save the file as UTF-8 without one (sed -i '1s/^\\xef\\xbb\\xbf//' FILE)",
  );
}

/** The error if stdin is not a network configuration; `text` is what it has, if it is text. */
export function noConfiguration(found: string, details: string, text?: string): CniError {
  const stdin = text === undefined ? "stdin" : `stdin ${quote(text.slice(0, 60))}`;
  const message = `Cannot read ${stdin} as a network configuration: ${found}`;
  return new CniError("DecodingFailure", message, details);
}

/** The next bytes of stdin; none at its end. */
async function readSome(): Promise<Uint8Array> {
  const chunk = new Uint8Array(64 * 1024);
  for (;;) {
    try {
      return chunk.subarray(0, await Deno.stdin.read(chunk) ?? 0);
    } catch (error) {
      // A non-blocking pipe has no data yet.
      if (!(error instanceof Deno.errors.WouldBlock)) {
        throw new CniError(
          "IOFailure",
          `Cannot read stdin: ${(error as Error).message}`,
          "give the configuration as a file or by a pipe (< CONFIGURATION)",
        );
      }
      await pause(2);
    }
  }
}

/** Writes all of `text`, and waits for a pipe that is full. */
export function writeAll(to: typeof Deno.stdout, text: string): void {
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
