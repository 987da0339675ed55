import { expiry } from "../base/deadline.ts";
import { CniError, ioError, quote } from "../base/errors.ts";
import { notRoots, tryLstat, withFile } from "./folder.ts";

/** How long a run waits for another to finish choosing and writing. */
const LOCK_LIMIT_MS = 10_000;

export interface Lock {
  /** What the last holder left word of: the state file that it had written. */
  readonly written: string;
  /** Lets go, and leaves word of the state file that stands now. */
  release(written: string): void;
}

/**
 * Takes the flock on `path`, waiting in the kernel's queue at most 10 s, or until `stop` aborts. TryAgainLater says who
 * wrote into the file last; IOFailure where the file is none that may be opened.
 */
export async function acquire(path: string, stop: AbortSignal): Promise<Lock> {
  for (;;) {
    const file = openLock(path);
    try {
      if (!file.tryLockSync(true)) await waitFor(file, path, stop);
    } catch (error) {
      throw error instanceof CniError ? error : ioError("lock", path, error);
    }
    if (isStill(file, path)) return held(file);
    file.close();
  }
}

function held(file: Deno.FsFile): Lock {
  const { written } = read(file);
  leaveWord(file, `process ${Deno.pid} since ${new Date().toISOString()}\n${written}\n`);
  return {
    written,
    release: (now) => {
      leaveWord(file, `\n${now}\n`);
      file.close();
    },
  };
}

/** Whether there is a file that may be opened as the lock; IOFailure where something else has its name. */
export function hasLockFile(path: string): boolean {
  const found = tryLstat(path);
  if (found === undefined) return false;
  // A symlink or a second name would let what is left in it be written into somebody else's file.
  const wrong = found.isSymlink
    ? "it is a symbolic link"
    : !found.isFile
    ? "it is not a regular file"
    : (found.nlink ?? 1) !== 1
    ? "it is a hard link"
    : notRoots(found);
  if (wrong === undefined) return true;
  throw new CniError("IOFailure", `Cannot use "${path}" as the lock: ${wrong}`, {
    details: `remove it (rm -r ${path}); it is made anew`,
  });
}

/** The state file that the last holder left word of, read without the lock; empty where none did. IOFailure. */
export function lastWritten(path: string): string {
  try {
    if (!hasLockFile(path)) return "";
    return withFile(Deno.openSync(path, { read: true }), (file) => read(file).written);
  } catch (error) {
    throw error instanceof CniError ? error : ioError("look at", path, error);
  }
}

/** Who holds the lock at this moment, as far as it left word; `undefined` where nobody does. IOFailure. */
export function holderOfLock(path: string): string | undefined {
  try {
    if (!hasLockFile(path)) return undefined;
    return withFile(
      Deno.openSync(path, { read: true }),
      (file) => file.tryLockSync() ? undefined : describe(read(file).holder, path),
    );
  } catch (error) {
    throw error instanceof CniError ? error : ioError("look at", path, error);
  }
}

function openLock(path: string): Deno.FsFile {
  hasLockFile(path);
  try {
    return Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
  } catch (error) {
    throw ioError("open", path, error);
  }
}

async function waitFor(file: Deno.FsFile, path: string, stop: AbortSignal): Promise<void> {
  const began = Date.now();
  const stopped = Promise.withResolvers<"stopped">();
  const onStop = () => stopped.resolve("stopped");
  stop.addEventListener("abort", onStop);
  if (stop.aborted) onStop();
  const locked = file.lock(true).then(() => "locked" as const);
  const end = await Promise.race([locked, stopped.promise, expiry(LOCK_LIMIT_MS)]);
  stop.removeEventListener("abort", onStop);
  if (end === "locked") return;
  // A blocking flock can't be taken back. Where it comes too late it is let go again.
  locked.then(() => file.close(), () => {});
  throw end === "stopped" ? stop.reason : timedOut(file, path, Date.now() - began);
}

function timedOut(file: Deno.FsFile, path: string, waited: number): CniError {
  const holder = describe(read(file).holder, path);
  return new CniError(
    "TryAgainLater",
    `Cannot take the lock "${path}" within ${waited} ms: it is held, ${holder}`,
    { details: `try again; if it stays so, see who has the file open (fuser -v ${path})` },
  );
}

/** A holder that was killed could not take back its word, and who holds the lock now may leave none. */
function describe(holder: string, path: string): string {
  if (/^process \d+ since [0-9TZ:.-]+$/.test(holder)) {
    return `and the last to leave word was ${holder} (fuser -v ${path} shows who has it now)`;
  }
  return `by a process that left no word${
    holder === "" ? "" : ` (the file says ${quote(holder)})`
  }`;
}

/** Whoever removed the file while we waited made the next run lock another one. */
export function isStill(file: Deno.FsFile, path: string): boolean {
  const now = tryLstat(path);
  try {
    const ours = file.statSync();
    return now?.ino === ours.ino && now.dev === ours.dev;
  } catch (error) {
    throw ioError("look at", path, error);
  }
}

const LONGEST_WORD = 300;

function read(file: Deno.FsFile): { holder: string; written: string } {
  const bytes = new Uint8Array(LONGEST_WORD);
  file.seekSync(0, Deno.SeekMode.Start);
  const text = new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0));
  const [holder = "", written = ""] = text.split("\n");
  return { holder: holder.trim(), written: written.trim() };
}

/** Best effort: on a full disk it may fail, and the next run then looks more closely at the state. */
function leaveWord(file: Deno.FsFile, text: string): void {
  try {
    file.seekSync(0, Deno.SeekMode.Start);
    file.writeSync(new TextEncoder().encode(text));
    file.truncateSync(text.length);
  } catch {
    // The flock holds without it.
  }
}
