import { givingRange, type RangeSet } from "../base/range.ts";
import { isForeign } from "../ipam.ts";
import type { Claim } from "../ownership.ts";

/**
 * Whether an address of the network may be held behind the claim without a lease that says so: it keeps addresses from being
 * allocated from a state that is in doubt. `sets` is what the network allocates; `undefined` if that is not known.
 */
export function mayHold(
  { kind, lease, veths }: Claim,
  sets: readonly RangeSet[] | undefined,
): boolean {
  if (kind === "live" || kind === "stale") return false;
  // The address that another program gave is the lease's, whichever veth it is behind.
  if (lease !== undefined) return !isForeign(lease);
  return veths.some(({ inside, add }) => {
    if (inside === undefined) return kind !== "adding";
    const { addresses } = inside.peer;
    // A container can remove its address and add it again; an ADD that has not ended may have added none yet.
    if (kind !== "stranger") return addresses.length > 0 || add === "none";
    return addresses.some(({ ip }) =>
      sets === undefined || sets.some((set) => givingRange(set, ip) !== undefined)
    );
  });
}
