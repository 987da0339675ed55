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
import type { Effects } from "./effects.ts";
import { checkConsistent, observe } from "./observe.ts";
import { flushLeases, reclaim } from "./release.ts";

const NEVER = new AbortController().signal;

/** The lease of an ADD. `take` writes it durably, and `undo` restores the state before it. */
export class Reservation {
  /** The lease, and the values of the state before it. */
  #taken: Pick<State, "lastReserved" | "ranges"> & { readonly lease: Lease } | undefined;

  constructor(
    readonly request: LeaseRequest,
    readonly host: string,
    readonly mark: Pick<Mark, "lease">,
    readonly config: NetworkConfig,
    readonly effects: Effects,
  ) {}

  /** Throws IOFailure, TryAgainLater, PoolExhausted, AddressUnavailable, InterfaceExists, StateDamaged, BridgeUnusable. */
  async take(): Promise<Lease> {
    const { leases, warn } = this.effects;
    const { result, backup } = await leases.transaction(
      async (state, provenance): Promise<Decision<Lease>> => {
        const result = await this.#chosen(state, provenance);
        // Another ADD may find that root removed the state before this one has set the address.
        this.mark.lease(true);
        return { result, write: "verified" };
      },
    );
    if (backup !== undefined) {
      warn(
        `the state of network "${this.config.name}" could not be read and no host veth of it exists: started empty, ` +
          `the old file is kept as ${backup}`,
      );
    }
    return result;
  }

  /** Releases the lease, also if `take` failed after its write. It waits for the lock even if the run has to stop. */
  async undo(): Promise<void> {
    if (this.#taken === undefined) return;
    const { lease, lastReserved, ranges } = this.#taken;
    this.mark.lease(false);
    await this.effects.leases.transaction((state): Decision<void> => {
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

  async #chosen(state: State, provenance: Provenance): Promise<Lease> {
    const { config, effects, request } = this;
    const isWritten = provenance === "written";
    if (isWritten && findLease(state, request.attachment) === undefined) {
      checkFit(state, config, config.name, true);
      const quick = this.#tryAllocate(state);
      if (quick !== undefined) return quick;
    }
    // Under the lock: of many ADDs on a starting node, the first one inspects the namespaces, and the others find its state.
    const except = this.host;
    const { claims } = await observe(config, listLeases(state), effects, { except });
    checkConsistent({ state, provenance, claims }, config, [
      ...config.configuredSets,
      ...config.sets,
    ]);
    checkFit(state, config, config.name, isWritten);
    const key = ownerKey(request.attachment);
    const isOwn = ({ lease }: Claim) => lease !== undefined && ownerKey(lease.owner) === key;
    const own = claims.find(isOwn);
    if (own?.lease !== undefined) {
      await this.#checkAlone(own);
      // The container may now get another address or MAC.
      await flushLeases([own.lease], config.bridge, effects);
    }
    const lease = this.#tryAllocate(state);
    if (lease !== undefined) return lease;
    const stale = staleLeases(claims.filter((claim) => !isOwn(claim)));
    await reclaim(state, stale, config.bridge, effects);
    return this.#allocate(state);
  }

  /** Returns no lease if stale leases have to be reclaimed first. */
  #tryAllocate(state: State): Lease | undefined {
    return unlessError(["PoolExhausted", "AddressUnavailable"], () => this.#allocate(state));
  }

  /** Throws InterfaceExists if the attachment has a host veth, TryAgainLater if another run of it is in progress. */
  async #checkAlone({ kind, veths }: Claim): Promise<void> {
    const key = ownerKey(this.request.attachment);
    const [veth] = veths;
    if (kind !== "stale" && veth !== undefined) {
      throw new CniError(
        "InterfaceExists",
        `Cannot add "${key}": it is attached, and "${veth.link.ifname}" is its host veth`,
        "an attachment is added once: DEL it first",
      );
    }
    const host = await this.effects.kernel.link(this.host);
    if (kind === "stale" && host?.mac === this.request.hostMac) return;
    throw new CniError(
      "TryAgainLater",
      `Cannot allocate an address for "${key}": another ADD or DEL of it is in progress`,
      "a runtime may not run two operations on one attachment at once; try again",
    );
  }

  #allocate(state: State): Lease {
    const { lastReserved, ranges } = state;
    const before = { lastReserved: [...lastReserved], ranges };
    const lease = allocate(state, this.request);
    // The lease is kept for `undo` before the write, because a write that fails may have had its effect.
    this.#taken = { ...before, lease };
    return lease;
  }
}
