import { expiry } from "./deadline.ts";
import { CniError, quote } from "./errors.ts";
import { ioError } from "./statefile.ts";

/** How long a run waits for another to finish choosing and writing. */
export const LOCK_LIMIT_MS = 10_000;

export interface Lock {
  release(): void;
}

/**
 * Takes the flock on `path`, waiting in the kernel's queue at most `limitMs`, or until `stop` aborts. Code 11
 * names the holder by what it wrote into the file; 5 where the file is none that may be opened.
 */
export async function acquire(
  path: string,
  stop: AbortSignal,
  limitMs: number = LOCK_LIMIT_MS,
): Promise<Lock> {
  for (;;) {
    const file = openLock(path);
    try {
      if (!file.tryLockSync(true)) await waitFor(file, path, stop, limitMs);
    } catch (error) {
      throw error instanceof CniError ? error : ioError("lock", path, error);
    }
    if (isStill(file, path)) {
      note(file);
      return { release: () => release(file) };
    }
    file.close();
  }
}

/** Whether there is a file that may be opened as the lock; code 5 where something else has its name. */
export function hasLockFile(path: string): boolean {
  try {
    const found = Deno.lstatSync(path);
    // A symlink or a second name would let the note below be written into somebody else's file.
    if (!found.isFile || (found.nlink ?? 1) > 1) {
      const kind = found.isSymlink
        ? "a symbolic link"
        : found.isFile
        ? "a hard link"
        : "no regular file";
      throw new CniError(5, `Cannot use "${path}" as the lock: it is ${kind}`, {
        details: `remove it (rm -r ${path}); it is made anew`,
      });
    }
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
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

async function waitFor(
  file: Deno.FsFile,
  path: string,
  stop: AbortSignal,
  limitMs: number,
): Promise<void> {
  const began = Date.now();
  const stopped = Promise.withResolvers<"stopped">();
  const onStop = () => stopped.resolve("stopped");
  stop.addEventListener("abort", onStop);
  if (stop.aborted) onStop();
  const locked = file.lock(true).then(() => "locked" as const);
  const end = await Promise.race([locked, stopped.promise, expiry(limitMs)]);
  stop.removeEventListener("abort", onStop);
  if (end === "locked") return;
  // A blocking flock can't be taken back. Where it comes too late it is let go again.
  locked.then(() => file.close(), () => {});
  throw end === "stopped" ? stop.reason : timedOut(file, path, Date.now() - began);
}

function timedOut(file: Deno.FsFile, path: string, waited: number): CniError {
  const bytes = new Uint8Array(200);
  file.seekSync(0, Deno.SeekMode.Start);
  const holder = new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0)).trim();
  const who = /^process \d+ since [0-9TZ:.-]+$/.test(holder)
    ? `held by ${holder}`
    : `held by a process that left no note${
      holder === "" ? "" : ` (the file says ${quote(holder)})`
    }`;
  return new CniError(11, `Cannot take the lock "${path}" within ${waited} ms: ${who}`, {
    details:
      `try again; if it stays so, see what that process does, or who has the file open (fuser -v ${path})`,
  });
}

/** Whoever removed the file while we waited made the next run lock another one. */
function isStill(file: Deno.FsFile, path: string): boolean {
  try {
    const now = Deno.lstatSync(path);
    const ours = file.statSync();
    return now.ino === ours.ino && now.dev === ours.dev;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw ioError("look at", path, error);
  }
}

/** Leaves word of who holds the lock. Only for people: it may fail, on a full disk for one. */
function note(file: Deno.FsFile): void {
  try {
    file.writeSync(
      new TextEncoder().encode(`process ${Deno.pid} since ${new Date().toISOString()}\n`),
    );
  } catch {
    // The flock holds without it.
  }
}

function release(file: Deno.FsFile): void {
  try {
    file.truncateSync(0);
  } catch {
    // As above.
  }
  file.close();
}
