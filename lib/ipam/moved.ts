import { ioError } from "../base/errors.ts";
import { removeQuietly } from "./folder.ts";

/**
 * A folder that was moved away and back has the states of before: the files have their inodes and times, and containers of
 * the states in its place are alive. The record in the lock file does not show it, but the folder does.
 */

/**
 * Whether a folder was renamed or changed as a whole since a file in it was last made or removed. A file sets both times of
 * its folder; a rename sets the ctime alone, which Deno reports in whole seconds.
 */
function wasMoved({ mtime, ctime }: Deno.FileInfo): boolean {
  const seconds = (time: Date | null) => Math.floor((time?.getTime() ?? 0) / 1000);
  return seconds(ctime) > seconds(mtime);
}

/**
 * Empties the lock files below each moved folder, so that the next transaction of each network compares its state with the
 * kernel. Called before this program makes a file there, which hides the move. Throws IOFailure.
 */
export function doubtMoved(
  folders: readonly { readonly folder: string; readonly found: Deno.FileInfo | undefined }[],
): void {
  for (const { folder, found } of folders) {
    if (found === undefined || !wasMoved(found)) continue;
    try {
      doubt(folder);
    } catch (error) {
      throw ioError("empty the lock files in", folder, error);
    }
  }
}

function doubt(folder: string): void {
  for (const { name, isFile, isDirectory } of Deno.readDirSync(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory && !name.startsWith(".")) doubt(path);
    if (isFile && name.endsWith(".lock")) Deno.truncateSync(path, 0);
  }
  touch(folder);
}

/** Sets both times of the folder, without a system call that the program needs nowhere else. Another run may do it too. */
function touch(folder: string): void {
  const path = `${folder}/.moved`;
  // Only a killed run leaves it.
  removeQuietly(path);
  try {
    Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }).close();
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  removeQuietly(path);
}
