import { ownerKey } from "../base/attachment.ts";
import { CniError } from "../base/errors.ts";
import { isImported } from "./lease.ts";
import {
  dropLeases,
  findLease,
  holderOf,
  type Lease,
  type LeaseRecord,
  type State,
} from "./state.ts";

/** A lease of another plugin, to be held in this state from now on. */
export type Adoption = Lease & { readonly record: LeaseRecord };

/**
 * Whether the state should take over the lease. A second import may repeat a lease: the result is then false, unless the record
 * now has a host veth's MAC that the held lease lacks. That lease is then dropped from `state`, and the result is true. Throws
 * AddressUnavailable if the owner has other addresses, or if another owner holds one of these.
 */
export function mayAdopt(state: State, { owner, ips, record }: Adoption): boolean {
  const { containerId } = owner;
  const before = findLease(state, owner) ?? findLease(state, { containerId, ifname: undefined });
  const holders = new Set(ips.flatMap((ip) => holderOf(state, ip) ?? []));
  if (before === undefined && holders.size === 0) return true;
  if (before !== undefined && before.ips.join() === ips.join()) {
    const isBetter = isImported(before) && record.hostMac !== "" &&
      before.record?.hostMac !== record.hostMac;
    if (isBetter) dropLeases(state, [before]);
    return isBetter;
  }
  const [holder = ownerKey(owner)] = holders;
  const found = holder === ownerKey(owner)
    ? `it has ${before?.ips.join(", ") ?? "none"} here`
    : `"${holder}" holds it here`;
  throw new CniError(
    "AddressUnavailable",
    `Cannot import "${ips.join(", ")}" for "${ownerKey(owner)}": ${found}`,
    "nothing was imported; remove one of the two containers and import again",
  );
}
