import { ifThere, orIoError } from "../base/errors.ts";
import { namesIn, removeQuietly, tryLstat } from "./files.ts";

/**
 * A folder that was moved away and back has the states of before: the files have their inodes and times, and containers of
 * the states in its place are alive. The record in the lock file does not show it, but the folder does.
 */

/** A file that is made or removed sets both times of its folder; a rename sets the ctime, which Deno reports in seconds. */
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
    if (found !== undefined && wasMoved(found)) doubt(folder);
  }
}

function doubt(folder: string): void {
  for (const name of namesIn(folder)) {
    const path = `${folder}/${name}`;
    const found = tryLstat(path);
    if (found?.isDirectory && !name.startsWith(".")) doubt(path);
    // Another process may remove it: then the next lock file is empty.
    if (found?.isFile && name.endsWith(".lock")) {
      ifThere("empty", path, () => Deno.truncateSync(path, 0));
    }
  }
  orIoError("make a file in", folder, () => touch(folder));
}

/** Sets both times of the folder, without a system call that the program needs nowhere else. Another run may do it too. */
function touch(folder: string): void {
  const path = `${folder}/.moved`;
  // Only a killed run leaves it.
  removeQuietly(path);
  Deno.openSync(path, { write: true, create: true, mode: 0o600 }).close();
  removeQuietly(path);
}
