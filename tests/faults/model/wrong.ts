import type { Invocation, Network, NetworkConfig } from "../../../lib/config.ts";
import type { Lease } from "../../../lib/ipam.ts";
import { aliasOf, hostVethName, type Mac, macOf } from "../../../lib/names.ts";
import type { Effects } from "../../../lib/plugin.ts";
import { Rollback } from "../../../lib/rollback.ts";

/** Copies of the steps of lib/plugin.ts with one mistake each, to see that the model finds it. */

interface Order {
  /** The lease is taken before there is a veth. */
  readonly leaseFirst?: boolean;
  /** The address is given back before the veth is gone. */
  readonly freesFirst?: boolean;
}

function adding({ leaseFirst = false, freesFirst = false }: Order) {
  return async (config: NetworkConfig, invocation: Invocation, effects: Effects) => {
    const { kernel, leases } = effects;
    const attachment = { network: config.name, ...invocation };
    const undo = new Rollback();
    const plugs = async (hostMac: Mac) =>
      await kernel.plug({
        bridge: {
          name: config.bridge,
          subnet: config.subnet,
          mtu: config.mtu,
          gateway: config.gateway,
          forceAddress: false,
          promiscuous: false,
          mac: macOf(config.gateway),
        },
        host: await hostVethName(attachment),
        hostMac,
        alias: aliasOf(attachment, undefined),
        netns: invocation.netns,
        ifname: invocation.ifname,
        hairpin: false,
        isolated: false,
      }, undo);
    try {
      leases.of(attachment);
      const bytes = crypto.getRandomValues(new Uint8Array(5));
      const hostMac = `fe${Array.from(bytes, (byte) => `:${byte.toString(16)}`).join("")}` as Mac;
      if (!freesFirst) undo.push("give back the address", () => leases.undoTake());
      let plugged = leaseFirst ? undefined : await plugs(hostMac);
      const { ip } = await leases.take(
        { attachment, pool: config, veth: hostMac },
        () => kernel.hostVeths(),
        () => Promise.resolve([]),
      );
      if (freesFirst) undo.push("give back the address", () => leases.undoTake());
      plugged ??= await plugs(hostMac);
      const ifindex = plugged.host.peerIndex;
      await kernel.configure({ ...config, ...invocation, ifindex, mac: macOf(ip), ip });
    } catch (error) {
      throw await undo.run(error);
    }
  };
}

export const addWithLeaseFirst = adding({ leaseFirst: true });
export const addThatFreesFirst = adding({ freesFirst: true });
/** Without a mistake: shows that what the others break is broken by their mistake. */
export const addCopied = adding({});

export async function delThatFreesFirst(
  { name }: Network,
  invocation: Invocation,
  { kernel, leases }: Effects,
): Promise<void> {
  const attachment = { network: name, ...invocation };
  await leases.release(await leases.of(attachment));
  await kernel.unplug(await hostVethName(attachment));
}

/** Frees the address whether the veth went or not. */
export async function delThatFreesAnyway(
  { name }: Network,
  invocation: Invocation,
  { kernel, leases }: Effects,
): Promise<void> {
  const attachment = { network: name, ...invocation };
  const held: readonly Lease[] = await leases.of(attachment);
  await kernel.unplug(await hostVethName(attachment)).catch(() => {});
  await leases.release(held);
}

/** Removes a veth without a lease by its name, whatever stands there by then. */
export async function gcByName({ name }: Network, owner: Invocation, effects: Effects) {
  const { kernel, leases } = effects;
  const attachment = { network: name, ...owner };
  const host = await hostVethName(attachment);
  const link = (await kernel.hostVeths()).get(host);
  if (link === undefined || (await leases.of(attachment)).length > 0) return;
  const inside = (await kernel.lookInside([link])).get(host);
  if (inside !== undefined && inside.netns !== owner.containerId) await kernel.unplug(host);
}
