import {
  type Attachment,
  attachmentIn,
  attachmentOf,
  hostVethName,
  isCutAlias,
  ownerKey,
  tryOwner,
} from "../base/attachment.ts";
import type { Network, Valid } from "../config.ts";
import { hasMacOf, hostsOf, isImported, type Lease } from "../ipam.ts";
import type { Link } from "../netops.ts";
import { release } from "./del.ts";
import type { Effects } from "./effects.ts";
import { Failures } from "./failures.ts";
import { findHost } from "./find_host.ts";
import { forgetNeighboursOf, tryToForget } from "./neighbours.ts";

/** GC: what of this network is not listed; without a list, what is provably garbage (rules G1 to G3, S6). */
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
  const { kernel, leases } = effects;
  await failures.past(() =>
    leases.releaseStale(
      () => kernel.veths(),
      (lease) => tryToForget(lease, network.bridge, effects),
    )
  );
  const veths = [...(await kernel.veths()).values()];
  for (const link of veths) {
    const owner = await attachmentOf(link);
    if (owner?.network !== network.name) continue;
    await failures.past(() => removeAbandoned(link, owner, effects));
  }
}

/** A host veth without lease whose container has no such interface: no ADD is in its middle there. */
async function removeAbandoned(link: Link, owner: Attachment, effects: Effects): Promise<void> {
  const { kernel, leases, marks } = effects;
  if (leases.of(owner) !== undefined || marks.of(link.ifname) === "running") return;
  const inside = (await kernel.lookInside([link])).get(link.ifname);
  const isAbandoned = inside !== undefined &&
    !inside.links.some(({ ifname }) => ifname === owner.ifname);
  if (isAbandoned) await remove(link, effects);
}

/** What is kept: by the owners as the state has them, and by the names that their host veths have. */
interface Kept {
  readonly owners: ReadonlySet<string>;
  readonly hosts: ReadonlySet<string>;
}

async function releaseUnlisted(
  network: Network,
  valid: readonly Valid[],
  effects: Effects,
  failures: Failures,
) {
  const { kernel, leases, marks } = effects;
  const kept = await keptBy(network, valid);
  const held = await failures.past(() => leases.all()) ?? [];
  const doomed = held.filter(({ owner }) => !kept.owners.has(ownerKey(owner)));
  const veths = await kernel.veths();
  const gone = new Set<string>();
  for (const link of veths.values()) {
    if (kept.hosts.has(link.ifname) || !isOf(network, link, marks)) continue;
    if (keepsRenamed(link, kept)) continue;
    if (await failures.past(() => remove(link, effects)) !== undefined) gone.add(link.ifname);
  }
  const free: Lease[] = [];
  for (const lease of doomed) {
    const isGone = await failures.past(() => vanished(lease, network, veths, gone, effects));
    if (isGone === true) free.push(lease);
  }
  const clean: Lease[] = [];
  for (const lease of free) {
    const forget = () => forgetNeighboursOf(lease, network.bridge, effects);
    if (await failures.past(forget) === true) clean.push(lease);
  }
  await failures.past(() => release(clean, effects));
  for (const host of marks.hosts()) if (!kept.hosts.has(host)) marks.clear(host);
}

async function keptBy({ name }: Network, valid: readonly Valid[]): Promise<Kept> {
  const owners = new Set<string>();
  const hosts = new Set<string>();
  for (const { containerId, ifname } of valid) {
    for (const key of [`${containerId}/${ifname}`, containerId]) {
      owners.add(key);
      const owner = tryOwner(key);
      if (owner !== undefined) hosts.add(await hostVethName({ network: name, ...owner }));
    }
  }
  return { owners, hosts };
}

/** By alias, cut or not; one without an alias is the network's where an ADD of it left its mark and died. */
function isOf({ name }: Network, link: Link, marks: Effects["marks"]): boolean {
  if (link.alias === "") return marks.of(link.ifname) === "died";
  return attachmentIn(link.alias)?.network === name || isCutAlias(name, link.alias);
}

/** A listed container keeps its host veth under whatever name somebody gave it. */
function keepsRenamed({ alias }: Link, { owners }: Kept): boolean {
  const owner = attachmentIn(alias);
  return owner !== undefined && owners.has(ownerKey(owner));
}

/** Whether nothing can answer on the lease's addresses any more; removes the host veth of an imported one. */
async function vanished(
  lease: Lease,
  { name }: Network,
  veths: ReadonlyMap<string, Link>,
  gone: ReadonlySet<string>,
  effects: Effects,
): Promise<boolean> {
  if (!isImported(lease) && lease.owner.ifname !== undefined) {
    const named = new Set(await hostsOf(lease, name));
    const standing = [...veths.values()].filter((link) =>
      !gone.has(link.ifname) && (named.has(link.ifname) || hasMacOf(lease, link))
    );
    // Under the lease's own name stands its own or, by alias or MAC, another's.
    const isOwn = (link: Link) => !named.has(link.ifname) || hasMacOf(lease, link);
    for (const link of standing.filter(isOwn)) await remove(link, effects);
    return standing.every(isOwn);
  }
  const host = await findHost(lease, name, effects.kernel);
  if (typeof host === "object") await remove(host, effects);
  return host === "gone" || typeof host === "object";
}

/** Not by name: an ADD may have replaced it since it was looked at. */
async function remove(host: Link, { kernel, stop }: Effects): Promise<true> {
  stop.throwIfAborted();
  await kernel.remove(host);
  return true;
}
