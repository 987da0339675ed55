import { join } from "@std/path/posix";
import { acquire, LOCK_LIMIT_MS } from "./lock.ts";
import type { Ledger } from "./ledger.ts";
import type { NetworkName } from "./names.ts";
import {
  checkReadable,
  checkWritable,
  isCurrent,
  prepareFolder,
  readState,
  type Snapshot,
  sweepTemporaries,
  temporaries,
  writeState,
} from "./statefile.ts";

/** Where a network's state is kept. */
export interface Store {
  /** Codes 5, 104 where `read` would fail; as far as that shows without reading. */
  mustBeReadable(): void;
  /** What it is, read without the lock. Codes 5, 104. */
  read(): Promise<Ledger>;
  /**
   * Runs `change` on the current leases under the lock, and writes it durably where that returns `true`. Codes 5, 11,
   * 104; `stop` ends the wait for the lock.
   */
  update(change: (ledger: Ledger) => boolean | Promise<boolean>, stop: AbortSignal): Promise<void>;
  /** Removes what a killed run left of its write; the lock is taken only where there is something. */
  tidy(stop: AbortSignal): Promise<void>;
  /** Code 5 where the next write would fail; as far as that shows without writing. */
  mustBeWritable(): void;
}

/** The state file of a network in `dataDir`, and its lock beside it (DESIGN §5). */
export function openStore(
  dataDir: string,
  network: NetworkName,
  lockLimitMs: number = LOCK_LIMIT_MS,
): Store {
  let snapshot: Snapshot | undefined;
  /** What a change left in memory is not what the file holds. */
  const forget = (): void => {
    snapshot?.file?.close();
    snapshot = undefined;
  };
  return {
    mustBeReadable: () => {
      checkReadable(dataDir, network);
    },
    read: async () => {
      snapshot ??= await readState(dataDir, network);
      return snapshot.ledger;
    },
    update: async (change, stop) => {
      prepareFolder(dataDir);
      const lock = await acquire(join(dataDir, `${network}.lock`), stop, lockLimitMs);
      try {
        sweepTemporaries(dataDir, network);
        if (snapshot === undefined || !isCurrent(snapshot, dataDir, network)) {
          forget();
          snapshot = await readState(dataDir, network);
        }
        const { ledger } = snapshot;
        if (await change(ledger)) await writeState(dataDir, network, ledger);
      } finally {
        forget();
        lock.release();
      }
    },
    tidy: async (stop) => {
      if (temporaries(dataDir, network).length === 0) return;
      const lock = await acquire(join(dataDir, `${network}.lock`), stop, lockLimitMs);
      sweepTemporaries(dataDir, network);
      lock.release();
    },
    mustBeWritable: () => checkWritable(dataDir),
  };
}
