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
 * Flushes the neighbour entries of a lease from its bridge. It happens before the addresses are free: the next container of an
 * address may have another MAC, so a stale or permanent entry would break it. A missing bridge is a success.
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
  await kernel.flushNeighbours(bridge, mac === undefined ? ips : guardedIps(ips, mac));
}

/**
 * Drops the leases that the state still has; a lease that changed since it was read is a later lease and stays. The caller holds
 * the lock, so that no ADD gets an address before its neighbours are flushed. `onError` gets the error of a flush, and the
 * lease stays unless `onError` returns true. Returns the dropped leases.
 */
async function dropLeases(
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

/** Drops stale leases. A failing flush is only a warning, because the run serves another attachment. */
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
 * Releases these leases. If the neighbours of a lease can't be flushed, the lease stays and `failures` gets the error. Without
 * leases, it only removes the temporary files of killed runs.
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
