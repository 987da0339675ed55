/** Which addresses an attachment has: reserved, released and taken back, in one file for each network. */
import type { Ip } from "./base/address.ts";
import { type Owner, ownerKey } from "./base/attachment.ts";
import { CniError } from "./base/errors.ts";
import type { NetworkName } from "./base/names.ts";
import type { RangeSet } from "./base/range.ts";
import { type Adoption, mayAdopt } from "./ipam/adopt.ts";
import { countFree } from "./ipam/choose.ts";
import type { Evidence, Forget, LookAtVeths } from "./ipam/evidence.ts";
import { checkFit, checkWhole, mustBeUnused } from "./ipam/fit.ts";
import { give, heal, type LeaseRequest } from "./ipam/give.ts";
import {
  addLease,
  dropLease,
  findLease,
  isSameLease,
  type Lease,
  leasesOf,
  listLeases,
  type State,
} from "./ipam/state.ts";
import { isUnreadable, openStore, type Rebuilt, type Store } from "./ipam/store.ts";

export type { Adoption } from "./ipam/adopt.ts";
export { checkRequested, countFree } from "./ipam/choose.ts";
export type { Evidence, Holder, LookAtVeths } from "./ipam/evidence.ts";
export { NewerSchema } from "./ipam/damage.ts";
export { SUBNET_CHANGED } from "./ipam/fit.ts";
export { checkFolder, lockPath, statePath, tryLstat } from "./ipam/folder.ts";
export { type LeaseRequest, poolFull } from "./ipam/give.ts";
export {
  containerMac,
  hasMacOf,
  hostsOf,
  isImported,
  isOfEarlierAdd,
  now,
  recordedMac,
} from "./ipam/lease.ts";
export { holderOfLock } from "./ipam/lock.ts";
export { type Mark, Marks, type Work } from "./ipam/mark.ts";
export { type Held, type Networks, readNetworks } from "./ipam/networks.ts";
export {
  addLease,
  emptyState,
  findLease,
  isSameLease,
  type Lease,
  type LeaseRecord,
  listLeases,
  type State,
} from "./ipam/state.ts";
export type { Rebuilt } from "./ipam/store.ts";

/** A network's leases. */
export interface Leases {
  /** Where they can't be read, as far as that shows without reading. IOFailure, StateDamaged. */
  mustBeReadable(): void;
  /** Reads what `reserve` needs while something else is at work; what is wrong with it is told by whoever asks for a lease. */
  preload(): void;
  /** The lease of that owner, read without the lock. IOFailure, StateDamaged. */
  of(owner: Owner): Lease | undefined;
  all(): Lease[];
  /** The network's state as it is now, for who shows it. IOFailure, StateDamaged. */
  state(): State;
  /** Throws StateDamaged, InvalidNetworkConfig where the leases that are held do not fit these ranges. */
  mustFit(sets: readonly RangeSet[]): void;
  /** Gives the attachment one address of each set in one durable write. */
  reserve(request: LeaseRequest, evidence: Evidence): Promise<Lease>;
  /**
   * Releases exactly these leases; one that has changed since it was read is somebody else's. Where there is none,
   * what a killed run left of a write goes all the same.
   */
  release(leases: readonly Lease[]): Promise<void>;
  /** Releases what `reserve` gave, as if it had never been given; also where `reserve` failed after it had written. */
  undoReserve(): Promise<void>;
  /** Holds the leases of another plugin, durably: all of them, or an error and none. */
  adopt(
    leases: readonly Adoption[],
    sets: readonly RangeSet[],
    last: readonly Ip[],
    evidence: Evidence,
  ): Promise<void>;
  /** Releases the leases without a host veth; says which. */
  releaseStale(veths: LookAtVeths, forget?: Forget): Promise<Lease[]>;
  /** How many more addresses of each set an ADD could get, healing included. */
  free(sets: readonly RangeSet[], veths: LookAtVeths): Promise<bigint[]>;
  /** Whether the state can't be read and an ADD would begin it anew, for nobody can hold an address. StateDamaged. */
  wouldBeginAnew(evidence: Evidence): Promise<boolean>;
  /** Throws StateDamaged where somebody has an address and no lease: an older copy was put back, or the file emptied. */
  mustBeWhole(evidence: Evidence): Promise<void>;
  /** Replaces the state whatever it is; returns where a damaged file is kept. */
  rebuild(build: () => Promise<Rebuilt | undefined>): Promise<string | undefined>;
  /** Throws IOFailure where the next ADD could not write the state, or its mark alone. */
  mustBeWritable(writesState: boolean): void;
}

export function openLeases(dataDir: string, network: NetworkName, stop: AbortSignal): Leases {
  return leasesIn(openStore(dataDir, network), network, stop);
}

export function leasesIn(store: Store, network: NetworkName, stop: AbortSignal): Leases {
  let given: { lease: Lease; before: Pick<State, "lastReserved" | "ranges"> } | undefined;
  const release = (doomed: readonly Lease[], until: AbortSignal, before?: typeof given) =>
    store.update((state) => {
      const mine = doomed.filter((lease) => isSameLease(findLease(state, lease.owner), lease));
      for (const lease of mine) dropLease(state, lease);
      const isLast = before !== undefined &&
        before.lease.ips.every((ip, index) => state.lastReserved[index] === ip);
      if (mine.length > 0 && isLast) {
        state.lastReserved.splice(0, Infinity, ...before.before.lastReserved);
        state.ranges = before.before.ranges;
      }
      return mine.length > 0 && "unproved";
    }, until);
  return {
    mustBeReadable: () => store.mustBeReadable(),
    preload: () => {
      try {
        store.willUpdate();
        store.read();
      } catch (error) {
        if (!(error instanceof CniError)) throw error;
      }
    },
    of: (owner) => findLease(store.read(), owner),
    all: () => listLeases(store.read()),
    state: () => store.read(),
    mustFit: (sets) => {
      if (sets.length === 0) return; // what gives no address needs no state
      let state: State;
      try {
        state = store.read();
      } catch (error) {
        if (isUnreadable(error)) return; // reserve() finds out whether it can begin anew
        throw error;
      }
      checkFit(state, sets, network, "changed");
    },
    reserve: async (request, evidence) => {
      await store.update(
        async (state, origin) => {
          if (origin !== "written") {
            await checkWhole(state, origin, network, evidence, request.attachment);
          }
          checkFit(state, request.sets, network, origin);
          const before = { lastReserved: [...state.lastReserved], ranges: state.ranges };
          given = { lease: await give(state, request, evidence), before };
          return true;
        },
        stop,
        {
          mustBeUnused: (damage) => mustBeUnused(damage, network, evidence, request.attachment),
          startedAnew: (aside) =>
            evidence.warn(
              `the state of network "${network}" could not be read and no host veth of it stands: begun anew` +
                (aside === undefined ? "" : `, the old file is kept as ${aside}`),
            ),
        },
      );
      if (given === undefined) throw new Error("an update that did not run");
      return given.lease;
    },
    release: async (leases) => {
      await (leases.length > 0 ? release(leases, stop) : store.sweep(stop));
    },
    undoReserve: async () => {
      // Who is told to stop waits for the lock all the same: this is the end of the run.
      if (given !== undefined) await release([given.lease], new AbortController().signal, given);
    },
    adopt: (leases, sets, last, evidence) =>
      store.update(async (state, origin) => {
        const listed = leases.map(({ owner }) => ownerKey(owner));
        if (origin !== "written") {
          await checkWhole(state, origin, network, evidence, undefined, listed);
        }
        checkFit(state, sets, network, origin);
        const fresh = leases.filter((lease) => mayAdopt(state, lease));
        for (const lease of fresh) addLease(state, lease);
        state.ranges = sets;
        if (state.lastReserved.length === 0) state.lastReserved.push(...last);
        return fresh.length > 0 || origin !== "written";
      }, stop),
    releaseStale: async (veths, forget) => {
      let stale: Lease[] = [];
      if (leasesOf(store.read()).length === 0) return stale;
      await store.update(async (state) => {
        stale = await heal(state, network, veths, forget);
        return stale.length > 0 && "unproved";
      }, stop);
      return stale;
    },
    free: async (sets, veths) => {
      const state = structuredClone(store.read());
      const counts = () =>
        sets.map((set) => countFree(set, Object.keys(state.ipToContainer) as Ip[]));
      if (counts().some((count) => count === 0n)) await heal(state, network, veths);
      return counts();
    },
    wouldBeginAnew: async (evidence) => {
      try {
        store.read();
        return false;
      } catch (error) {
        if (!isUnreadable(error)) throw error;
        await mustBeUnused(error, network, evidence, undefined);
        return true;
      }
    },
    mustBeWhole: async (evidence) => {
      const origin = store.origin();
      if (origin === "written") return; // as an ADD, which looks no further then
      await checkWhole(store.read(), origin, network, evidence, undefined);
    },
    rebuild: (build) => store.rebuild(build, stop),
    mustBeWritable: (writesState) => store.mustBeWritable(writesState),
  };
}
