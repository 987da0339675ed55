import { ownerKey } from "../base/attachment.ts";
import { CniError, unlessError } from "../base/errors.ts";
import type { NetworkConfig } from "../config.ts";
import {
  allocate,
  checkFit,
  type Decision,
  dropLeases,
  findLease,
  type Lease,
  type LeaseRequest,
  listLeases,
  type Mark,
  type Provenance,
  type State,
} from "../ipam.ts";
import { type Claim, staleLeases } from "../ownership.ts";
import type { Rollback } from "../rollback.ts";
import type { Effects } from "./effects.ts";
import { checkConsistent, observe } from "./observe.ts";
import { flushLeases, reclaim } from "./release.ts";

const NEVER = new AbortController().signal;

/** The lease that an ADD asks for, and the host veth that it has made for it. */
export interface Reservation {
  readonly config: NetworkConfig;
  readonly request: LeaseRequest;
  readonly host: string;
  readonly mark: Pick<Mark, "lease">;
}

/** A lease in the state, and the values of the state before it. */
type Reserved = Pick<State, "lastReserved" | "ranges"> & { readonly lease: Lease };

/**
 * Chooses the addresses and writes the lease durably. Throws IOFailure, TryAgainLater, PoolExhausted, AddressUnavailable,
 * InterfaceExists, StateDamaged, BridgeUnusable.
 */
export async function reserve(
  wanted: Reservation,
  effects: Effects,
  undo: Pick<Rollback, "pushLast">,
): Promise<Lease> {
  const { config, mark } = wanted;
  let taken: Reserved | undefined;
  // The lease is released after the veth is removed, because the container can use the address until then. The undo is
  // recorded before the write, because a write that fails may have reached the disk.
  undo.pushLast("release the address", async () => {
    if (taken !== undefined) await giveBack(taken, mark, effects);
  });
  const { result, backup } = await effects.leases.transaction(
    async (state, provenance): Promise<Decision<Lease>> => {
      taken = await chooseLease(wanted, effects, state, provenance);
      // Another ADD may find that root removed the state before this one has set the address.
      mark.lease(true);
      return { result: taken.lease, write: "verified" };
    },
  );
  if (backup !== undefined) {
    effects.warn(
      `the state of network "${config.name}" could not be read and no host veth of it exists: started empty, ` +
        `the old file is kept as ${backup}`,
    );
  }
  return result;
}

/** Restores the state before the lease. Waits for the lock even if the run has to stop. */
async function giveBack(
  { lease, lastReserved, ranges }: Reserved,
  mark: Reservation["mark"],
  { leases }: Effects,
): Promise<void> {
  mark.lease(false);
  await leases.transaction((state): Decision<void> => {
    const found = findLease(state, lease.owner);
    if (found?.record?.hostMac !== lease.record?.hostMac) return { result: undefined };
    dropLeases(state, [lease]);
    if (lease.ips.every((ip) => state.lastReserved.includes(ip))) {
      state.lastReserved.splice(0, Infinity, ...lastReserved);
      state.ranges = ranges;
    }
    return { result: undefined, write: "unverified" };
  }, NEVER);
}

async function chooseLease(
  wanted: Reservation,
  effects: Effects,
  state: State,
  provenance: Provenance,
): Promise<Reserved> {
  const { config, request, host } = wanted;
  const isWritten = provenance === "written";
  if (isWritten && findLease(state, request.attachment) === undefined) {
    checkFit(state, config, config.name, true);
    const quick = tryTake(state, request);
    if (quick !== undefined) return quick;
  }
  // Under the lock: of many ADDs on a starting node, the first one inspects the namespaces, and the others find its state.
  const { claims } = await observe(config, listLeases(state), effects, { except: host });
  checkConsistent({ state, provenance, claims }, config, [
    ...config.configuredSets,
    ...config.sets,
  ]);
  checkFit(state, config, config.name, isWritten);
  const key = ownerKey(request.attachment);
  const isOwn = ({ lease }: Claim) => lease !== undefined && ownerKey(lease.owner) === key;
  const own = claims.find(isOwn);
  if (own?.lease !== undefined) {
    await checkAlone(own, wanted, effects);
    // The container may now get another address or MAC.
    await flushLeases([own.lease], config.bridge, effects);
  }
  const taken = tryTake(state, request);
  if (taken !== undefined) return taken;
  const stale = staleLeases(claims.filter((claim) => !isOwn(claim)));
  await reclaim(state, stale, config.bridge, effects);
  return take(state, request);
}

/** Throws InterfaceExists if the attachment has a host veth, TryAgainLater if another run of it is in progress. */
async function checkAlone(
  { kind, veths: [veth] }: Claim,
  { request, host }: Reservation,
  { kernel }: Effects,
): Promise<void> {
  const key = ownerKey(request.attachment);
  if (kind !== "stale" && veth !== undefined) {
    throw new CniError(
      "InterfaceExists",
      `Cannot add "${key}": it is attached, and "${veth.link.ifname}" is its host veth`,
      "an attachment is added once: DEL it first",
    );
  }
  const made = await kernel.link(host);
  if (kind === "stale" && made?.mac === request.hostMac) return;
  throw new CniError(
    "TryAgainLater",
    `Cannot allocate an address for "${key}": another ADD or DEL of it is in progress`,
    "a runtime may not run two operations on one attachment at once; try again",
  );
}

/** Adds the lease to the state; `undefined` if an address is not free. */
function tryTake(state: State, request: LeaseRequest): Reserved | undefined {
  return unlessError(["PoolExhausted", "AddressUnavailable"], () => take(state, request));
}

function take(state: State, request: LeaseRequest): Reserved {
  const { lastReserved, ranges } = state;
  const before = { lastReserved: [...lastReserved], ranges };
  return { ...before, lease: allocate(state, request) };
}
