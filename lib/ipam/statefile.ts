import { ifThere, ioError, orIoError } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import { createFile, notRoots, removeQuietly, tryLstat, withFile, writeBytes } from "./files.ts";
import { checkFolder, lockPath, nearestFolder, statePath, temporaryName } from "./folder.ts";
import { NotAStateFile } from "./damage.ts";
import { parseState } from "./parse_state.ts";
import { emptyState, formatState, type State } from "./state.ts";

const LARGEST_STATE = 128 * 1024 * 1024;

/** The identity of a file that another program writes at the same time. It never matches. */
const IN_CHANGE = "in change";

/** A state and the open file that it was read from. It is current as long as the path leads to the same unchanged file. */
export interface Snapshot {
  readonly state: State;
  /** `undefined` if there is no file. */
  readonly file: Deno.FsFile | undefined;
  /** `identityOf` the file when it was read. */
  readonly identity: string;
}

/**
 * Reads the network's state without a lock, because a write replaces the whole file by a rename. A missing file is an empty
 * state. Throws StateDamaged, and IOFailure if the folder or the file may not be opened.
 */
export function readState(dataDir: string, network: NetworkName): Snapshot {
  checkFolder(dataDir);
  const path = statePath(dataDir, network);
  const found = tryLstat(path);
  if (found === undefined) {
    return { state: emptyState(), file: undefined, identity: identityOf(undefined) };
  }
  const tooLarge = found.size > LARGEST_STATE ? `it has ${found.size} bytes` : undefined;
  const wrong = found.isFile ? notRoots(found) ?? tooLarge : "it is not a regular file";
  if (wrong !== undefined) throw new NotAStateFile(path, wrong);
  const file = ifThere("open", path, () => Deno.openSync(path, { read: true }));
  // The file was replaced between the check and the open.
  if (file === undefined) return readState(dataDir, network);
  try {
    return orIoError("read", path, () => {
      const before = file.statSync();
      const bytes = readAll(file, before.size);
      const after = identityOf(file.statSync());
      const identity = after === identityOf(before) ? after : IN_CHANGE;
      return { state: parseState(bytes, path), file, identity };
    });
  } catch (error) {
    file.close();
    throw error;
  }
}

/**
 * Whether the path still leads to the file of `snapshot`, unchanged. The inode of an open file can't be reused, and a file that
 * was written in place (by `cp`) has another size or time.
 */
export function isCurrent({ identity }: Snapshot, dataDir: string, network: NetworkName): boolean {
  return identity === identityOf(tryLstat(statePath(dataDir, network)));
}

/**
 * The identity of a file, to recognize a file that was edited, restored or replaced. A copy that is restored with its times has
 * another ctime or birth time, even in the same inode. Deno reports the ctime in whole seconds.
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

/**
 * Replaces the network's state file: exclusive temporary file, write, fsync, rename, fsync of the folder. After a power loss at
 * any moment, either the old or the new file exists, complete. The caller holds the lock. `verify` is called right before the
 * rename; if it throws, the old file stays in place. `backUp`: the old file is damaged and gets a backup. Returns the identity
 * of the new file after the rename, and the path of the backup if there is one. Throws IOFailure, and the errors of `verify`.
 */
export function writeState(
  dataDir: string,
  network: NetworkName,
  { state, verify, backUp }: { state: State; verify: () => void; backUp: boolean },
) {
  const path = statePath(dataDir, network);
  const temporary = `${dataDir}/${temporaryName(network)}`;
  let backup: string | undefined;
  let isReplaced = false;
  try {
    return orIoError("write", path, () =>
      withFile(createFile(temporary), (file) => {
        for (const piece of formatState(state)) writeBytes(file, piece);
        file.syncDataSync();
        const own = file.statSync();
        verify();
        backup = backUp ? backUpState(dataDir, network) : undefined;
        Deno.renameSync(temporary, path);
        isReplaced = true;
        const renamed = file.statSync();
        withFile(Deno.openSync(dataDir, { read: true }), (folder) => folder.syncSync());
        // A rename changes only the ctime: any other difference comes from another program.
        const isOwn = own.size === renamed.size &&
          own.mtime?.getTime() === renamed.mtime?.getTime();
        return { identity: isOwn ? identityOf(renamed) : IN_CHANGE, backup };
      }));
  } catch (error) {
    removeQuietly(temporary);
    if (backup !== undefined && !isReplaced) removeQuietly(backup);
    throw error;
  }
}

/**
 * Throws IOFailure if the next ADD could not write its files. Makes as many files as an ADD: a small one as its mark, with
 * `writesState` also one as large as the state, unsynced, and another if there is no lock.
 */
export function checkWritable(dataDir: string, network: NetworkName, writesState: boolean): void {
  const folder = nearestFolder(dataDir);
  if (folder === undefined) return; // the first ADD makes it
  const size = (tryLstat(statePath(dataDir, network))?.size ?? 0) + 4096;
  const sizes = writesState ? [Math.min(size, LARGEST_STATE), 0] : [0];
  if (writesState && tryLstat(lockPath(dataDir, network)) === undefined) sizes.push(0);
  const probes = sizes.map((size) => ({ size, path: `${folder}/${temporaryName(network)}` }));
  try {
    orIoError("write to", `${folder}/`, () => {
      for (const { size, path } of probes) {
        withFile(createFile(path), (file) => writeBytes(file, new Uint8Array(size)));
      }
    });
    // A transaction may have removed it.
    for (const { path } of probes) ifThere("write to", `${folder}/`, () => Deno.removeSync(path));
  } catch (error) {
    probes.forEach(({ path }) => removeQuietly(path));
    throw error;
  }
  if (!writesState) return;
  for (const path of [statePath(dataDir, network), lockPath(dataDir, network)]) {
    // An immutable or append-only file (chattr +i or +a) can't be replaced.
    if (tryLstat(path)?.isFile !== true) continue;
    orIoError("replace", path, () => Deno.openSync(path, { write: true }).close());
  }
}

/** Keeps a damaged file under another name and returns its path; `undefined` if there is no file. Throws IOFailure. */
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
