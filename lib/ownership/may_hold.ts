import { allocatingRange, type RangeSet } from "../base/range.ts";
import { isForeign } from "../ipam.ts";
import type { Claim } from "./claim.ts";

/**
 * Whether the claim's veths may use an address of the network without a lease for it. If so, no address may be allocated from a
 * state that is in doubt. `sets` are the network's range sets; `undefined` if they are not known.
 */
export function mayHold(
  { kind, lease, veths }: Claim,
  sets: readonly RangeSet[] | undefined,
): boolean {
  if (kind === "live" || kind === "stale") return false;
  // The lease of another program already holds the address, whichever veth the container has.
  if (lease !== undefined) return !isForeign(lease);
  return veths.some(({ inside, add }) => {
    if (inside === undefined) return kind !== "adding";
    const { addresses } = inside.peer;
    // A container can remove its address and add it again; an ADD that has not ended may have added none yet.
    if (kind !== "unowned") return addresses.length > 0 || add === "none";
    return addresses.some(({ ip }) =>
      sets === undefined || sets.some((set) => allocatingRange(set, ip) !== undefined)
    );
  });
}
