import { CniError, isError } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import { NewerSchema } from "./damage.ts";
import { lockPath, prepareFolder } from "./folder.ts";
import { acquire, hasLockFile, lastWritten } from "./lock.ts";
import { emptyState, type State } from "./state.ts";
import {
  checkWritable,
  isCurrent,
  readState,
  type Snapshot,
  sweepTemporaries,
  temporaries,
  writeState,
} from "./statefile.ts";

/**
 * Where a state comes from:
 * - `written`: as this program wrote it last
 * - `changed`: edited, restored or put there by somebody, or the lock's record was lost
 * - `missing`: there is no file
 * - StateDamaged: the file can't be read, and the state is empty
 */
export type Provenance = "written" | "changed" | "missing" | CniError;

export interface Found {
  readonly state: State;
  readonly provenance: Provenance;
}

/** What a transaction comes to. */
export interface Decision<T> {
  readonly result: T;
  /**
   * Without it nothing is written. `unverified`: the kernel was not asked whether the state is consistent, so that a file
   * which somebody else put there is as much in doubt as before.
   */
  readonly write?: "verified" | "unverified";
  /** Another state than the changed one. */
  readonly state?: State;
}

export interface Outcome<T> {
  readonly result: T;
  /** Where the damaged file is kept that was replaced. */
  readonly backup: string | undefined;
}

type Decide<T> = (state: State, provenance: Provenance) => Decision<T> | Promise<Decision<T>>;

/** A network's leases: one file, its lock next to it (docs/architecture.md, "The state"). */
export interface Leases {
  /**
   * The state, read without the lock. While another run writes, its provenance may be `changed`: only a reader that holds
   * the lock may call it damaged. The next transaction reads the file again only if it has changed. IOFailure, StateDamaged.
   */
  read(): Found;
  /**
   * Runs `decide` on the current state under the lock; it changes the state in place. The outcome is written durably.
   * IOFailure, TryAgainLater, StateDamaged for the file of a newer version. `stop` ends the wait for the lock.
   */
  transaction<T>(decide: Decide<T>, stop?: AbortSignal): Promise<Outcome<T>>;
  /** The same for a reader: changes nothing in the folder. Without a lock file nobody has written, and nothing is locked. */
  examine<T>(look: (found: Found) => T | Promise<T>): Promise<T>;
  /** Removes what a killed run left of its write; the lock is taken only if there is something. */
  sweep(): Promise<void>;
  /** IOFailure if the next ADD could not write the state, or its mark alone. */
  mustBeWritable(writesState: boolean): void;
}

export function openLeases(dataDir: string, network: NetworkName, stop: AbortSignal): Leases {
  return new StoredLeases(dataDir, network, stop);
}

class StoredLeases implements Leases {
  #snapshot: Snapshot | undefined;
  #left: readonly string[] | undefined;
  readonly #lock: string;

  constructor(
    readonly dataDir: string,
    readonly network: NetworkName,
    readonly stop: AbortSignal,
  ) {
    this.#lock = lockPath(dataDir, network);
  }

  read(): Found {
    this.#left ??= temporaries(this.dataDir, this.network);
    const { state, file, identity } = this.#current();
    return { state, provenance: provenanceOf(file, identity, this.#recorded()) };
  }

  async transaction<T>(decide: Decide<T>, stop = this.stop): Promise<Outcome<T>> {
    prepareFolder(this.dataDir);
    const lock = await acquire(this.#lock, stop);
    let written = lock.written;
    try {
      sweepTemporaries(this.#left ?? temporaries(this.dataDir, this.network));
      this.#left = undefined;
      const { state, provenance } = this.#found(written);
      const decision = await decide(state, provenance);
      if (decision.write === undefined) return { result: decision.result, backup: undefined };
      const { identity, backup } = writeState(this.dataDir, this.network, {
        state: decision.state ?? state,
        backUp: provenance instanceof CniError,
        verify: () => this.#mustBeSame(lock.isHeld()),
      });
      if (decision.write === "verified" || provenance === "written") written = identity;
      return { result: decision.result, backup };
    } finally {
      this.#drop();
      lock.release(written);
    }
  }

  async examine<T>(look: (found: Found) => T | Promise<T>): Promise<T> {
    if (!hasLockFile(this.#lock)) return await look(this.#found(""));
    const lock = await acquire(this.#lock, this.stop, true);
    try {
      return await look(this.#found(lock.written));
    } finally {
      this.#drop();
      lock.release(lock.written);
    }
  }

  async sweep(): Promise<void> {
    if (temporaries(this.dataDir, this.network).length === 0) return;
    await this.transaction(() => ({ result: undefined }));
  }

  mustBeWritable(writesState: boolean): void {
    if (writesState) hasLockFile(this.#lock);
    checkWritable(this.dataDir, this.network, writesState);
  }

  /** Without the lock, a lock file that can't be used is the next transaction's matter. */
  #recorded(): string {
    try {
      return lastWritten(this.#lock);
    } catch (error) {
      if (isError(error, "IOFailure")) return "";
      throw error;
    }
  }

  /** What the file holds now, also if it is damaged; a newer version's is refused. */
  #found(written: string): Found {
    try {
      const { state, file, identity } = this.#current();
      const provenance = provenanceOf(file, identity, written);
      // In a file of somebody else's a line may hold more than the map it begins with.
      if (provenance !== "written") state.lines = undefined;
      return { state, provenance };
    } catch (error) {
      if (!(error instanceof CniError) || !isUnreadable(error)) throw error;
      return { state: emptyState(), provenance: error };
    }
  }

  #current(): Snapshot {
    if (this.#snapshot !== undefined && isCurrent(this.#snapshot, this.dataDir, this.network)) {
      return this.#snapshot;
    }
    this.#drop();
    return this.#snapshot = readState(this.dataDir, this.network);
  }

  /** Forgets what was read: `decide` may have changed it. */
  #drop(): void {
    this.#snapshot?.file?.close();
    this.#snapshot = undefined;
  }

  /** Somebody who removes the lock lets another run write at the same time: the later writer gives up. */
  #mustBeSame(isHeld: boolean): void {
    const isSame = this.#snapshot === undefined ||
      isCurrent(this.#snapshot, this.dataDir, this.network);
    if (isHeld && isSame) return;
    throw new CniError(
      "TryAgainLater",
      `Cannot write the state of network "${this.network}": ${
        isHeld ? "its file was replaced" : `the lock "${this.#lock}" was removed`
      } while this run held the lock`,
      { details: "nothing was written; try again, and leave the files of the folder alone" },
    );
  }
}

function provenanceOf(
  file: Deno.FsFile | undefined,
  identity: string,
  written: string,
): Provenance {
  if (file === undefined) return "missing";
  return written === identity ? "written" : "changed";
}

/** Whether a state file is damaged so that nothing of it counts; a newer version's counts. */
function isUnreadable(error: unknown): boolean {
  return isError(error, "StateDamaged") && !(error instanceof NewerSchema);
}
