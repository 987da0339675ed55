import { familyOf, type Ip, valueOf } from "../base/address.ts";
import { hostVethName } from "../base/attachment.ts";
import { defined } from "../base/fields.ts";
import { joinBytes, type Mac, macOfAll } from "../base/mac.ts";
import type { NetworkName } from "../base/names.ts";
import type { Lease, LeaseRecord } from "./state.ts";

/** The names of the lease's possible host veths: one for a lease of this program, several candidates for an imported lease. */
export async function hostsOf(
  { owner, record }: Lease,
  network: NetworkName,
): Promise<readonly string[]> {
  return record?.hosts?.split(" ") ?? [await hostVethName({ network, ...owner })];
}

/** The record of a lease. It has the bridge if neighbour or forwarding entries on it are removed with the lease. */
export function recordOf(
  { since, hostMac, pod, mac, guarded, bridge }: Pick<LeaseRecord, "since" | "hostMac"> & {
    readonly pod: string | undefined;
    readonly mac: string | undefined;
    readonly guarded: boolean;
    readonly bridge: string;
  },
): LeaseRecord {
  return {
    since,
    hostMac,
    ...defined({ pod, mac }),
    ...(guarded && { guarded }),
    ...((guarded || mac !== undefined) && { bridge }),
  };
}

/** Whether the lease was imported from another plugin, which also named its host veth. */
export function isImported({ record }: Lease): boolean {
  return record?.hosts !== undefined;
}

/** Whether another program allocated the lease, and so chose the name and MAC of its host veth. */
export function isForeign(lease: Lease): boolean {
  return isImported(lease) || lease.owner.ifname === undefined;
}

/** The MAC of the lease's container. It is unknown (`undefined`) for an imported lease without a recorded MAC. */
export function containerMac({ ips, record }: Lease): Mac | undefined {
  if (record?.mac !== undefined) return record.mac as Mac;
  if (record === undefined || record.hosts !== undefined) return undefined;
  return ips.some((ip) => familyOf(ip) === 4) ? macOfAll(ips) : ips[0] && foldedMac(ips[0]);
}

/** The MAC for the record: `undefined` if it is derived from the IPv4 addresses. */
export function recordedMac(ips: readonly Ip[], mac: string | undefined): string | undefined {
  const isImplied = ips.some((ip) => familyOf(ip) === 4) && mac === macOfAll(ips);
  return isImplied ? undefined : mac;
}

/** Whether each address always comes with the container's present MAC, so that no neighbour entry can become stale. */
export function hasUsualMac(lease: Lease): boolean {
  const { ips, record } = lease;
  if (containerMac(lease) !== macOfAll(ips)) return false;
  // A pair records its MAC only if the two addresses are not always allocated together.
  return record?.mac === undefined || ips.length === 1;
}

/** The MAC that earlier versions derived for a lease without IPv4: `0a:59`, then the exclusive or of the address's four words. */
function foldedMac(ip: Ip): Mac {
  const value = valueOf(ip);
  const word = (value >> 96n) ^ (value >> 64n) ^ (value >> 32n) ^ value;
  const bytes = [24n, 16n, 8n, 0n].map((shift) => Number((word >> shift) & 0xffn));
  return joinBytes([0x0a, 0x59, ...bytes]);
}

/** The time in the form of the state file: UTC, to the second. */
export function now(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`;
}
