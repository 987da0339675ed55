import { hostVethName, type Owner, ownerKey } from "../base/attachment.ts";
import type { NetworkName } from "../base/names.ts";
import { isForeign, type Lease } from "../ipam.ts";
import type { Claim, HostVeth } from "../ownership.ts";
import type { Effects } from "./effects.ts";
import type { Failures } from "./failures.ts";

/**
 * Removes the veths of the claims that `isDoomed` selects, and continues after a failure. For an undecided claim it is the veth
 * with the lease's name or MAC, or with its peer in `netns`; never a veth of another lease. Returns the leases that no veth can
 * use any longer, and the names of the removed veths.
 */
export async function removeDoomed(
  network: NetworkName,
  claims: readonly Claim[],
  isDoomed: (claim: Claim) => boolean,
  effects: Effects,
  failures: Failures,
  netns?: string,
): Promise<{ readonly free: Lease[]; readonly hosts: string[] }> {
  const kept = new Set(
    claims.flatMap((claim) => isSettled(claim) && !isDoomed(claim) ? claim.veths : []),
  );
  const free: Lease[] = [];
  const hosts: string[] = [];
  for (const claim of claims) {
    const { kind, lease } = claim;
    if (kind === "unowned" || !isDoomed(claim)) continue;
    const isOpen = kind === "undecided" && lease !== undefined;
    const candidates = isOpen ? claim.veths.filter((veth) => !kept.has(veth)) : claim.veths;
    const own = isOpen ? await ownOf(network, lease, candidates, netns) : candidates;
    // The lease stays held while another candidate may be its veth.
    const isAll = !isOpen || own.length === candidates.length ||
      (isForeign(lease) && own.length === 1);
    if (!isAll) effects.warn(doubtOf(lease, candidates, own));
    hosts.push(...own.map(({ link }) => link.ifname));
    const removed = await failures.attempt(() => removeAll(own, effects));
    if (removed === true && isAll && lease !== undefined) free.push(withBridge(lease, own[0]));
  }
  return { free, hosts };
}

function isSettled({ kind }: Claim): boolean {
  return kind === "live" || kind === "superseded";
}

function doubtOf(lease: Lease, left: readonly HostVeth[], own: readonly HostVeth[]): string {
  const hosts = left.filter((veth) => !own.includes(veth)).map(({ link }) => link.ifname);
  return `kept the lease of "${ownerKey(lease.owner)}": ${hosts.join(" and ")} may be its host ` +
    "veth; remove the veth of that container (ip link del dev NAME), then repeat the command";
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
