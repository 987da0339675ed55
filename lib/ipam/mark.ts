import { CniError, ifThere, isError, orIoError } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import { isStillAt } from "./lock.ts";
import { namesIn, removeQuietly, tryLstat, withFile, writeBytes } from "./files.ts";
import { prepareFolder } from "./folder.ts";

/** The mark of an ADD in progress. The ADD removes it when it ends. */
export interface Mark {
  /** There was a mark of an earlier ADD of the host veth, which was killed. */
  readonly followsKilled: boolean;
  /** Records whether the ADD has a lease. Called before the lease is written, and before it is released. */
  lease(isHeld: boolean): void;
  /** Leaves the mark in place: an abandoned `ip` may still make the veth, and a later DEL waits for it. */
  keep(): void;
  end(): void;
}

/** The state of a host veth's ADD: without a mark, in progress without or with a lease, or killed. */
export type AddProgress = "none" | "running" | "leased" | "died";

export function isRunning(progress: AddProgress | undefined): boolean {
  return progress === "running" || progress === "leased";
}

/**
 * Marks of ADDs: each ADD in progress has one file and holds a flock on it. The kernel releases the flock when the process
 * dies. So a DEL recognizes a killed ADD, and waits for an `ip` of that ADD that may still make the veth. Marks are not
 * synced, because they have no meaning after a reboot.
 */
export class AddMarks {
  constructor(readonly dataDir: string, readonly network: NetworkName) {}

  #path(host: string): string {
    return `${this.dataDir}/.${this.network}.${host}.add`;
  }

  /** Marks the ADD of `host`. Throws TryAgainLater if another ADD of `host` is in progress, and IOFailure. */
  begin(host: string): Mark {
    const path = this.#path(host);
    const options = { read: true, write: true, create: true, mode: 0o600 };
    for (;;) {
      prepareFolder(this.dataDir);
      const found = tryLstat(path);
      // A link would be followed out of the permission scope.
      if (found !== undefined && !found.isFile) removeQuietly(path);
      const file = orIoError("make", path, () => Deno.openSync(path, options));
      try {
        if (!orIoError("lock", path, () => tryFlock(file))) throw inProgress(host);
        if (isStillAt(file, path)) {
          if (found !== undefined) file.truncateSync();
          return markOf(file, path, found !== undefined);
        }
      } catch (error) {
        const isOurs = found === undefined && !isError(error, "TryAgainLater");
        if (isOurs) removeQuietly(path);
        file.close();
        throw error;
      }
      file.close();
    }
  }

  /** The state of the host veth's ADD. Probes with a shared lock, so that a concurrent probe is not mistaken for an ADD. */
  of(host: string): AddProgress {
    const path = this.#path(host);
    return this.#open(path, (file) => {
      if (file.tryLockSync(false)) return "died";
      return file.statSync().size > 0 ? "leased" : "running";
    }) ?? "none";
  }

  /** Removes the mark of a killed ADD while holding the mark's flock, so that the mark of a new ADD stays. */
  clear(host: string): void {
    const path = this.#path(host);
    this.#open(path, (file) => {
      if (file.tryLockSync(true) && isStillAt(file, path)) removeQuietly(path);
    });
  }

  #open<T>(path: string, use: (file: Deno.FsFile) => T): T | undefined {
    if (tryLstat(path)?.isFile !== true) return undefined;
    return ifThere("look at", path, () => withFile(Deno.openSync(path, { read: true }), use));
  }

  /**
   * Removes the marks of ADDs that were killed more than 60 s ago, because the `ip` of such an ADD has ended. It looks at no more
   * than `most` marks.
   */
  sweep(most = Infinity): void {
    for (const host of this.hosts().slice(0, most)) {
      const begun = tryLstat(this.#path(host))?.mtime?.getTime() ?? Infinity;
      if (Date.now() - begun > OLD_MS) this.clear(host);
    }
  }

  /** The state of each marked ADD, by host veth. */
  all(): Map<string, AddProgress> {
    return new Map(this.hosts().map((host) => [host, this.of(host)]));
  }

  /** The host veths that have a mark. */
  hosts(): string[] {
    const start = `.${this.network}.`;
    return namesIn(this.dataDir).filter((name) =>
      name.startsWith(start) && /^av[0-9a-f]{13}\.add$/.test(name.slice(start.length))
    ).map((name) => name.slice(start.length, -".add".length));
  }
}

function markOf(file: Deno.FsFile, path: string, followsKilled: boolean): Mark {
  let isKept = false;
  return {
    followsKilled,
    lease: (isHeld) =>
      orIoError("write", path, () => {
        if (isHeld) writeBytes(file, new Uint8Array(1));
        else file.truncateSync();
      }),
    keep: () => {
      isKept = true;
    },
    end: () => {
      if (!isKept) removeQuietly(path);
      file.close();
    },
  };
}

function inProgress(host: string): CniError {
  return new CniError(
    "TryAgainLater",
    `Cannot make the host veth "${host}": another ADD of it is in progress`,
    "a runtime may not run two operations on one attachment at once; try again",
  );
}

const OLD_MS = 60_000;

/** A probe (`of`) holds the flock for some microseconds. An ADD tries for 50 ms, so that a probe does not make it fail. */
const TRIES = 5;
const PAUSE_MS = 10;

/** Takes the flock; false if another ADD has it. */
function tryFlock(file: Deno.FsFile): boolean {
  for (let tries = 1; !file.tryLockSync(true); tries++) {
    if (tries > TRIES) return false;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
  }
  return true;
}
