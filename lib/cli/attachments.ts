import type { Ip } from "../base/address.ts";
import { attachmentIn, attachmentOf, ownerKey, podIn } from "../base/attachment.ts";
import { asCniError, type CniError } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import { STATE_FOLDER } from "../base/scope.ts";
import {
  containerMac,
  hasMacOf,
  type Held,
  hostsOf,
  listLeases,
  Marks,
  type Networks,
  readNetworks,
} from "../ipam.ts";
import type { Kernel, Link } from "../netops.ts";
import { UsageError } from "./command.ts";
import { didYouMean } from "./nearest.ts";

/** A lease with what the kernel says of it. */
export interface Attached {
  readonly network: NetworkName;
  readonly dataDir: string;
  readonly containerId: string;
  /** Empty where the Go original gave the lease. */
  readonly ifname: string;
  readonly pod: string | undefined;
  readonly ips: readonly Ip[];
  /** The container's; `undefined` where another program gave the lease. */
  readonly mac: string | undefined;
  /** The host veth, or the names of the candidates. */
  readonly veth: string;
  /** UTC; `undefined` where the Go original gave the lease. */
  readonly since: string | undefined;
  readonly guarded: boolean;
  /** The host veth is there; without it the addresses are free for whoever needs them. `undefined` where ip can't tell. */
  readonly live: boolean | undefined;
  readonly link: Link | undefined;
}

/** Every network that can be read, and the host's veths as far as ip shows them. */
export interface Survey extends Networks {
  readonly veths: ReadonlyMap<string, Link> | undefined;
}

/** What is known at this moment; what can't be read is among the errors, and the rest is told all the same. */
export async function survey(kernel: Kernel): Promise<Survey> {
  const networks = readNetworks();
  try {
    return { ...networks, veths: await kernel.veths() };
  } catch (error) {
    return { ...networks, veths: undefined, errors: [...networks.errors, asCniError(error)] };
  }
}

/** Those of that name, or all without one; what `command` says where there is none and everything could be read. */
export function named(
  { held, errors }: Networks,
  name: string | undefined,
  command: string,
): Held[] {
  const found = held.filter(({ network }) => name === undefined || network === name);
  if (name === undefined || found.length > 0 || errors.length > 0) return found;
  throw new UsageError(
    `Cannot show "${name}": no network of that name has a state file`,
    didYouMean(name, held.map(({ network }) => network)) || `see all: atomicni ${command}`,
  );
}

/** The network's leases beside the veths they belong to, in the order of their addresses. */
export async function attachments(
  { network, dataDir, state }: Held,
  veths: ReadonlyMap<string, Link> | undefined,
): Promise<Attached[]> {
  const byOwner = new Map<string, Link>();
  for (const link of veths?.values() ?? []) {
    // One that was renamed still says whose it is.
    const owner = attachmentIn(link.alias);
    if (owner?.network === network) byOwner.set(ownerKey(owner), link);
  }
  return await Promise.all(
    listLeases(state).map(async (lease): Promise<Attached> => {
      const { owner, ips, record } = lease;
      // Its alias says whose it is; only where it does not, the name has to be worked out.
      const known = byOwner.get(ownerKey(owner)) ??
        [...veths?.values() ?? []].find((it) => hasMacOf(lease, it));
      const hosts = known !== undefined ? [known.ifname] : await hostsOf(lease, network);
      const link = known ?? hosts.map((host) => veths?.get(host)).find((it) => it !== undefined);
      return {
        network,
        dataDir,
        containerId: owner.containerId,
        ifname: owner.ifname ?? "",
        pod: record?.pod,
        ips,
        mac: containerMac(lease),
        veth: link?.ifname ?? hosts.join(" or "),
        since: record?.since,
        guarded: record?.guarded === true,
        live: veths && link !== undefined,
        link,
      };
    }),
  );
}

/**
 * Host veths that say whose they are and have no lease: of a network that gives no addresses, of a state that was lost, or
 * left over by a run that was killed. Left out are those of a network that can't be read, and those whose ADD is at work.
 */
export async function withoutLease(
  { veths, unreadable }: Survey,
  rows: readonly Attached[],
): Promise<Attached[]> {
  const known = new Set(rows.map(({ veth }) => veth));
  const found: Attached[] = [];
  for (const link of veths?.values() ?? []) {
    const owner = await attachmentOf(link);
    if (owner === undefined || known.has(link.ifname)) continue;
    const { network, containerId, ifname } = owner;
    if (unreadable.some((it) => it.network === network)) continue;
    if (new Marks(STATE_FOLDER, network).of(link.ifname) === "running") continue;
    found.push({
      network,
      dataDir: STATE_FOLDER,
      containerId,
      ifname,
      pod: podIn(link.alias),
      ips: [],
      mac: undefined,
      veth: link.ifname,
      since: undefined,
      guarded: link.port.locked === true,
      live: true,
      link,
    });
  }
  return found;
}

/** An attachment as one JSON object: `address` is the first of `addresses`. */
export function plainAttachment({ ips, link: _, ...row }: Attached) {
  return { ...row, address: ips[0], addresses: ips };
}

/** Errors as JSON has them everywhere. */
export function plainErrors(errors: readonly CniError[]) {
  return errors.map(({ code, message, details }) => ({ code, msg: message, details }));
}
