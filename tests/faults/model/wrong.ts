import { aliasOf, attachmentIn, hostVethName } from "../../../lib/base/attachment.ts";
import { isError } from "../../../lib/base/errors.ts";
import { freshHostMac, macOfAll } from "../../../lib/base/mac.ts";
import type { Invocation, Network, NetworkConfig } from "../../../lib/config.ts";
import {
  dropLeases,
  findLease,
  isSameLease,
  type Lease,
  type LeaseRequest,
  now,
} from "../../../lib/ipam.ts";
import { bridgeSpec, type Effects } from "../../../lib/plugin.ts";
import { attachVeth } from "../../../lib/plugin/ports.ts";
import { reserve } from "../../../lib/plugin/reserve.ts";
import { Rollback } from "../../../lib/rollback.ts";

/** Copies of the steps of lib/plugin/ with one mistake each, which the model has to find. */

interface Mistake {
  /** The lease is written before there is a veth. */
  readonly leaseFirst?: boolean;
  /** The address is released before the veth is gone. */
  readonly freesFirst?: boolean;
  /** An existing host veth is replaced. */
  readonly replaces?: boolean;
  /** The addresses of the two families are written one after the other. */
  readonly writesTwice?: boolean;
}

/** Removes the host veth of that name, whatever its MAC. */
async function remove(kernel: Effects["kernel"], host: string): Promise<void> {
  const link = await kernel.link(host);
  if (link !== undefined) await kernel.remove(link);
}

function adding({ leaseFirst, freesFirst, replaces, writesTwice }: Mistake) {
  return async (config: NetworkConfig, invocation: Invocation, effects: Effects) => {
    const { kernel, marks } = effects;
    const attachment = { network: config.name, ...invocation };
    const host = await hostVethName(attachment);
    const hostMac = freshHostMac(true);
    const undo = new Rollback();
    const attach = async () => {
      const spec = {
        bridge: bridgeSpec(config),
        host,
        hostMac,
        alias: aliasOf(attachment, undefined),
        netns: invocation.netns,
        ifname: invocation.ifname,
        group: 1,
        hairpin: false,
        isolated: false,
        guarded: config.guarded,
      };
      try {
        return await attachVeth(spec, config, effects, undo);
      } catch (error) {
        if (!replaces || !isError(error, "InterfaceExists")) throw error;
        await remove(kernel, host);
        return await attachVeth(spec, config, effects, undo);
      }
    };
    const request: LeaseRequest = {
      attachment,
      sets: config.sets,
      configuredSets: config.configuredSets,
      hostMac,
      since: now(),
      requestedIps: [],
      requestedMac: undefined,
      pod: undefined,
      bridge: config.bridge,
      guarded: config.guarded,
      bridgeMac: "",
    };
    const mark = marks.begin(host);
    const wanted = { config, request, host, mark };
    const releasing = freesFirst
      ? { pushLast: (what: string, run: () => Promise<void>) => undo.push(what, run) }
      : undo;
    const reserveAll = async () => {
      if (writesTwice) {
        const half = { ...request, sets: config.sets.slice(0, 1) };
        await reserve({ ...wanted, request: half }, effects, new Rollback());
      }
      return await reserve(wanted, effects, releasing);
    };
    try {
      let attached = leaseFirst ? undefined : await attach();
      const { ips } = await reserveAll();
      attached ??= await attach();
      const mac = macOfAll(ips) ?? hostMac;
      await kernel.configure({
        netns: invocation.netns,
        ifname: invocation.ifname,
        ifindex: attached.host.peerIndex,
        mac,
        up: true,
        addresses: ips.map((ip) => ({ ip, prefix: ip.includes(":") ? 64 : 29 })),
        routes: config.routes,
        guarded: config.guarded,
        neighbours: [],
      });
      if (config.guarded) await kernel.guard({ bridge: config.bridge, host, mac, ips }, undo);
    } catch (error) {
      if (isError(error, "TryAgainLater")) mark.keep();
      throw await undo.run(error);
    } finally {
      mark.end();
    }
  };
}

export const addWithLeaseFirst = adding({ leaseFirst: true });
export const addThatFreesFirst = adding({ freesFirst: true });
export const addThatReplaces = adding({ replaces: true });
export const addThatWritesTwice = adding({ writesTwice: true });
/** Without a mistake: shows that a broken invariant is due to the mistake. */
export const addCopied = adding({});

function heldBy({ containerId, ifname }: Invocation, { leases }: Effects): Lease[] {
  return [findLease(leases.read().state, { containerId, ifname })].flatMap((it) => it ?? []);
}

async function release(held: readonly Lease[], { leases }: Effects): Promise<void> {
  await leases.transaction((state) => {
    const same = held.filter((it) => isSameLease(findLease(state, it.owner), it));
    dropLeases(state, same);
    return { result: undefined, ...(same.length > 0 && { write: "unverified" as const }) };
  });
}

export async function delThatFreesFirst(
  { name }: Network,
  invocation: Invocation,
  effects: Effects,
): Promise<void> {
  await release(heldBy(invocation, effects), effects);
  await remove(effects.kernel, await hostVethName({ network: name, ...invocation }));
}

/** Frees the address even if the veth was not removed. */
export async function delThatFreesAnyway(
  { name }: Network,
  invocation: Invocation,
  effects: Effects,
): Promise<void> {
  const held = heldBy(invocation, effects);
  await remove(effects.kernel, await hostVethName({ network: name, ...invocation })).catch(
    () => {},
  );
  await release(held, effects);
}

/** Removes the mark of a killed ADD without waiting for the ADD's `ip`. */
export async function delThatDoesNotWait(
  { name }: Network,
  invocation: Invocation,
  effects: Effects,
): Promise<void> {
  const { kernel, marks } = effects;
  const host = await hostVethName({ network: name, ...invocation });
  const held = heldBy(invocation, effects);
  await remove(kernel, host);
  marks.clear(host);
  await release(held, effects);
}

/** Leaves the permanent neighbours of a guarded attachment on the bridge. */
export async function delThatLeavesNeighbours(
  { name }: Network,
  invocation: Invocation,
  effects: Effects,
): Promise<void> {
  const held = heldBy(invocation, effects);
  await remove(effects.kernel, await hostVethName({ network: name, ...invocation }));
  await release(held, effects);
}

/** Removes an unleased veth whose container has no interface by name, even if an ADD has replaced it. */
export async function gcByName({ name }: Network, _valid: unknown, effects: Effects) {
  const { kernel, leases } = effects;
  for (const { link, inside } of await kernel.view(() => true)) {
    const owner = attachmentIn(link.alias);
    if (owner?.network !== name || findLease(leases.read().state, owner) !== undefined) continue;
    if (inside?.links.some(({ ifname }) => ifname === owner.ifname)) continue;
    await remove(kernel, link.ifname);
  }
}
