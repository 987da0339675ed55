import { ownerKey } from "../base/attachment.ts";
import { CniError, unlessError } from "../base/errors.ts";
import type { NetworkConfig } from "../config.ts";
import {
  allocate,
  checkFit,
  type Decision,
  dropLease,
  findLease,
  type Lease,
  type LeaseRequest,
  type Provenance,
  type State,
} from "../ipam.ts";
import type { Claim } from "../ownership.ts";
import type { Effects } from "./effects.ts";
import { checkConsistent } from "./consistent.ts";
import { type Moment, momentOf } from "./look.ts";
import { reclaim } from "./neighbours.ts";

const NEVER = new AbortController().signal;

/** The lease of an ADD. `take` writes it durably, and `undo` restores the state before it. */
export class Reservation {
  #lease: Lease | undefined;
  #before: Pick<State, "lastReserved" | "ranges"> | undefined;

  constructor(
    readonly request: LeaseRequest,
    readonly host: string,
    readonly config: NetworkConfig,
    readonly effects: Effects,
  ) {}

  /** Throws IOFailure, TryAgainLater, PoolExhausted, AddressUnavailable, InterfaceExists, StateDamaged, BridgeUnusable. */
  async take(): Promise<Lease> {
    const { leases } = this.effects;
    const { result, backup } = await leases.transaction(async (state, provenance) => {
      const quick = this.#quickly(state, provenance);
      if (quick !== undefined) return { result: quick, write: "verified" };
      // Under the lock: of many ADDs on a starting node, the first one inspects the namespaces, and the others find its state.
      const found = { state, provenance };
      return await this.#withClaims(await momentOf(this.config, found, this.host, this.effects));
    });
    if (backup !== undefined) {
      this.effects.warn(
        `the state of network "${this.config.name}" could not be read and no host veth of it exists: started empty, ` +
          `the old file is kept as ${backup}`,
      );
    }
    return result;
  }

  /** Releases the lease, also if `take` failed after its write. It waits for the lock even if the run has to stop. */
  async undo(): Promise<void> {
    const lease = this.#lease;
    if (lease === undefined) return;
    await this.effects.leases.transaction((state): Decision<void> => {
      const found = findLease(state, lease.owner);
      if (found?.record?.hostMac !== lease.record?.hostMac) return { result: undefined };
      dropLease(state, lease);
      const isLast = lease.ips.every((ip) => state.lastReserved.includes(ip));
      if (isLast && this.#before !== undefined) {
        state.lastReserved.splice(0, Infinity, ...this.#before.lastReserved);
        state.ranges = this.#before.ranges;
      }
      return { result: undefined, write: "unverified" };
    }, NEVER);
  }

  /** Allocates without reading the kernel. Returns no lease if the kernel has to be read. */
  #quickly(state: State, provenance: Provenance): Lease | undefined {
    const own = findLease(state, this.request.attachment);
    if (provenance !== "written" || own !== undefined) return undefined;
    checkFit(state, this.config, this.config.name, true);
    return this.#tryAllocate(state);
  }

  async #withClaims(moment: Moment): Promise<Decision<Lease>> {
    const { config, effects, request } = this;
    const { state, provenance, claims } = moment;
    checkConsistent(moment, config, [...config.configuredSets, ...config.sets]);
    checkFit(state, config, config.name, provenance === "written");
    const key = ownerKey(request.attachment);
    const own = claims.find(({ lease }) => lease !== undefined && ownerKey(lease.owner) === key);
    if (own !== undefined) await this.#checkAlone(own);
    const lease = this.#tryAllocate(state);
    if (lease !== undefined) return { result: lease, write: "verified" };
    const stale = claims.flatMap(({ kind, lease }) => kind === "stale" && lease ? lease : []);
    const others = stale.filter(({ owner }) => ownerKey(owner) !== key);
    await reclaim(state, others, config.bridge, effects);
    return { result: this.#allocate(state), write: "verified" };
  }

  /** Returns no lease if stale leases have to be reclaimed first. */
  #tryAllocate(state: State): Lease | undefined {
    return unlessError(["PoolExhausted", "AddressUnavailable"], () => this.#allocate(state));
  }

  /** Throws InterfaceExists if the attachment has a host veth, TryAgainLater if another run of it is in progress. */
  async #checkAlone({ kind, veths }: Claim): Promise<void> {
    const { attachment, hostMac } = this.request;
    const [veth] = veths;
    if (kind !== "stale" && veth !== undefined) {
      throw new CniError(
        "InterfaceExists",
        `Cannot add "${
          ownerKey(attachment)
        }": it is attached, and "${veth.link.ifname}" is its host veth`,
        { details: "an attachment is added once: DEL it first" },
      );
    }
    const host = await this.effects.kernel.link(this.host);
    if (kind === "stale" && host?.mac === hostMac) return;
    throw new CniError(
      "TryAgainLater",
      `Cannot allocate an address for "${
        ownerKey(attachment)
      }": another ADD or DEL of it is in progress`,
      { details: "a runtime may not run two operations on one attachment at once; try again" },
    );
  }

  #allocate(state: State): Lease {
    const { lastReserved, ranges } = state;
    const before = { lastReserved: [...lastReserved], ranges };
    const lease = allocate(state, this.request);
    // The lease is kept for `undo` before the write, because a write that fails may have had its effect.
    this.#before = before;
    this.#lease = lease;
    return lease;
  }
}
