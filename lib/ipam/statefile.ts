import { randomBytes } from "../base/chance.ts";
import { CniError, ioError } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import {
  checkFolder,
  lockPath,
  namesIn,
  nearestFolder,
  notRoots,
  removeQuietly,
  statePath,
  tryLstat,
  withFile,
} from "./folder.ts";
import { damaged } from "./damage.ts";
import { parseState } from "./parse_state.ts";
import { emptyState, formatState, type State } from "./state.ts";

const LARGEST_FILE = 128 * 1024 * 1024;

/** A state as it was read, and the open file it came from: as long as that stands by name unchanged, it is current. */
export interface Snapshot {
  readonly state: State;
  /** `undefined` where there is no file. */
  readonly file: Deno.FsFile | undefined;
  /** `identityOf` the file when it was read. */
  readonly identity: string;
}

/** Whether there is a state file, and one that may be opened; what it holds is not looked at. IOFailure, StateDamaged. */
export function checkReadable(dataDir: string, network: NetworkName): boolean {
  checkFolder(dataDir);
  const path = statePath(dataDir, network);
  const found = tryLstat(path);
  if (found === undefined) return false;
  if (!found.isFile) throw damaged(path, "it is not a regular file");
  const foreign = notRoots(found);
  if (foreign !== undefined) throw damaged(path, foreign);
  if (found.size > LARGEST_FILE) throw damaged(path, `it has ${found.size} bytes`);
  return true;
}

/** Reads the network's state without a lock, for a file is only ever replaced whole. Missing is empty. */
export function readState(dataDir: string, network: NetworkName): Snapshot {
  const path = statePath(dataDir, network);
  if (!checkReadable(dataDir, network)) {
    return { state: emptyState(), file: undefined, identity: identityOf(undefined) };
  }
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(path, { read: true });
  } catch (error) {
    // Renamed away between the look and the open: another file stands there now.
    if (error instanceof Deno.errors.NotFound) return readState(dataDir, network);
    if (error instanceof Deno.errors.PermissionDenied) {
      throw damaged(path, "permission denied", error);
    }
    throw ioError("open", path, error);
  }
  try {
    const before = file.statSync();
    const bytes = readAll(file, before.size);
    const after = identityOf(file.statSync());
    // Written into while it was read: it is no file that this program wrote, nor current.
    const identity = after === identityOf(before) ? after : "in change";
    return { state: parseState(bytes, path), file, identity };
  } catch (error) {
    file.close();
    throw error instanceof CniError ? error : ioError("read", path, error);
  }
}

/**
 * Is `snapshot` what the file by that name holds now? An open file's inode can't be given to another, and one that was
 * written into since (`cp` of a copy over it) has another size or time.
 */
export function isCurrent({ identity }: Snapshot, dataDir: string, network: NetworkName): boolean {
  return identity === identityOf(tryLstat(statePath(dataDir, network)));
}

/** What tells a file that this program wrote from one that was edited, restored or put in its place. */
export function identityOf(info: Deno.FileInfo | undefined): string {
  return info === undefined ? "none" : `${info.ino} ${info.mtime?.getTime() ?? 0} ${info.size}`;
}

function readAll(file: Deno.FsFile, size: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(size);
  let length = 0;
  while (length < bytes.length) {
    const read = file.readSync(bytes.subarray(length));
    if (read === null) break;
    length += read;
  }
  return bytes.subarray(0, length);
}

/**
 * Replaces the network's state file: exclusive temporary file, write, fsync, rename, fsync of the folder. Either
 * the old or the new file is there, whole, whenever the power goes. The caller holds the lock. Returns the identity of what
 * was written, whatever has that name by then. Throws IOFailure.
 */
export function writeState(dataDir: string, network: NetworkName, state: State): string {
  const path = statePath(dataDir, network);
  const temporary = `${dataDir}/${temporaryName(network)}`;
  try {
    const identity = writeDurably(temporary, formatState(state));
    Deno.renameSync(temporary, path);
    syncFolder(dataDir);
    return identity;
  } catch (error) {
    removeQuietly(temporary);
    throw ioError("write", path, error);
  }
}

/** Returns the file's identity, which a rename leaves as it is. */
function writeDurably(path: string, pieces: readonly Uint8Array[]): string {
  return withFile(createFile(path), (file) => {
    for (const piece of pieces) writeAll(file, piece);
    file.syncDataSync();
    return identityOf(file.statSync());
  });
}

function createFile(path: string): Deno.FsFile {
  return Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

function syncFolder(path: string): void {
  withFile(Deno.openSync(path, { read: true }), (folder) => folder.syncSync());
}

/**
 * Throws IOFailure where the next ADD could not write what it writes: a state as large as the one that stands, or nothing
 * but its mark, which is empty. A probe like that is made, and taken away.
 */
export function checkWritable(dataDir: string, network: NetworkName, writesState: boolean): void {
  checkFolder(dataDir);
  const folder = nearestFolder(dataDir);
  if (folder === undefined) return; // the first ADD makes it
  const size = (tryLstat(statePath(dataDir, network))?.size ?? 0) + 4096;
  const probe = `${folder}/${temporaryName(network)}`;
  try {
    if (writesState) writeDurably(probe, [new Uint8Array(Math.min(size, LARGEST_FILE))]);
    else createFile(probe).close();
    Deno.removeSync(probe);
  } catch (error) {
    removeQuietly(probe);
    throw ioError("write to", `${folder}/`, error);
  }
  const replaced = [statePath(dataDir, network), lockPath(dataDir, network)];
  if (writesState) replaced.forEach(checkReplaceable);
}

/** Throws IOFailure if the kernel lets nobody write to the file, and so replaces it for nobody (chattr +i or +a). */
function checkReplaceable(path: string): void {
  try {
    if (tryLstat(path)?.isFile) Deno.openSync(path, { write: true }).close();
  } catch (error) {
    throw ioError("replace", path, error);
  }
}

/** A name no network's state or lock can have, for those start with a letter or digit. */
function temporaryName(network: NetworkName): string {
  return `.${network}.${randomBytes(8).toHex()}.tmp`;
}

/** Paths of the temporaries of this network: what is being written, and what killed runs left. */
export function temporaries(dataDir: string, network: NetworkName): string[] {
  return namesIn(dataDir).filter((name) =>
    name.startsWith(`.${network}.`) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(network.length + 2))
  ).map((name) => `${dataDir}/${name}`);
}

/**
 * Removes the temporaries that killed runs left. The caller holds the lock, so none is in use: who wrote one of them when
 * they were listed has ended.
 */
export function sweepTemporaries(paths: readonly string[]): void {
  for (const path of paths) removeQuietly(path);
}

/** Keeps a damaged file beside the one that will replace it; `undefined` where there is none. Throws IOFailure. */
export function setAside(dataDir: string, network: NetworkName): string | undefined {
  const path = statePath(dataDir, network);
  const name = `${path}.damaged-${new Date().toISOString().replaceAll(/[-:]/g, "")}`;
  let aside = name;
  for (let next = 2; tryLstat(aside) !== undefined; next++) aside = `${name}-${next}`;
  try {
    // A regular file stays until the new one replaces it.
    if (Deno.lstatSync(path).isFile) Deno.linkSync(path, aside);
    else Deno.renameSync(path, aside);
    return aside;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw ioError(`keep "${path}" as`, aside, error);
  }
}
