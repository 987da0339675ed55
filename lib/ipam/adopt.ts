import { ownerKey } from "../base/attachment.ts";
import { CniError } from "../base/errors.ts";
import { isImported } from "./lease.ts";
import {
  dropLease,
  findLease,
  holderOf,
  type Lease,
  type LeaseRecord,
  type State,
} from "./state.ts";

/** A lease that another plugin gave, to be held here from now on. */
export type Adoption = Lease & { readonly record: LeaseRecord };

/**
 * Whether the lease is new here; one that is held already is no error, for an import can be done again, and knows more of a
 * container that could not be looked into last time.
 */
export function mayAdopt(state: State, { owner, ips, record }: Adoption): boolean {
  const { containerId } = owner;
  const before = findLease(state, owner) ?? findLease(state, { containerId, ifname: undefined });
  const holders = new Set(ips.flatMap((ip) => holderOf(state, ip) ?? []));
  if (before === undefined && holders.size === 0) return true;
  if (before !== undefined && before.ips.join() === ips.join()) {
    const isBetter = isImported(before) && record.hostMac !== "" &&
      before.record?.hostMac !== record.hostMac;
    if (isBetter) dropLease(state, before);
    return isBetter;
  }
  const [holder = ownerKey(owner)] = holders;
  const found = holder === ownerKey(owner)
    ? `it has ${before?.ips.join(", ") ?? "none"} here`
    : `"${holder}" holds it here`;
  throw new CniError(
    "AddressUnavailable",
    `Cannot import "${ips.join(", ")}" for "${ownerKey(owner)}": ${found}`,
    { details: "nothing was imported; remove one of the two containers and import again" },
  );
}
