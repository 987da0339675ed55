import { CniError, ioError } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import { isStill } from "./lock.ts";
import { namesIn, prepareFolder, removeQuietly, tryLstat, withFile } from "./folder.ts";

/** The sign of an ADD at work, which it takes away when it has ended. */
export interface Mark {
  /** An `ip` was given up and may still make the veth: the mark stays, and a later DEL waits for that. */
  keep(): void;
  end(): void;
}

/** What has become of the ADD of a host veth: none left a mark, one is at work, one died in its middle. */
export type Work = "none" | "at work" | "died";

/**
 * Marks of ADDs: a file for each that is at work, which it holds a flock on. The kernel lets go of the flock when a process
 * dies, so that a DEL can tell an ADD that was killed, whose `ip` may make the veth after all. Nothing is synced: a mark has
 * no meaning after a reboot.
 */
export class Marks {
  constructor(readonly dataDir: string, readonly network: NetworkName) {}

  #path(host: string): string {
    return `${this.dataDir}/.${this.network}.${host}.add`;
  }

  /** Marks the ADD of `host`. TryAgainLater where another one of it is at work, IOFailure where no file can be made. */
  begin(host: string): Mark {
    const path = this.#path(host);
    for (;;) {
      prepareFolder(this.dataDir);
      const { file, isNew } = open(path);
      let found: Claim;
      try {
        found = claim(file, path);
      } catch (error) {
        if (isNew) removeQuietly(path);
        file.close();
        throw error;
      }
      if (found !== "ours") file.close();
      if (found === "gone") continue;
      if (found === "another's") {
        throw new CniError(
          "TryAgainLater",
          `Cannot make the host veth "${host}": another ADD of it is at work`,
          { details: "a runtime may not run two operations on one attachment at once; try again" },
        );
      }
      let isKept = false;
      return {
        keep: () => {
          isKept = true;
        },
        end: () => {
          if (!isKept) removeQuietly(path);
          file.close();
        },
      };
    }
  }

  of(host: string): Work {
    const path = this.#path(host);
    if (tryLstat(path)?.isFile !== true) return "none";
    try {
      return withFile(
        Deno.openSync(path, { read: true }),
        (file) => file.tryLockSync(true) ? "died" : "at work",
      );
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return "none";
      throw ioError("look at", path, error);
    }
  }

  /** Takes away the mark of an ADD that died. */
  clear(host: string): void {
    if (this.of(host) === "died") removeQuietly(this.#path(host));
  }

  /** The host veths of which a mark stands. */
  hosts(): string[] {
    const start = `.${this.network}.`;
    return namesIn(this.dataDir).filter((name) =>
      name.startsWith(start) && /^av[0-9a-f]{13}\.add$/.test(name.slice(start.length))
    ).map((name) => name.slice(start.length, -".add".length));
  }
}

function open(path: string): { readonly file: Deno.FsFile; readonly isNew: boolean } {
  const options = { read: true, write: true, mode: 0o600 };
  try {
    return { file: Deno.openSync(path, { ...options, createNew: true }), isNew: true };
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw ioError("make", path, error);
  }
  const found = tryLstat(path);
  // A link would be followed out of the permission scope.
  if (found !== undefined && !found.isFile) removeQuietly(path);
  try {
    return { file: Deno.openSync(path, { ...options, create: true }), isNew: false };
  } catch (error) {
    throw ioError("make", path, error);
  }
}

type Claim = "ours" | "another's" | "gone";

/** Takes the flock, if nobody has it and the file is there still. */
function claim(file: Deno.FsFile, path: string): Claim {
  try {
    if (!file.tryLockSync(true)) return "another's";
  } catch (error) {
    throw ioError("lock", path, error);
  }
  return isStill(file, path) ? "ours" : "gone";
}
