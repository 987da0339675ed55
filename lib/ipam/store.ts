import { CniError, isError, unlessError } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import { NewerSchema } from "./damage.ts";
import { removeQuietly } from "./files.ts";
import { lockPath, prepareFolder, temporaries } from "./folder.ts";
import { acquire, hasLockFile, recordedIdentity } from "./lock.ts";
import { emptyState, type State } from "./state.ts";
import { checkWritable, isCurrent, readState, type Snapshot, writeState } from "./statefile.ts";

/**
 * The provenance of a state:
 * - `written`: this program wrote the file, and it is unchanged
 * - `changed`: the file was edited, restored or replaced, or the lock's record was lost
 * - `missing`: there is no file
 * - StateDamaged: the content is not a valid state, and the state is empty (`read` throws the error instead)
 */
export type Provenance = "written" | "changed" | "missing" | CniError;

export interface Found {
  readonly state: State;
  readonly provenance: Provenance;
}

/** The decision of a transaction: its result, and whether to write the state. */
export interface Decision<T> {
  readonly result: T;
  /**
   * Without it, nothing is written. `verified`: the state agrees with the kernel, so its provenance is `written` afterwards.
   * `unverified`: the provenance stays `written` or becomes `changed`. `doubted`: it becomes `changed`.
   */
  readonly write?: "verified" | "unverified" | "doubted";
  /** A state to write instead of the one that `decide` was called with. */
  readonly state?: State;
}

type Decide<T> = (state: State, provenance: Provenance) => Decision<T> | Promise<Decision<T>>;

/** The leases of a network. Tests replace them. */
export type Leases = Pick<StoredLeases, keyof StoredLeases>;

/** The leases of a network: one file with its lock file next to it (docs/architecture.md, "The state"). */
export class StoredLeases {
  #snapshot: Snapshot | undefined;
  readonly #lockPath: string;

  constructor(
    private readonly dataDir: string,
    private readonly network: NetworkName,
    private readonly stop: AbortSignal,
  ) {
    this.#lockPath = lockPath(dataDir, network);
  }

  /**
   * The state, read without the lock. The provenance is also `changed` while another run writes, so only a reader with the lock
   * may report it. The next transaction uses this state if the file is still the same. Throws IOFailure,
   * StateDamaged.
   */
  read(): Found {
    // If the lock file can't be used, the next transaction reports that.
    return this.#seen(unlessError(["IOFailure"], () => recordedIdentity(this.#lockPath)) ?? "");
  }

  /**
   * Runs `decide` on the current state under the lock. `decide` may change the state in place or return another one; it is
   * written durably if the decision says so. `stop` ends the wait for the lock. Returns the result of the decision, and the path
   * of the damaged file's backup if one was replaced. Throws IOFailure, TryAgainLater, and StateDamaged for the file of a newer
   * version.
   */
  async transaction<T>(decide: Decide<T>, stop = this.stop) {
    prepareFolder(this.dataDir);
    const lock = await acquire(this.#lockPath, stop);
    let recorded = lock.identity;
    try {
      // The files are of runs that have ended, because this run holds the lock.
      temporaries(this.dataDir, this.network).forEach(removeQuietly);
      const { state, provenance } = this.#found(recorded);
      const decision = await decide(state, provenance);
      if (decision.write === undefined) return { result: decision.result, backup: undefined };
      // While the folder was away, ADDs may have allocated addresses in a new folder. The next run checks this state.
      const isMoved = prepareFolder(this.dataDir);
      if (isMoved) recorded = "";
      if (isMoved && decision.write === "verified") {
        throw this.#tryAgain("its folder was changed, or moved away and back");
      }
      const { identity, backup } = writeState(this.dataDir, this.network, {
        state: decision.state ?? state,
        backUp: provenance instanceof CniError,
        verify: () => this.#checkUnchanged(lock.isHeld()),
      });
      const isSure = decision.write === "verified" ||
        (decision.write === "unverified" && provenance === "written" && !isMoved);
      if (isSure) recorded = identity;
      return { result: decision.result, backup };
    } finally {
      this.#drop();
      lock.release(recorded);
    }
  }

  /** Runs `look` on the current state under the lock, and changes nothing in the folder. Without a lock file it takes no lock. */
  async examine<T>(look: (found: Found) => T | Promise<T>): Promise<T> {
    if (!hasLockFile(this.#lockPath)) return await look(this.#found(""));
    const lock = await acquire(this.#lockPath, this.stop, true);
    try {
      return await look(this.#found(lock.identity));
    } finally {
      this.#drop();
      lock.release(lock.identity);
    }
  }

  /** Removes the temporary files of killed runs. It takes the lock only if there are such files. */
  async sweep(): Promise<void> {
    if (temporaries(this.dataDir, this.network).length === 0) return;
    await this.transaction(() => ({ result: undefined }));
  }

  /** Throws IOFailure if the next ADD could not write the state; without `writesState`, if it could not write its mark. */
  checkWritable(writesState: boolean): void {
    if (writesState) hasLockFile(this.#lockPath);
    checkWritable(this.dataDir, this.network, writesState);
  }

  /** The current state; an empty state if the file is damaged. Throws StateDamaged for the file of a newer version. */
  #found(recorded: string): Found {
    try {
      const found = this.#seen(recorded);
      // In the file of another program, a line may hold more than one map, so its lines are not reused.
      if (found.provenance !== "written") found.state.lines = undefined;
      return found;
    } catch (error) {
      if (!isError(error, "StateDamaged") || error instanceof NewerSchema) throw error;
      return { state: emptyState(), provenance: error };
    }
  }

  /** The current state; `recorded` is the identity of its file in the lock file. */
  #seen(recorded: string): Found {
    const { state, file, identity } = this.#current();
    const isOwn = recorded === identity;
    return { state, provenance: file === undefined ? "missing" : isOwn ? "written" : "changed" };
  }

  #current(): Snapshot {
    if (this.#snapshot !== undefined && isCurrent(this.#snapshot, this.dataDir, this.network)) {
      return this.#snapshot;
    }
    this.#drop();
    return this.#snapshot = readState(this.dataDir, this.network);
  }

  /** Closes and drops the snapshot, because its state may have been changed, or its file replaced. */
  #drop(): void {
    this.#snapshot?.file?.close();
    this.#snapshot = undefined;
  }

  /** Throws TryAgainLater if the lock was removed or the file replaced: another run may have written at the same time. */
  #checkUnchanged(isHeld: boolean): void {
    const isSame = this.#snapshot === undefined ||
      isCurrent(this.#snapshot, this.dataDir, this.network);
    if (isHeld && isSame) return;
    const found = isHeld ? "its file was replaced" : `the lock "${this.#lockPath}" was removed`;
    throw this.#tryAgain(`${found} while this run held the lock`);
  }

  #tryAgain(found: string): CniError {
    return new CniError(
      "TryAgainLater",
      `Cannot write the state of network "${this.network}": ${found}`,
      "nothing was written; try again, and leave the files of the folder alone",
    );
  }
}
