import { hostVethName, type Owner, ownerKey } from "../base/attachment.ts";
import type { NetworkName } from "../base/names.ts";
import { isForeign, type Lease } from "../ipam.ts";
import type { Claim, HostVeth } from "../ownership.ts";
import type { Effects } from "./effects.ts";
import type { Failures } from "./failures.ts";

/** Veths to remove, and the lease that is free when they are gone. */
export interface Removal {
  readonly veths: readonly HostVeth[];
  readonly lease: Lease | undefined;
  /** The reason why a lease stays held. */
  readonly doubt?: string;
}

/**
 * The veths that a DEL or GC removes for the claims that `isDoomed` selects. For an undecided claim it is the veth with the
 * lease's name or MAC, or with its peer in `netns`; never a veth of another lease. The lease stays held while another
 * candidate may be its veth.
 */
export async function removalsFor(
  network: NetworkName,
  claims: readonly Claim[],
  isDoomed: (claim: Claim) => boolean,
  netns?: string,
): Promise<Removal[]> {
  const kept = new Set(
    claims.flatMap((claim) => isSettled(claim) && !isDoomed(claim) ? claim.veths : []),
  );
  const removals: Removal[] = [];
  for (const claim of claims) {
    const { kind, lease, veths } = claim;
    if (kind === "unowned" || !isDoomed(claim)) continue;
    if (lease === undefined) removals.push({ veths, lease });
    else if (kind !== "undecided") removals.push({ veths, lease: withBridge(lease, veths[0]) });
    else {
      const left = veths.filter((veth) => !kept.has(veth));
      const own = await ownOf(network, lease, left, netns);
      const isAll = own.length === left.length || (isForeign(lease) && own.length === 1);
      if (isAll) removals.push({ veths: own, lease: withBridge(lease, own[0]) });
      else removals.push({ veths: own, lease: undefined, doubt: doubtOf(lease, left, own) });
    }
  }
  return removals;
}

function doubtOf(lease: Lease, left: readonly HostVeth[], own: readonly HostVeth[]): string {
  const hosts = left.filter((veth) => !own.includes(veth)).map(({ link }) => link.ifname);
  return `kept the lease of "${ownerKey(lease.owner)}": ${hosts.join(" and ")} may be its host ` +
    "veth; remove the veth of that container (ip link del dev NAME), then repeat the command";
}

function isSettled({ kind }: Claim): boolean {
  return kind === "live" || kind === "superseded";
}

/** The candidates that belong to the lease, by namespace, name or MAC. */
async function ownOf(
  network: NetworkName,
  lease: Lease,
  candidates: readonly HostVeth[],
  netns: string | undefined,
): Promise<readonly HostVeth[]> {
  const there = candidates.filter(({ inside }) => netns !== undefined && inside?.netns === netns);
  if (there.length > 0) return there;
  if (isForeign(lease)) return [];
  const name = await hostVethName({ network, ...lease.owner as Owner });
  const named = candidates.filter(({ link }) => link.ifname === name);
  if (named.length > 0) return named;
  const byMac = candidates.filter(({ link }) => link.mac === lease.record?.hostMac);
  return byMac.length === 1 ? byMac : [];
}

/** The lease with the bridge that has its neighbours, if the record has no bridge. */
function withBridge(lease: Lease, veth: HostVeth | undefined): Lease {
  const { record } = lease;
  if (record === undefined || record.bridge !== undefined || !veth?.link.master) return lease;
  return { ...lease, record: { ...record, bridge: veth.link.master } };
}

/** Carries the removals out, and continues after a failure. Returns the leases that no veth can use any longer. */
export async function carryOut(
  removals: readonly Removal[],
  effects: Effects,
  failures: Failures,
): Promise<Lease[]> {
  const free: Lease[] = [];
  for (const { veths, lease, doubt } of removals) {
    if (doubt !== undefined) effects.warn(doubt);
    const removed = await failures.attempt(() => removeAll(veths, effects));
    if (removed === true && lease !== undefined) free.push(lease);
  }
  return free;
}

/** Removes these very veths: an ADD may have replaced a veth by a new one of the same name. */
export async function removeAll(
  veths: readonly HostVeth[],
  { kernel, stop }: Pick<Effects, "kernel" | "stop">,
): Promise<true> {
  for (const { link } of veths) {
    stop.throwIfAborted();
    await kernel.remove(link);
  }
  return true;
}
