/** The process's streams: reads stdin to its end, within a bound, and writes stdout and stderr completely. */
import { expiry, pause } from "./deadline.ts";
import { CniError } from "./errors.ts";

/** The largest stdin, in bytes. A runtime's configuration has a few kB. */
const MOST_STDIN = 8 * 1024 * 1024;
const STDIN_LIMIT_MS = 30_000;

/** Reads stdin to its end. Throws IOFailure, DecodingFailure. */
export async function readStdin(limitMs = STDIN_LIMIT_MS): Promise<string> {
  const expired = expiry(limitMs);
  let bytes = new Uint8Array(16 * 1024);
  let length = 0;
  for (;;) {
    if (length === bytes.length) bytes = enlarged(bytes);
    const read = await Promise.race([readSome(bytes.subarray(length)), expired]);
    if (read === "expired") {
      throw new CniError(
        "IOFailure",
        `Cannot read stdin: it was not closed within ${limitMs} ms`,
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
      // A non-blocking pipe has no data yet.
      if (!(error instanceof Deno.errors.WouldBlock)) {
        throw new CniError("IOFailure", `Cannot read stdin: ${(error as Error).message}`, {
          details: "give the configuration as a file or by a pipe (< CONFIGURATION)",
          cause: error,
        });
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
