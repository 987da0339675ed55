import { isError } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import { lockPath, prepareFolder } from "./folder.ts";
import { acquire, hasLockFile, lastWritten } from "./lock.ts";
import { NewerSchema } from "./damage.ts";
import { emptyState, type State } from "./state.ts";
import {
  checkReadable,
  checkWritable,
  identityOf,
  isCurrent,
  readState,
  setAside,
  type Snapshot,
  sweepTemporaries,
  temporaries,
  writeState,
} from "./statefile.ts";

/** Where a state comes from. */
export type Origin =
  | "written" // as this program wrote it last
  | "changed" // edited, restored, put there by somebody, or the lock's word was lost
  | "missing"; // there is no file

/**
 * What a change came to: `false` where nothing is to be written; `"unproved"` where the kernel was not asked whether the state
 * is whole, so that a file which somebody else put there is as much in doubt as before.
 */
export type Change = boolean | "unproved";

/** Whether what a change has written on a state of that origin counts as this program's own. */
export function isWhole(change: Change, origin: Origin): boolean {
  return change === true || origin === "written";
}

/** What to do where the state file can't be read. */
export interface Unreadable {
  /** Throws where somebody may hold an address; else the state begins anew. */
  readonly mustBeUnused: (damage: unknown) => Promise<void>;
  /** Told where the damaged file is kept. */
  readonly startedAnew: (aside: string | undefined) => void;
}

/** Where a network's state is kept. */
export interface Store {
  /** Where `read` would fail, as far as that shows without reading. IOFailure, StateDamaged. */
  mustBeReadable(): void;
  /** What it is, read without the lock. IOFailure, StateDamaged. */
  read(): State;
  /** Where that state comes from; `"changed"` too while another run writes. IOFailure, StateDamaged. */
  origin(): Origin;
  /** Lists what `update` will sweep. IOFailure. */
  willUpdate(): void;
  /**
   * Runs `change` on the current leases under the lock, and writes it durably. IOFailure, TryAgainLater, StateDamaged;
   * `stop` ends the wait for the lock.
   */
  update(
    change: (state: State, origin: Origin) => Change | Promise<Change>,
    stop: AbortSignal,
    unreadable?: Unreadable,
  ): Promise<void>;
  /** Replaces the state by what `build` returns, under the lock and whatever stands there; `undefined` leaves it. */
  rebuild(
    build: () => Promise<Rebuilt | undefined>,
    stop: AbortSignal,
  ): Promise<string | undefined>;
  /** Removes what a killed run left of its write; the lock is taken only where there is something. */
  sweep(stop: AbortSignal): Promise<void>;
  /** IOFailure where what the next ADD writes could not be written: the state, or its mark alone. */
  mustBeWritable(writesState: boolean): void;
}

/** A state to be written in the place of another. */
export interface Rebuilt {
  readonly state: State;
  /** The file that stands there is damaged, and kept beside. */
  readonly keepOld: boolean;
}

/** The state file of a network in `dataDir`, and its lock beside it (docs/architecture.md, "The state"). */
export function openStore(dataDir: string, network: NetworkName): Store {
  let snapshot: Snapshot | undefined;
  let left: readonly string[] | undefined;
  const seen = (): Snapshot => snapshot ??= readState(dataDir, network);
  /** Drops the cache: it may no longer match the file. */
  const forget = (): void => {
    snapshot?.file?.close();
    snapshot = undefined;
  };
  /** `work` returns the identity of what it has written and vouches for. */
  const locked = async (
    stop: AbortSignal,
    work: (written: string) => Promise<string | undefined>,
  ) => {
    prepareFolder(dataDir);
    const lock = await acquire(lockPath(dataDir, network), stop);
    let written = lock.written;
    try {
      sweepTemporaries(left ?? temporaries(dataDir, network));
      left = undefined;
      written = await work(written) ?? written;
    } finally {
      forget();
      lock.release(written);
    }
  };
  return {
    mustBeReadable: () => {
      checkReadable(dataDir, network);
    },
    read: () => seen().state,
    origin: () => originOf(seen(), lastWritten(lockPath(dataDir, network))),
    willUpdate: () => {
      left = temporaries(dataDir, network);
    },
    update: (change, stop, unreadable) =>
      locked(stop, async (written) => {
        if (snapshot === undefined || !isCurrent(snapshot, dataDir, network)) {
          forget();
          snapshot = await readOrBegin(dataDir, network, unreadable);
        }
        const { state } = snapshot;
        const origin = originOf(snapshot, written);
        // In a file of somebody else's a line may hold more than the map it begins with.
        if (origin !== "written") state.lines = undefined;
        const changed = await change(state, origin);
        if (changed === false) return undefined;
        const now = writeState(dataDir, network, state);
        return isWhole(changed, origin) ? now : undefined;
      }),
    rebuild: async (build, stop) => {
      let aside: string | undefined;
      await locked(stop, async () => {
        const rebuilt = await build();
        if (rebuilt === undefined) return undefined;
        if (rebuilt.keepOld) aside = setAside(dataDir, network);
        return writeState(dataDir, network, rebuilt.state);
      });
      return aside;
    },
    sweep: async (stop) => {
      if (temporaries(dataDir, network).length > 0) {
        await locked(stop, () => Promise.resolve(undefined));
      }
    },
    mustBeWritable: (writesState) => {
      if (writesState) hasLockFile(lockPath(dataDir, network));
      checkWritable(dataDir, network, writesState);
    },
  };
}

function originOf({ file, identity }: Snapshot, written: string): Origin {
  if (file === undefined) return "missing";
  return written === identity ? "written" : "changed";
}

/** The state, or an empty one where the file is damaged and nobody can hold an address. */
async function readOrBegin(
  dataDir: string,
  network: NetworkName,
  unreadable: Unreadable | undefined,
): Promise<Snapshot> {
  try {
    return readState(dataDir, network);
  } catch (damage) {
    if (unreadable === undefined || !isUnreadable(damage)) throw damage;
    await unreadable.mustBeUnused(damage);
    unreadable.startedAnew(setAside(dataDir, network));
    return { state: emptyState(), file: undefined, identity: identityOf(undefined) };
  }
}

/** Whether a state file is damaged so that nothing of it counts; a newer version's counts. */
export function isUnreadable(error: unknown): boolean {
  return isError(error, "StateDamaged") && !(error instanceof NewerSchema);
}
