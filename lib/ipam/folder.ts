import { CniError, ifThere, orIoError } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import { STATE_FOLDER } from "../base/scope.ts";
import { namesIn, notRoots, removeQuietly, tryLstat } from "./files.ts";

export function statePath(dataDir: string, network: NetworkName): string {
  return `${dataDir}/${network}.json`;
}

export function lockPath(dataDir: string, network: NetworkName): string {
  return `${dataDir}/${network}.lock`;
}

/** A name that can't be a state file or a lock, because network names start with a letter or digit. */
export function temporaryName(network: NetworkName): string {
  return `.${network}.${crypto.getRandomValues(new Uint8Array(8)).toHex()}.tmp`;
}

/** Paths of this network's temporary files, including the files of killed runs. */
export function temporaries(dataDir: string, network: NetworkName): string[] {
  return namesIn(dataDir).filter((name) =>
    name.startsWith(`.${network}.`) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(network.length + 2))
  ).map((name) => `${dataDir}/${name}`);
}

/** `dataDir` and each folder above it up to the state folder, innermost first. */
function upToStateFolder(dataDir: string): string[] {
  const folders: string[] = [];
  for (
    let folder = dataDir;
    folder.length >= STATE_FOLDER.length;
    folder = folder.slice(0, folder.lastIndexOf("/"))
  ) {
    folders.push(folder);
  }
  return folders;
}

/**
 * Throws IOFailure if `dataDir`, or a folder between it and the state folder, is not a folder that root owns. A symlink would
 * lead out of the permission scope. Returns whether `dataDir` exists.
 */
export function checkFolder(dataDir: string): boolean {
  return checkedFolders(dataDir)[0]?.found !== undefined;
}

function checkedFolders(dataDir: string) {
  return upToStateFolder(dataDir).map((folder) => {
    const found = tryLstat(folder);
    if (found !== undefined) checkFolderOwner(folder, found);
    return { folder, found };
  });
}

/**
 * `dataDir`, or the nearest existing folder above it, to make a file there; `undefined` if that folder is above the state
 * folder. Throws IOFailure.
 */
export function nearestFolder(dataDir: string): string | undefined {
  const folders = checkedFolders(dataDir);
  emptyLocksOfMoved(folders);
  return folders.find(({ found }) => found !== undefined)?.folder;
}

/**
 * Makes `dataDir` and the folders up to `STATE_FOLDER`, or sets their mode to 0700. Returns whether one of them was moved away
 * and back. Throws IOFailure.
 */
export function prepareFolder(dataDir: string): boolean {
  const folders = checkedFolders(dataDir);
  const isMoved = emptyLocksOfMoved(folders);
  orIoError("make the state folder", dataDir, () => {
    if (folders[0]?.found === undefined) makeFolders(dataDir);
    for (const { folder, found } of folders) {
      const isOpen = found !== undefined && ((found.mode ?? 0) & 0o777) !== 0o700;
      if (isOpen) Deno.chmodSync(folder, 0o700);
    }
  });
  return isMoved;
}

/** Each folder is created with mode 0700, so that no other user can open it at any moment. */
function makeFolders(dataDir: string): void {
  for (const folder of upToStateFolder(dataDir).reverse()) {
    try {
      Deno.mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      // Folders above the state folder belong to the host and get the default mode.
      if (error instanceof Deno.errors.NotFound) Deno.mkdirSync(folder, { recursive: true });
      else if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

function checkFolderOwner(folder: string, found: Deno.FileInfo): void {
  const wrong = found.isSymlink
    ? "it is a symbolic link"
    : !found.isDirectory
    ? "it is not a folder"
    : notRoots(found);
  if (wrong === undefined) return;
  throw new CniError(
    "IOFailure",
    `Cannot use "${folder}" as the state folder: ${wrong}`,
    `move it away (mv ${folder} ${folder}.old); the next ADD makes one that root owns`,
  );
}

/**
 * Whether the folder was moved away and back. Its states then lack the containers added in between, but its files are unchanged,
 * so the records in the lock files still match. The folder's times show the move: a file that is made or removed in it sets
 * both, and a rename sets only the ctime, which Deno reports in seconds.
 */
function wasMoved({ mtime, ctime }: Deno.FileInfo): boolean {
  const seconds = (time: Date | null) => Math.floor((time?.getTime() ?? 0) / 1000);
  // If the clock was set back, the ctime of the move is earlier than the mtime.
  return seconds(ctime) !== seconds(mtime);
}

/**
 * Empties the lock files below each moved folder, so that the next transaction of each network compares its state with the
 * kernel. Called before this program makes a file there, which hides the move. Returns whether a folder moved. Throws IOFailure.
 */
export function emptyLocksOfMoved(folders: ReturnType<typeof checkedFolders>): boolean {
  const moved = folders.filter(({ found }) => found !== undefined && wasMoved(found));
  for (const { folder } of moved) emptyLocks(folder);
  // On some file systems every folder always looks moved: such a folder does not count.
  return moved.some(({ folder }) => {
    const now = tryLstat(folder);
    return now !== undefined && !wasMoved(now);
  });
}

function emptyLocks(folder: string): void {
  for (const name of namesIn(folder)) {
    const path = `${folder}/${name}`;
    const found = tryLstat(path);
    if (found?.isDirectory && !name.startsWith(".")) emptyLocks(path);
    // If another process removes the lock file, the next one is empty too.
    if (found?.isFile && name.endsWith(".lock")) {
      ifThere("empty", path, () => Deno.truncateSync(path, 0));
    }
  }
  // A new file sets both times of the folder; the seccomp profiles forbid utime. Another run may make the same file.
  const path = `${folder}/.moved`;
  removeQuietly(path);
  const options = { write: true, create: true, mode: 0o600 };
  orIoError("make a file in", folder, () => Deno.openSync(path, options).close());
  removeQuietly(path);
}
