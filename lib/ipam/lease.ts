import { familyOf, type Ip, valueOf } from "../base/address.ts";
import { attachmentIn, hostVethName, type Named } from "../base/attachment.ts";
import { type Mac, macOfAll } from "../base/mac.ts";
import type { NetworkName } from "../base/names.ts";
import type { Lease } from "./state.ts";

/** The host veths of which one is the lease's: one for a lease of our own, candidates for an imported one. */
export async function hostsOf(
  { owner, record }: Lease,
  network: NetworkName,
): Promise<readonly string[]> {
  return record?.hosts?.split(" ") ?? [await hostVethName({ network, ...owner })];
}

/** Whether a host veth whose alias names nobody has the MAC that the lease's ADD made up. */
export function hasMacOf(
  { record }: Lease,
  { alias, mac }: Pick<Named, "alias"> & { readonly mac: string },
): boolean {
  return record !== undefined && mac === record.hostMac && attachmentIn(alias) === undefined;
}

/** Whether the lease came from another plugin: its host veth has a name that that one gave. */
export function isImported({ record }: Lease): boolean {
  return record?.hosts !== undefined;
}

/** Whether another program gave the lease, so that its host veth has a name and a MAC from that program. */
export function isForeign(lease: Lease): boolean {
  return isImported(lease) || lease.owner.ifname === undefined;
}

/** The MAC that the lease's container was given; of an imported one only its maker knew it if the record has none. */
export function containerMac({ ips, record }: Lease): Mac | undefined {
  if (record?.mac !== undefined) return record.mac as Mac;
  if (record === undefined || record.hosts !== undefined) return undefined;
  return ips.some((ip) => familyOf(ip) === 4) ? macOfAll(ips) : ips[0] && foldedMac(ips[0]);
}

/** The MAC as a record has it: left out if it follows from an IPv4 address. */
export function recordedMac(ips: readonly Ip[], mac: string | undefined): string | undefined {
  const isImplied = ips.some((ip) => familyOf(ip) === 4) && mac === macOfAll(ips);
  return isImplied ? undefined : mac;
}

/** Whether each of the addresses always comes with the MAC that the container has, so that no neighbour can be stale. */
export function hasUsualMac(lease: Lease): boolean {
  const { ips, record } = lease;
  if (containerMac(lease) !== macOfAll(ips)) return false;
  // A pair records its MAC only if the two addresses are not always allocated together.
  return record?.mac === undefined || ips.length === 1;
}

/** The MAC of a lease without IPv4 whose record has none, as earlier versions gave it: `0a:59` and the address's four words, folded. */
function foldedMac(ip: Ip): Mac {
  const value = valueOf(ip);
  const word = (value >> 96n) ^ (value >> 64n) ^ (value >> 32n) ^ value;
  const bytes = [24n, 16n, 8n, 0n].map((shift) => Number((word >> shift) & 0xffn));
  return [0x0a, 0x59, ...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":") as Mac;
}

/** The time as the state file has it: UTC, to the second. */
export function now(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`;
}
