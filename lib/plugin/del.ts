import { type Attachment, attachmentIn, hostVethName, isAliasOf } from "../base/attachment.ts";
import { pause } from "../base/deadline.ts";
import type { InterfaceName } from "../base/names.ts";
import type { Invocation, Network } from "../config.ts";
import { isImported, type Lease } from "../ipam.ts";
import type { Effects } from "./effects.ts";
import { evidenceOf } from "./evidence.ts";
import { Failures } from "./failures.ts";
import { findHost, findRenamed } from "./find_host.ts";
import { forgetNeighboursOf } from "./neighbours.ts";

/** DEL: the veth, then the lease. Missing is success; as often as you like. */
export async function del(
  network: Network,
  { containerId, ifname, netns }: Invocation,
  effects: Effects,
): Promise<void> {
  const { name } = network;
  const { kernel, marks, stop } = effects;
  const attachment = { network: name, containerId, ifname };
  const naming = hostVethName(attachment); // by another thread, meanwhile
  const failures = new Failures();
  // What the state said before the veth was seen gone: a lease that is there later under another veth is a new one.
  const read = await failures.past(() => leasesOf(attachment, effects));
  const held = read ?? [];
  const host = await naming;
  const free: Lease[] = [];
  let isGone = true;
  for (const lease of held.filter(isForeign)) {
    const found = await failures.past(() => findHost(lease, name, kernel, { netns, ifname }));
    // The bare container ID counts for the interface that it was given for, and for no other. A candidate that can't be
    // looked into may be another's: its address stays held until the veth goes with its namespace.
    if (found === "another" || found === "hidden") continue;
    const removed = found !== undefined && await failures.past(async () => {
          stop.throwIfAborted();
          if (typeof found === "object") await kernel.remove(found);
          return true;
        }) === true;
    if (removed) free.push(lease);
    isGone &&= removed;
  }
  const own = held.find((lease) => !isForeign(lease));
  const removed = await failures.past(() => removeHost(attachment, host, own, effects)) === true;
  if (removed && own !== undefined) free.push(own);
  isGone &&= removed;
  const hasDied = removed && marks.of(host) === "died";
  // The neighbours of a guarded ADD that was killed may come late, as its veth may.
  if (hasDied && own?.record?.guarded === true) await pause(LATEST_MS);
  const clean: Lease[] = [];
  for (const lease of free) {
    const forget = () => forgetNeighboursOf(lease, network.bridge, effects);
    if (await failures.past(forget) === true) clean.push(lease);
  }
  if (hasDied) marks.clear(host);
  if (read !== undefined) await failures.past(() => release(clean, effects));
  else if (isGone && await wouldBeginAnew(network, effects)) return;
  failures.raise(isGone && read === undefined ? goneAlready(host) : undefined);
}

/** The attachment's own lease, and what the Go original gave the container. */
function leasesOf(attachment: Attachment, { leases }: Effects): Lease[] {
  const legacy = leases.of({ containerId: attachment.containerId, ifname: undefined });
  return [leases.of(attachment), legacy].flatMap((lease) => lease ?? []);
}

/** Whether another program gave it, so that its host veth has to be found. */
function isForeign(lease: Lease): boolean {
  return isImported(lease) || lease.owner.ifname === undefined;
}

/**
 * Removes the attachment's host veth. With a lease it is ours by its name, or has been renamed; without one the name may be
 * another attachment's, and its alias says so. Where an ADD died in its middle, its veth may still come.
 */
async function removeHost(
  attachment: Attachment,
  host: InterfaceName,
  lease: Lease | undefined,
  { kernel, marks, stop }: Effects,
): Promise<true> {
  stop.throwIfAborted();
  if (lease === undefined) {
    const link = await kernel.link(host);
    const isNamed = link !== undefined && attachmentIn(link.alias) !== undefined;
    if (isNamed && !isAliasOf(link.alias, attachment)) return true;
    if (link !== undefined) await kernel.remove(link);
    else if (marks.of(host) !== "died" || !await removeLate(host, kernel)) {
      await removeRenamed(attachment, kernel);
    }
    return true;
  }
  if (await kernel.detach(host)) return true;
  if (marks.of(host) === "died" && await removeLate(host, kernel)) return true;
  const renamed = await findRenamed(lease, attachment.network, kernel);
  if (renamed !== undefined) await kernel.remove(renamed);
  return true;
}

/** By its alias alone: without a lease nothing else tells whose it is. */
async function removeRenamed(attachment: Attachment, kernel: Effects["kernel"]): Promise<void> {
  const veths = [...(await kernel.veths()).values()];
  const renamed = veths.find(({ alias }) => isAliasOf(alias, attachment));
  if (renamed !== undefined) await kernel.remove(renamed);
}

/** How long after the death of an ADD its `ip` is waited for, which may wait for the kernel's lock: 2 s in all. */
const LATE_MS = [50, 100, 150, 300, 600, 800];
const LATEST_MS = 2_000;

async function removeLate(host: InterfaceName, kernel: Effects["kernel"]): Promise<boolean> {
  for (const ms of LATE_MS) {
    await pause(ms);
    if (await kernel.link(host) !== undefined) return await kernel.detach(host);
  }
  return false;
}

export async function release(leases: readonly Lease[], effects: Effects): Promise<true> {
  effects.stop.throwIfAborted();
  await effects.leases.release(leases);
  return true;
}

/** A state that can't be read holds nobody's lease where no host veth of the network stands: there is nothing to release. */
async function wouldBeginAnew(network: Network, effects: Effects): Promise<boolean> {
  try {
    return await effects.leases.wouldBeginAnew(
      evidenceOf({ ...network, sets: undefined }, effects),
    );
  } catch {
    return false; // the error of the first read is told
  }
}

/** What has become of an attachment whose lease can't be read. */
function goneAlready(host: InterfaceName): string {
  return `the host veth ${host} is gone; its lease goes with atomicni repair, or with a DEL once the state can be read`;
}
