import { hostVethName, type Owner, ownerKey } from "../base/attachment.ts";
import type { InterfaceName, NetworkName } from "../base/names.ts";
import {
  containerMac,
  dropLeases,
  findLease,
  hasUsualMac,
  isForeign,
  isSameLease,
  type Lease,
  type State,
} from "../ipam.ts";
import { guardedIps, type Link } from "../netops.ts";
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
  const settled = claims.filter(({ kind }) => kind === "live" || kind === "superseded");
  const kept = new Set(settled.flatMap((claim) => isDoomed(claim) ? [] : claim.veths));
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
    if (removed === true && isAll && lease !== undefined) {
      free.push(...onBridges(lease, own[0]?.link));
    }
  }
  return { free, hosts };
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

/**
 * The lease with its bridge, and once more with the bridge of its veth if that is another one: root may have renamed the bridge or
 * moved the port, and each bridge may have its neighbours.
 */
export function onBridges(lease: Lease, veth: Pick<Link, "master"> | undefined): Lease[] {
  const { record } = lease;
  if (record === undefined || !veth?.master || record.bridge === veth.master) return [lease];
  const there = { ...lease, record: { ...record, bridge: veth.master } };
  return record.bridge === undefined ? [there] : [lease, there];
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

/**
 * Flushes the neighbour entries of leases from their bridges. It happens before the addresses are free: the next container of an
 * address may have another MAC, so a stale or permanent entry would break it. A missing bridge is a success. An error goes to
 * `failures`; without `failures` it is only a warning, because the run serves another attachment. Returns the leases with errors.
 */
export async function flushLeases(
  leases: readonly Lease[],
  configured: string | undefined,
  { kernel, warn }: Pick<Effects, "kernel" | "warn">,
  failures?: Failures,
): Promise<Set<Lease>> {
  const left = new Set<Lease>();
  const changing = leases.filter((it) => !hasUsualMac(it) || it.record?.guarded === true);
  for (const [bridge, own] of Map.groupBy(changing, ({ record }) => record?.bridge ?? configured)) {
    if (bridge === undefined) continue;
    const ips = own.flatMap((lease) => {
      const mac = containerMac(lease);
      return mac === undefined ? lease.ips : guardedIps(lease.ips, mac);
    });
    try {
      await kernel.flushNeighbours(bridge as InterfaceName, ips);
    } catch (error) {
      if (failures === undefined) warn((error as Error).message);
      else failures.add(error);
      own.forEach((lease) => left.add(lease));
    }
  }
  return left;
}

/**
 * Drops the leases that the state still has; a lease that changed since it was read is a later lease and stays. The caller holds
 * the lock, so that no ADD gets an address before its neighbours are flushed. With `failures`, a lease whose neighbours can't be
 * flushed stays. Returns the dropped leases.
 */
export async function reclaim(
  state: State,
  doomed: readonly Lease[],
  bridge: string | undefined,
  effects: Pick<Effects, "kernel" | "warn">,
  failures?: Failures,
): Promise<Lease[]> {
  const found = doomed.filter((lease) => isSameLease(findLease(state, lease.owner), lease));
  const left = await flushLeases(found, bridge, effects, failures);
  const kept = new Set(failures && [...left].map(({ owner }) => ownerKey(owner)));
  const dropped = found.filter(({ owner }) => !kept.has(ownerKey(owner)));
  dropLeases(state, dropped);
  return dropped;
}

/** Releases these leases. Without leases, it only removes the temporary files of killed runs. */
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
    const dropped = await reclaim(state, free, bridge, effects, failures);
    return { result: undefined, ...(dropped.length > 0 && { write: "unverified" as const }) };
  });
}
