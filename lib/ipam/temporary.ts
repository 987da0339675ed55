import { randomBytes } from "../base/random.ts";
import type { NetworkName } from "../base/names.ts";
import { namesIn, removeQuietly } from "./folder.ts";

/** A name that can't be a state file or a lock, because network names start with a letter or digit. */
export function temporaryName(network: NetworkName): string {
  return `.${network}.${randomBytes(8).toHex()}.tmp`;
}

/** Paths of this network's temporary files, including the files of killed runs. */
export function temporaries(dataDir: string, network: NetworkName): string[] {
  return namesIn(dataDir).filter((name) =>
    name.startsWith(`.${network}.`) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(network.length + 2))
  ).map((name) => `${dataDir}/${name}`);
}

/**
 * Removes the temporary files of killed runs. The caller holds the lock, so the runs that made the listed files have ended.
 */
export function sweepTemporaries(paths: readonly string[]): void {
  for (const path of paths) removeQuietly(path);
}

/** Creates a file with mode 0600. Throws Deno's AlreadyExists if the path is taken. */
export function createFile(path: string): Deno.FsFile {
  return Deno.openSync(path, { write: true, createNew: true, mode: 0o600 });
}

export function writeBytes(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length;) written += file.writeSync(bytes.subarray(written));
}
