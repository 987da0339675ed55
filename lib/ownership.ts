/** Decides which host veth belongs to which lease, for every command (docs/architecture.md, "Ownership"). */
import { attachmentIn, isHostVethName } from "./base/attachment.ts";
import { groupOf } from "./base/names.ts";
import { allocatingRange, type RangeSet } from "./base/range.ts";
import { isForeign, type Lease } from "./ipam.ts";
import type { Link } from "./netops.ts";
import { type Claim, type HostView, identify, type Subject } from "./ownership/claim.ts";
import { settle } from "./ownership/settle.ts";

export type { Claim, HostVeth, HostView, Subject } from "./ownership/claim.ts";

/**
 * Returns a claim for each lease, in their order, then one for each veth without a lease. Veths of other networks have no claim.
 *
 * Three facts tie a veth to a lease. Its name is the hash of the owner, or the recorded name of an imported lease. Its MAC is
 * the lease's `hostMac`. Its alias names the owner, and its name, MAC or link group agrees. If the name of a veth fits one lease
 * and its MAC fits another, it belongs to neither lease, unless the alias decides. A container can forge the addresses inside, so
 * they never take a veth from a lease of this program. They only distinguish an earlier lease of an owner from a later one, keep
 * a lease without a known veth held, and confirm or refute the veth of an imported lease.
 */
export async function claims(
  { name, bridge }: Subject,
  leases: readonly Lease[],
  view: HostView,
): Promise<Claim[]> {
  const known = await Promise.all(view.map((veth) => identify({ name, bridge }, veth)));
  const { own, explained } = await settle(name, leases, known);
  const others = known.filter(({ veth, relation }) => relation !== "none" && !explained.has(veth));
  return [
    ...own,
    ...others.map(({ veth, relation, inAlias }): Claim => ({
      kind: relation === "near" ? "unowned" : veth.add === "running" ? "adding" : "unleased",
      lease: undefined,
      veths: [veth],
      attachment: inAlias,
    })),
  ];
}

/** The leases of the stale claims: no veth can use their addresses. */
export function staleLeases(claims: readonly Claim[]): Lease[] {
  return claims.flatMap(({ kind, lease }) => kind === "stale" && lease ? lease : []);
}

/** Selects the veths that `claims` can't place by name and MAC alone: `kernel.view()` has to inspect them. */
export function needsInspection(
  { name, bridge }: Subject,
  leases: readonly Lease[],
): (link: Link) => boolean {
  const macs = new Set(leases.flatMap(({ record }) => record?.hostMac || []));
  const recorded = new Map(
    leases.flatMap(({ record }) =>
      record?.hosts?.split(" ").map((it) => [it, record.hostMac]) ?? []
    ),
  );
  const group = groupOf(name);
  return ({ mac, group: linkGroup, ifname, alias, master, netnsId }) => {
    if (netnsId === undefined) return false;
    // A veth with the recorded name of one lease and the MAC of another is inspected.
    if (macs.has(mac) && (recorded.get(ifname) ?? mac) === mac) return false;
    const inAlias = attachmentIn(alias);
    if (linkGroup === group || inAlias?.network === name || recorded.has(ifname)) return true;
    const isOfOthers = inAlias !== undefined && isHostVethName(ifname);
    return !isOfOthers && (bridge === undefined || master === bridge || isHostVethName(ifname));
  };
}

/**
 * Whether the claim's veths may use an address of the network without a lease for it. Then no address may be allocated from a
 * state that this program did not write last. `sets` are the network's range sets; `undefined` if they are not known.
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
    // Without an address now, the container may add a removed address again, or an ADD with a lease is about to add it.
    if (kind !== "unowned") return addresses.length > 0 || add === "none" || add === "leased";
    return addresses.some(({ ip }) =>
      sets === undefined || sets.some((set) => allocatingRange(set, ip) !== undefined)
    );
  });
}
