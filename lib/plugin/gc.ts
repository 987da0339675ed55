import { hostVethName, isHostVethOf, ownerKey, tryOwner } from "../base/attachment.ts";
import type { Network, Valid } from "../config.ts";
import { isRunning, listLeases } from "../ipam.ts";
import { type Claim, staleLeases } from "../ownership.ts";
import type { Effects } from "./effects.ts";
import { Failures } from "./failures.ts";
import { confirm, knownLeases, observe } from "./observe.ts";
import { reclaim, release, removeAll, removeDoomed } from "./release.ts";

/** GC: removes this network's unlisted attachments; without a list, only provable garbage (rules G1 to G3, S6). */
export async function gc(
  network: Network,
  valid: readonly Valid[] | undefined,
  effects: Effects,
): Promise<void> {
  const failures = new Failures();
  await (valid === undefined
    ? releaseGarbage(network, effects, failures)
    : releaseUnlisted(network, valid, effects, failures));
  failures.raise();
}

async function releaseGarbage(network: Network, effects: Effects, failures: Failures) {
  const claims = await failures.attempt(() => reclaimStale(network, effects)) ??
    (await observe(network, [], effects)).claims;
  for (const claim of claims) {
    if (await isAbandoned(claim)) await failures.attempt(() => removeAll(claim.veths, effects));
  }
  effects.marks.sweep();
}

/** Releases the stale leases and returns all claims, as they were before. Throws StateDamaged. */
async function reclaimStale(network: Network, effects: Effects): Promise<readonly Claim[]> {
  effects.leases.read(); // an unreadable state has no claims
  const before = await observe(network, knownLeases(effects), effects);
  const { result } = await effects.leases.transaction(async (state, provenance) => {
    const { claims } = await confirm(before, { state, provenance }, effects.kernel);
    const dropped = await reclaim(state, staleLeases(claims), network.bridge, effects);
    return { result: claims, ...(dropped.length > 0 && { write: "unverified" as const }) };
  });
  return result;
}

/** Whether the claim is a host veth without lease that nobody uses: its container lacks the attachment's interface. */
async function isAbandoned({ kind, veths: [veth], attachment }: Claim): Promise<boolean> {
  if (kind !== "unleased" || attachment === undefined || veth?.inside === undefined) return false;
  // A container may have renamed the interface and use it.
  if (veth.inside.peer.up) return false;
  // Only the alias names the interface, and root may have written another alias.
  if (!await isHostVethOf(attachment, veth.link.ifname)) return false;
  return !veth.inside.links.some(({ ifname }) => ifname === attachment.ifname);
}

async function releaseUnlisted(
  network: Network,
  valid: readonly Valid[],
  effects: Effects,
  failures: Failures,
) {
  const { leases, marks } = effects;
  // A lease of the Go original belongs to any interface of the container.
  const keys = valid.flatMap((it) => [`${it.containerId}/${it.ifname}`, it.containerId]);
  const listed = new Set(keys);
  const owners = [...listed].flatMap((key) => tryOwner(key) ?? []);
  const hosts = new Set<string>(
    await Promise.all(owners.map((it) => hostVethName({ network: network.name, ...it }))),
  );
  /** An ADD in progress stays, because the runtime lists its container only later. */
  const isUnlisted = ({ kind, lease, attachment, veths }: Claim) => {
    if (kind === "adding" || veths.some(({ add }) => isRunning(add))) return false;
    if (lease !== undefined) return !listed.has(ownerKey(lease.owner));
    // A listed container keeps its host veth even if the name or alias was changed.
    const isListed = attachment !== undefined && listed.has(ownerKey(attachment));
    return !isListed && !veths.some(({ link }) => hosts.has(link.ifname));
  };
  const read = await failures.attempt(() => leases.read());
  const leasesRead = read === undefined ? [] : listLeases(read.state);
  const { claims } = await observe(network, leasesRead, effects);
  const { free } = await removeDoomed(network.name, claims, isUnlisted, effects, failures);
  await failures.attempt(() => release(free, network, effects, failures));
  for (const host of marks.hosts()) if (!hosts.has(host)) marks.clear(host);
}
