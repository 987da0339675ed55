import { ensureDirSync } from "@std/fs/ensure-dir";
import { CniError, ioError } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import { STATE_FOLDER } from "../base/scope.ts";

export function statePath(dataDir: string, network: NetworkName): string {
  return `${dataDir}/${network}.json`;
}

export function lockPath(dataDir: string, network: NetworkName): string {
  return `${dataDir}/${network}.lock`;
}

/** `dataDir` and what lies between it and the state folder, that one included; innermost first. */
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
 * Throws IOFailure where what stands for `dataDir` or a folder above it is no folder of root's. A symlink would lead out of
 * the permission scope. Says whether `dataDir` is there.
 */
export function checkFolder(dataDir: string): boolean {
  return lookAtFolders(dataDir)[0]?.found !== undefined;
}

function lookAtFolders(dataDir: string) {
  return upToStateFolder(dataDir).map((folder) => {
    const found = tryLstat(folder);
    if (found !== undefined) mustBeRoots(folder, found);
    return { folder, found };
  });
}

/** `dataDir`, or the folder in which it would be made; `undefined` where that lies above the state folder. */
export function nearestFolder(dataDir: string): string | undefined {
  return upToStateFolder(dataDir).find((folder) => tryLstat(folder) !== undefined);
}

/** Makes sure that `dataDir` is a folder of root's alone, `STATE_FOLDER` and what is between included. IOFailure. */
export function prepareFolder(dataDir: string): void {
  const folders = lookAtFolders(dataDir);
  try {
    if (folders[0]?.found === undefined) makeFolders(dataDir);
    for (const { folder, found } of folders) {
      const isOpen = found !== undefined && ((found.mode ?? 0) & 0o777) !== 0o700;
      if (isOpen) Deno.chmodSync(folder, 0o700);
    }
  } catch (error) {
    throw ioError("make the state folder", dataDir, error);
  }
}

/** Each of ours is born as root's alone. */
function makeFolders(dataDir: string): void {
  for (const folder of upToStateFolder(dataDir).reverse()) {
    try {
      Deno.mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      // What lies above the state folder is the host's, and gets the host's mode.
      if (error instanceof Deno.errors.NotFound) ensureDirSync(folder);
      else if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

function mustBeRoots(folder: string, found: Deno.FileInfo): void {
  const wrong = found.isSymlink
    ? "it is a symbolic link"
    : !found.isDirectory
    ? "it is no folder"
    : notRoots(found);
  if (wrong === undefined) return;
  throw new CniError("IOFailure", `Cannot use "${folder}" as the state folder: ${wrong}`, {
    details: `move it away (mv ${folder} ${folder}.old); it is made anew, of root's alone`,
  });
}

/** Whose it is, where it is not root's: put there while the folder was somebody else's, it may hold anything. */
export function notRoots({ uid }: Deno.FileInfo): string | undefined {
  return uid === 0 ? undefined : `it belongs to user ${uid}, not to root`;
}

/** What stands there, a link not followed; `undefined` where nothing does. Throws IOFailure. */
export function tryLstat(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw ioError("look at", path, error);
  }
}

/** Names in `dataDir`; none where it is missing. Throws IOFailure. */
export function namesIn(dataDir: string): string[] {
  try {
    return [...Deno.readDirSync(dataDir)].map(({ name }) => name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw ioError("list", dataDir, error);
  }
}

/**
 * Closes `file` when `use` has ended. Not by `using`: the bundler puts a value that is used once in its place, and drops
 * what closes it.
 */
export function withFile<T>(file: Deno.FsFile, use: (file: Deno.FsFile) => T): T {
  try {
    return use(file);
  } finally {
    file.close();
  }
}

/** Removes a file; says whether there was one that could be removed. */
export function removeQuietly(path: string): boolean {
  try {
    Deno.removeSync(path);
    return true;
  } catch {
    // It was not made, or somebody else has removed or renamed it.
    return false;
  }
}
