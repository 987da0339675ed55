import { type Ip, valueOf } from "../base/address.ts";
import {
  type Attachment,
  attachmentIn,
  hostVethName,
  isAliasOf,
  ownerKey,
} from "../base/attachment.ts";
import { CniError } from "../base/errors.ts";
import { type Mac, macOf, macOfAll } from "../base/mac.ts";
import type { InterfaceName, NetworkName } from "../base/names.ts";
import { formatSet, type RangeSet, usable } from "../base/range.ts";
import { checkRequested, choose, refused } from "./choose.ts";
import type { Evidence, Forget, LookAtVeths } from "./evidence.ts";
import { containerMac, hasMacOf, hostsOf, recordedMac } from "./lease.ts";
import {
  addLease,
  dropLease,
  findLease,
  holderOf,
  type Lease,
  type LeaseRecord,
  leasesOf,
  listLeases,
  type State,
} from "./state.ts";

/** What an attachment asks for. */
export interface LeaseRequest {
  /** The time of it, by `now`. */
  readonly since: string;
  readonly attachment: Attachment;
  readonly sets: readonly RangeSet[];
  /** MAC of the host veth this run made. */
  readonly hostMac: Mac;
  readonly requestedIps: readonly Ip[];
  readonly requestedMac: Mac | undefined;
  readonly pod: string | undefined;
  readonly bridge: InterfaceName;
  readonly guarded: boolean;
  /** The bridge's, which no container may have. */
  readonly bridgeMac: string;
}

/** Chooses the addresses of the request and puts them into `state`. */
export async function give(
  state: State,
  request: LeaseRequest,
  evidence: Pick<Evidence, "veths" | "forget">,
): Promise<Lease> {
  const { attachment, sets, since, hostMac, requestedIps, requestedMac, pod, guarded, bridge } =
    request;
  checkRequested(sets, requestedIps);
  const own = findLease(state, attachment);
  if (own !== undefined) {
    await mustBeOurs(own, request, evidence.veths);
    dropLease(state, own);
  }
  const ips = await chooseOrHeal(state, request, own?.ips ?? [], evidence);
  if (requestedMac !== undefined) await checkMac(state, request, requestedMac, evidence);
  const mac = recordedMac(ips, requestedMac ?? macOfAll(ips));
  const record: LeaseRecord = {
    since,
    hostMac,
    ...(pod !== undefined && { pod }),
    ...(mac !== undefined && { mac }),
    ...(guarded && { guarded }),
    ...((guarded || mac !== undefined) && { bridge }),
  };
  const { containerId, ifname } = attachment;
  const lease: Lease = { owner: { containerId, ifname }, ips, record };
  addLease(state, lease);
  state.lastReserved.splice(0, Infinity, ...ips);
  state.ranges = sets;
  return lease;
}

/**
 * A lease of this very attachment: a run before this one was killed, and its host veth is gone. Unless another run of the
 * same attachment is at work, whose veth then stands in the place of ours.
 */
async function mustBeOurs(
  own: Lease,
  { attachment, hostMac }: LeaseRequest,
  veths: LookAtVeths,
): Promise<void> {
  const all = await veths();
  const host = await hostVethName(attachment);
  const key = ownerKey(attachment);
  for (const [name, link] of all) {
    if (name === host || !(isAliasOf(link.alias, attachment) || hasMacOf(own, link))) continue;
    throw new CniError(
      "InterfaceExists",
      `Cannot add "${key}": it is attached, and "${name}" is its host veth`,
      { details: "an attachment is added once: DEL it first" },
    );
  }
  if (all.get(host)?.mac === hostMac) return;
  throw new CniError(
    "TryAgainLater",
    `Cannot give "${key}" an address: another ADD or DEL of it is at work`,
    { details: "a runtime may not run two operations on one attachment at once; try again" },
  );
}

/** Throws AddressUnavailable for a MAC that the bridge has, or another lease whose host veth stands. */
async function checkMac(
  state: State,
  { attachment, bridge, bridgeMac }: LeaseRequest,
  mac: Mac,
  { veths, forget }: Pick<Evidence, "veths" | "forget">,
): Promise<void> {
  const remedy = "ask for another MAC, or for none";
  if (mac === bridgeMac) throw refused(mac, `the bridge "${bridge}" has it`, remedy);
  const holder = () => leasesOf(state).find((lease) => containerMac(lease) === mac);
  if (holder() === undefined) return;
  await heal(state, attachment.network, veths, forget);
  const same = holder();
  if (same !== undefined) throw refused(mac, `"${ownerKey(same.owner)}" has it`, remedy);
}

async function chooseOrHeal(
  state: State,
  { attachment, sets, requestedIps, bridgeMac }: LeaseRequest,
  kept: readonly Ip[],
  { veths, forget }: Pick<Evidence, "veths" | "forget">,
): Promise<readonly Ip[]> {
  const wanted = { sets, last: state.lastReserved, requested: requestedIps, kept };
  const asked = macsAskedFor(state);
  const gateways = new Set(sets.flat().map(({ gateway }) => gateway));
  // The MAC that would follow from the address may be the bridge's, or given to another that asked for it.
  const isHeld = (ip: Ip) => {
    if (holderOf(state, ip) !== undefined || gateways.has(ip)) return true;
    const mac = macOf(ip);
    return mac === bridgeMac || asked.has(mac);
  };
  const first = choose(wanted, isHeld);
  if (typeof first !== "number" && !requestedIps.some(isHeld)) return first;
  await heal(state, attachment.network, veths, forget);
  const held = requestedIps.find(isHeld);
  if (held !== undefined) {
    const remedy = "remove that container first, or ask for another address";
    const holder = holderOf(state, held);
    const found = gateways.has(held)
      ? "it is the gateway"
      : holder === undefined
      ? "its MAC was given to another"
      : `"${holder}" holds it`;
    throw refused(held, found, remedy);
  }
  const healed = choose(wanted, isHeld);
  if (typeof healed !== "number") return healed;
  throw poolFull(sets[healed] ?? []);
}

function macsAskedFor({ leases, isMacAsked }: State): ReadonlySet<string> {
  const macs = new Set<string>();
  if (!isMacAsked) return macs;
  for (const key of Object.keys(leases)) {
    const mac = leases[key]?.mac;
    if (mac !== undefined) macs.add(mac);
  }
  return macs;
}

export function poolFull(set: RangeSet): CniError {
  const wider = set.map(({ subnet, start, end }) => ({ subnet, start, end, all: usable(subnet) }))
    .find(({ start, end, all }) =>
      valueOf(start) > valueOf(all.start) || valueOf(end) < valueOf(all.end)
    );
  const more = wider === undefined
    ? "give further containers networks of their own, with other subnets and bridges, for the range is the whole subnet"
    : `widen the range, the subnet has ${wider.all.start} to ${wider.all.end}`;
  return new CniError(
    "PoolExhausted",
    `Cannot give an address of ${formatSet(set)}: all are held`,
    {
      details:
        `every one belongs to a live container (atomicni list shows whose): remove some, or ${more}`,
    },
  );
}

/**
 * Releases every lease whose host veth is gone; returns them. Safe at any time under the lock: the veth comes
 * before the lease and goes before it, so a lease without one is garbage or in the middle of its own DEL.
 */
export async function heal(
  state: State,
  network: NetworkName,
  look: LookAtVeths,
  forget?: Forget,
): Promise<Lease[]> {
  const veths = await look();
  const known = new Set<string>();
  const macs = new Set<string>();
  for (const link of veths.values()) {
    // One that was renamed still has its container.
    const owner = attachmentIn(link.alias);
    if (owner?.network === network) known.add(ownerKey(owner));
    // An ADD made up its MAC, by which it is known without its alias too.
    if (owner === undefined) macs.add(link.mac);
  }
  const stale: Lease[] = [];
  for (const lease of listLeases(state)) {
    if (
      known.has(ownerKey(lease.owner)) || macs.has(lease.record?.hostMac ?? "") ||
      (await hostsOf(lease, network)).some((it) => veths.has(it))
    ) {
      continue;
    }
    await forget?.(lease);
    dropLease(state, lease);
    stale.push(lease);
  }
  return stale;
}
