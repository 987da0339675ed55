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

/**
 * Tells a file that this program wrote from one that was edited, restored or put in its place. A copy that is restored with
 * its times, even into the same inode, has another ctime, which Deno reports in whole seconds, or another time of birth.
 */
export function identityOf(info: Deno.FileInfo | undefined): string {
  if (info === undefined) return "none";
  const times = [info.mtime, info.ctime, info.birthtime].map((it) => it?.getTime() ?? 0);
  return [info.ino, info.size, ...times].join(" ");
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

/** How the state file is replaced. */
export interface Replacement {
  readonly state: State;
  /** Called right before the file is replaced; what it throws leaves the old file in place. */
  readonly verify: () => void;
  /** The old file is damaged and gets a backup. */
  readonly backUp: boolean;
}

/**
 * Replaces the network's state file: exclusive temporary file, write, fsync, rename, fsync of the folder. Either
 * the old or the new file is there, whole, whenever the power goes. The caller holds the lock. Returns the file's identity
 * after the rename, and the backup's path if there is one. Throws IOFailure, and what `verify` throws.
 */
export function writeState(
  dataDir: string,
  network: NetworkName,
  { state, verify, backUp }: Replacement,
): { readonly identity: string; readonly backup: string | undefined } {
  const path = statePath(dataDir, network);
  const temporary = `${dataDir}/${temporaryName(network)}`;
  let backup: string | undefined;
  let isReplaced = false;
  try {
    return withFile(createFile(temporary), (file) => {
      for (const piece of formatState(state)) writeAll(file, piece);
      file.syncDataSync();
      verify();
      backup = backUp ? backUpState(dataDir, network) : undefined;
      Deno.renameSync(temporary, path);
      isReplaced = true;
      const identity = identityOf(file.statSync());
      syncFolder(dataDir);
      return { identity, backup };
    });
  } catch (error) {
    removeQuietly(temporary);
    if (backup !== undefined && !isReplaced) removeQuietly(backup);
    throw error instanceof CniError ? error : ioError("write", path, error);
  }
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
 * Throws IOFailure if the next ADD could not write its file: a state as large as the present one, or its empty mark. Such a
 * file is written, not synced, and removed.
 */
export function checkWritable(dataDir: string, network: NetworkName, writesState: boolean): void {
  checkFolder(dataDir);
  const folder = nearestFolder(dataDir);
  if (folder === undefined) return; // the first ADD makes it
  const size = (tryLstat(statePath(dataDir, network))?.size ?? 0) + 4096;
  const probe = `${folder}/${temporaryName(network)}`;
  try {
    withFile(createFile(probe), (file) => {
      if (writesState) writeAll(file, new Uint8Array(Math.min(size, LARGEST_FILE)));
    });
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

/** Keeps a damaged file under another name; `undefined` if there is none. */
function backUpState(dataDir: string, network: NetworkName): string | undefined {
  const path = statePath(dataDir, network);
  const name = `${path}.damaged-${new Date().toISOString().replaceAll(/[-:]/g, "")}`;
  let backup = name;
  for (let next = 2; tryLstat(backup) !== undefined; next++) backup = `${name}-${next}`;
  try {
    // A regular file stays until the new one replaces it.
    if (Deno.lstatSync(path).isFile) Deno.linkSync(path, backup);
    else Deno.renameSync(path, backup);
    return backup;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw ioError(`keep "${path}" as`, backup, error);
  }
}
