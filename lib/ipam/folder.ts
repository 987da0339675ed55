import { ensureDirSync } from "@std/fs/ensure-dir";
import { CniError, orIoError } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import { STATE_FOLDER } from "../base/scope.ts";
import { notRoots, tryLstat } from "./files.ts";
import { doubtMoved } from "./moved.ts";

export function statePath(dataDir: string, network: NetworkName): string {
  return `${dataDir}/${network}.json`;
}

export function lockPath(dataDir: string, network: NetworkName): string {
  return `${dataDir}/${network}.lock`;
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
 * Throws IOFailure if `dataDir` or a folder above it is not a folder that root owns. A symlink would lead out of the permission
 * scope. Returns whether `dataDir` exists.
 */
export function checkFolder(dataDir: string): boolean {
  return lookAtFolders(dataDir)[0]?.found !== undefined;
}

function lookAtFolders(dataDir: string) {
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
  const folders = lookAtFolders(dataDir);
  doubtMoved(folders);
  return folders.find(({ found }) => found !== undefined)?.folder;
}

/** Makes `dataDir` and the folders up to `STATE_FOLDER`, or sets their mode to 0700. Throws IOFailure. */
export function prepareFolder(dataDir: string): void {
  const folders = lookAtFolders(dataDir);
  doubtMoved(folders);
  orIoError("make the state folder", dataDir, () => {
    if (folders[0]?.found === undefined) makeFolders(dataDir);
    for (const { folder, found } of folders) {
      const isOpen = found !== undefined && ((found.mode ?? 0) & 0o777) !== 0o700;
      if (isOpen) Deno.chmodSync(folder, 0o700);
    }
  });
}

/** Each folder is created with mode 0700, so that no other user can open it at any moment. */
function makeFolders(dataDir: string): void {
  for (const folder of upToStateFolder(dataDir).reverse()) {
    try {
      Deno.mkdirSync(folder, { mode: 0o700 });
    } catch (error) {
      // Folders above the state folder belong to the host and get the default mode.
      if (error instanceof Deno.errors.NotFound) ensureDirSync(folder);
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
  throw new CniError("IOFailure", `Cannot use "${folder}" as the state folder: ${wrong}`, {
    details: `move it away (mv ${folder} ${folder}.old); the next ADD makes one that root owns`,
  });
}
