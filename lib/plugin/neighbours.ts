import type { InterfaceName } from "../base/names.ts";
import {
  containerMac,
  dropLease,
  findLease,
  hasUsualMac,
  isSameLease,
  type Lease,
  type State,
} from "../ipam.ts";
import { guardedIps } from "../netops.ts";
import type { Effects } from "./effects.ts";
import type { Failures } from "./failures.ts";

/**
 * Flushes the neighbours of a lease from its bridge, before its addresses are free: an address gets its own MAC next time, so
 * another MAC, or a guarded one, must not be remembered. Success if there is no bridge.
 */
async function flushNeighbours(
  lease: Lease,
  configured: string | undefined,
  { kernel }: Pick<Effects, "kernel">,
): Promise<void> {
  const { ips, record } = lease;
  const bridge = (record?.bridge ?? configured) as InterfaceName | undefined;
  if (bridge === undefined || (hasUsualMac(lease) && record?.guarded !== true)) return;
  const mac = containerMac(lease);
  await kernel.forgetNeighbours(bridge, mac === undefined ? ips : guardedIps(ips, mac));
}

/**
 * Drops those of the leases that the state still has; a lease that changed since it was read is a later one. The caller holds
 * the lock, so that no ADD gets an address before its neighbours are flushed. `onError` gets what the flush throws; the lease
 * stays unless it returns true. Returns the dropped leases.
 */
export async function dropLeases(
  state: State,
  doomed: readonly Lease[],
  bridge: string | undefined,
  effects: Pick<Effects, "kernel">,
  onError: (error: unknown) => boolean,
): Promise<Lease[]> {
  const dropped: Lease[] = [];
  for (const lease of doomed) {
    if (!isSameLease(findLease(state, lease.owner), lease)) continue;
    try {
      await flushNeighbours(lease, bridge, effects);
    } catch (error) {
      if (!onError(error)) continue;
    }
    dropLease(state, lease);
    dropped.push(lease);
  }
  return dropped;
}

/** The same for stale leases, reclaimed for another's sake, whose run must not fail for it. */
export async function reclaim(
  state: State,
  stale: readonly Lease[],
  bridge: string | undefined,
  { kernel, warn }: Pick<Effects, "kernel" | "warn">,
): Promise<Lease[]> {
  return await dropLeases(state, stale, bridge, { kernel }, (error) => {
    warn((error as Error).message);
    return true;
  });
}

/**
 * Releases these leases; of one whose neighbours can't be flushed `failures` gets the error, and it stays. Without any, it
 * only removes what a killed run left of a write.
 */
export async function release(
  free: readonly Lease[],
  { bridge }: { readonly bridge: string | undefined },
  effects: Effects,
  failures: Failures,
): Promise<void> {
  const { leases, stop } = effects;
  stop.throwIfAborted();
  if (free.length === 0) return await leases.sweep();
  await leases.transaction(async (state) => {
    const dropped = await dropLeases(state, free, bridge, effects, (error) => {
      failures.add(error);
      return false;
    });
    return { result: undefined, ...(dropped.length > 0 && { write: "unverified" as const }) };
  });
}
