import { expiry } from "../base/deadline.ts";
import { CniError, ifThere, ioError, orIoError, quote } from "../base/errors.ts";
import { createFile, notRoots, removeQuietly, tryLstat, withFile } from "./files.ts";

/** How long a run waits for the lock, in milliseconds. */
const LOCK_LIMIT_MS = 10_000;

/**
 * Takes the flock on `path`. It waits in the kernel's queue for at most 10 s, or until `stop` aborts. A reader does not change
 * the file. Throws TryAgainLater, which names the last recorded holder, and IOFailure if the file may not be opened.
 */
export async function acquire(path: string, stop: AbortSignal, isReader = false) {
  const options = { read: true, write: true, create: true, mode: 0o600 };
  for (;;) {
    hasLockFile(path);
    const file = orIoError("open", path, () => Deno.openSync(path, options));
    try {
      if (!file.tryLockSync(true)) await waitFor(file, path, stop);
    } catch (error) {
      throw error instanceof CniError ? error : ioError("lock", path, error);
    }
    if (isStillAt(file, path) && (isReader || !replaceLinked(file, path))) {
      return held(file, path, isReader);
    }
    file.close();
  }
}

/**
 * Replaces a held lock file that has a second name, as after `cp -al` of the folder. A record written into it would appear
 * under the other name too. Returns whether the file was replaced. Throws IOFailure.
 */
function replaceLinked(file: Deno.FsFile, path: string): boolean {
  return orIoError("replace", path, () => {
    if ((file.statSync().nlink ?? 1) === 1) return false;
    const fresh = `${path}.new`;
    removeQuietly(fresh);
    createFile(fresh).close();
    Deno.renameSync(fresh, path);
    return true;
  });
}

/** A writer records its process now, and the identity of the written state file on release. */
function held(file: Deno.FsFile, path: string, isReader: boolean) {
  const { identity } = readRecord(file);
  const note = (text: string) => isReader || writeRecord(file, text);
  note(`process ${Deno.pid} since ${new Date().toISOString()}\n${identity}\n`);
  return {
    /** The identity of the state file, as the last holder recorded it. */
    identity,
    /** Whether the path still leads to this lock file. If not, another run may hold another lock. Throws IOFailure. */
    isHeld: () => isStillAt(file, path),
    /** Records the identity of the state file, and unlocks. */
    release: (identity: string) => {
      note(`\n${identity}\n`);
      file.close();
    },
  };
}

/** Whether the lock file exists. Throws IOFailure if the path is not a regular file that root owns. */
export function hasLockFile(path: string): boolean {
  const found = tryLstat(path);
  if (found === undefined) return false;
  // A write through a symlink would change another file.
  const wrong = found.isSymlink
    ? "it is a symbolic link"
    : !found.isFile
    ? "it is not a regular file"
    : notRoots(found);
  if (wrong === undefined) return true;
  throw new CniError(
    "IOFailure",
    `Cannot use "${path}" as the lock: ${wrong}`,
    `remove it (rm -r ${path}); the next ADD makes another one`,
  );
}

/** Reads the last recorded identity of the state file without the lock; empty if there is no record. Throws IOFailure. */
export function recordedIdentity(path: string): string {
  return readLock(path, (file) => readRecord(file).identity) ?? "";
}

/** Describes the process that holds the lock now, by its record; `undefined` if the lock is free. Throws IOFailure. */
export function holderOfLock(path: string): string | undefined {
  return readLock(
    path,
    (file) => file.tryLockSync() ? undefined : describeHolder(readRecord(file).holder, path),
  );
}

function readLock<T>(path: string, use: (file: Deno.FsFile) => T): T | undefined {
  if (!hasLockFile(path)) return undefined;
  return ifThere("look at", path, () => withFile(Deno.openSync(path, { read: true }), use));
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
  // A blocking flock can't be cancelled. A lock acquired too late is released.
  locked.then(() => file.close(), () => {});
  if (end === "stopped") throw stop.reason;
  throw new CniError(
    "TryAgainLater",
    `Cannot take the lock "${path}" within ${Date.now() - began} ms: it is held, ${
      describeHolder(readRecord(file).holder, path)
    }`,
    `try again; if it stays held, see which process has it open (fuser -v ${path})`,
  );
}

/** The record may be stale: a killed holder did not clear its record, and a reader writes none. */
function describeHolder(holder: string, path: string): string {
  if (/^process \d+ since [0-9TZ:.-]+$/.test(holder)) {
    return `and the last recorded holder is ${holder} (fuser -v ${path} shows the present one)`;
  }
  return `by an unknown process${holder === "" ? "" : ` (the file says ${quote(holder)})`}`;
}

/** Whether `path` still leads to the open file. If the file was removed during the wait, other runs lock a new file. */
export function isStillAt(file: Deno.FsFile, path: string): boolean {
  const now = tryLstat(path);
  const ours = orIoError("look at", path, () => file.statSync());
  return now?.ino === ours.ino && now.dev === ours.dev;
}

const MAX_RECORD_BYTES = 300;

function readRecord(file: Deno.FsFile): { holder: string; identity: string } {
  const bytes = new Uint8Array(MAX_RECORD_BYTES);
  file.seekSync(0, Deno.SeekMode.Start);
  const text = new TextDecoder().decode(bytes.subarray(0, file.readSync(bytes) ?? 0));
  const [holder = "", identity = ""] = text.split("\n");
  return { holder, identity };
}

/** Writes the record, best effort: on a full disk it may fail. The next run then checks the state against the kernel. */
function writeRecord(file: Deno.FsFile, text: string): void {
  try {
    file.seekSync(0, Deno.SeekMode.Start);
    file.writeSync(new TextEncoder().encode(text));
    file.truncateSync(text.length);
  } catch {
    // The flock does not depend on the record.
  }
}
