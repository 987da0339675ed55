import { ifThere } from "../base/errors.ts";

/** Reads the file's metadata without following a link; `undefined` if there is no such file. Throws IOFailure. */
export function tryLstat(path: string): Deno.FileInfo | undefined {
  return ifThere("look at", path, () => Deno.lstatSync(path));
}

/** Names in the folder; an empty list if it is missing. Throws IOFailure. */
export function namesIn(folder: string): string[] {
  return ifThere("list", folder, () => [...Deno.readDirSync(folder)].map(({ name }) => name)) ?? [];
}

/** A sentence about the owner if the owner is not root, else `undefined`. A file of another user may hold anything. */
export function notRoots({ uid }: Deno.FileInfo): string | undefined {
  return uid === 0 ? undefined : `it belongs to user ${uid}, not to root`;
}

/** Closes `file` after `use`. The bundler drops the disposal of a `using` whose value is used once. */
export function withFile<T>(file: Deno.FsFile, use: (file: Deno.FsFile) => T): T {
  try {
    return use(file);
  } finally {
    file.close();
  }
}

/** Creates a file with mode 0600. Throws Deno's AlreadyExists if the path is taken. */
export function createFile(path: string): Deno.FsFile {
  return Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
}

export function writeBytes(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}

/** Removes a file, unless another process has removed or renamed it. */
export function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // The file was not made, or it can't be removed.
  }
}
