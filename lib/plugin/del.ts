import {
  type Attachment,
  attachmentIn,
  hostVethName,
  isAliasOf,
  isHostVethName,
  ownerKey,
} from "../base/attachment.ts";
import { pause } from "../base/deadline.ts";
import { isError } from "../base/errors.ts";
import type { InterfaceName } from "../base/names.ts";
import type { Invocation, Network } from "../config.ts";
import { findLease, isForeign, type Lease, listLeases, NewerSchema, type State } from "../ipam.ts";
import type { Link } from "../netops.ts";
import { type Claim, mayHold } from "../ownership.ts";
import type { Effects } from "./effects.ts";
import { Failures } from "./failures.ts";
import { confirm, knownLeases, observe } from "./observe.ts";
import { onBridges, release, removeDoomed } from "./release.ts";

/** DEL: removes the veth, then releases the lease. A missing attachment is a success, and DEL can be repeated. */
export async function del(
  network: Network,
  { containerId, ifname, netns }: Invocation,
  effects: Effects,
): Promise<void> {
  const attachment = { network: network.name, containerId, ifname };
  const { leases, marks } = effects;
  const failures = new Failures();
  // The state is read before the veth is removed: a lease that appears later belongs to a new ADD.
  const read = await failures.attempt(() => leases.read());
  const host = await hostVethName(attachment);
  const path = netns.startsWith("/") ? netns : undefined;
  const work = { network, attachment, host, netns: path, state: read?.state, effects, failures };
  const free = await removeVeths(work);
  const isGone = failures.errors.length === (read === undefined ? 1 : 0);
  if (isGone && marks.of(host) === "died") {
    // The `ip` of the killed ADD may add neighbours as late as its veth.
    if (free.some(({ record }) => record?.guarded === true)) await pause(LATEST_MS);
    marks.clear(host);
  }
  if (read !== undefined) await failures.attempt(() => release(free, network, effects, failures));
  else if (isGone && await isAnswered(work)) return;
  failures.raise(
    isGone && read === undefined
      ? `the host veth ${host} is gone; atomicni repair releases its lease, or a DEL once the state can be read`
      : undefined,
  );
}

/** A DEL in progress. */
interface Removal {
  readonly network: Network;
  readonly attachment: Attachment;
  readonly host: InterfaceName;
  /** `undefined` if the runtime passes no namespace. */
  readonly netns: string | undefined;
  /** `undefined` if the state can't be read. */
  readonly state: State | undefined;
  readonly effects: Effects;
  readonly failures: Failures;
}

/** Removes the host veths of the attachment. Returns the leases that no veth can use any longer. */
async function removeVeths(work: Removal): Promise<Lease[]> {
  const { attachment, host, state, failures, effects: { kernel, stop } } = work;
  const own = state && findLease(state, attachment);
  const isOld = state && findLease(state, { ...attachment, ifname: undefined }) !== undefined;
  const hostMac = own === undefined || isForeign(own) ? undefined : own.record?.hostMac;
  if (own !== undefined && hostMac && !isOld) {
    // Name and MAC prove that it belongs to this lease, whatever other veths exist.
    const tried = await failures.attempt(async () => {
      stop.throwIfAborted();
      return { link: await kernel.detach(host, hostMac) };
    });
    if (tried === undefined) return [];
    if (tried.link !== undefined) return onBridges(own, tried.link);
  }
  return await failures.attempt(() => removeByClaims(work)) ?? [];
}

async function removeByClaims(work: Removal): Promise<Lease[]> {
  const { network, host, netns, state, effects, failures } = work;
  const { kernel, marks, stop } = effects;
  const { claims } = await observe(network, state ? listLeases(state) : [], effects, { netns });
  const isDoomed = await isAbout(work, claims);
  const { name } = network;
  const { free, hosts } = await removeDoomed(name, claims, isDoomed, effects, failures, netns);
  if (hosts.includes(host)) return free;
  const left = await leftUnder(work, claims);
  if (left !== undefined) {
    stop.throwIfAborted();
    await kernel.remove(left);
  } else if (marks.of(host) === "died") await removeLate(host, kernel);
  return free;
}

/** Selects the claims that a DEL of this attachment removes. */
async function isAbout(
  work: Removal,
  claims: readonly Claim[],
): Promise<(claim: Claim) => boolean> {
  const { attachment, host } = work;
  const key = ownerKey(attachment);
  const old = claims.find(({ lease }) =>
    lease?.owner.containerId === attachment.containerId && lease.owner.ifname === undefined
  );
  const isOldOne = old !== undefined && await isOfInterface(old, work);
  return (claim) => {
    if (claim === old) return isOldOne;
    const { lease, attachment: said, veths } = claim;
    if (lease !== undefined) return ownerKey(lease.owner) === key;
    // Root may write any alias: a veth with the name of another attachment's veth stays.
    const isOthers = veths.some(({ link: { ifname } }) =>
      ifname !== host && isHostVethName(ifname)
    );
    return said?.network === attachment.network && ownerKey(said) === key && !isOthers;
  };
}

/** Whether a lease of the Go original belongs to this interface. The Go original recorded only the container ID. */
async function isOfInterface(
  { veths: [veth] }: Claim,
  { attachment: { ifname }, netns, effects: { kernel } }: Removal,
): Promise<boolean> {
  if (veth?.inside !== undefined) return veth.inside.peer.ifname === ifname;
  if (veth === undefined || netns === undefined) return true;
  const none = "lo" as InterfaceName; // only the container's interface matters
  try {
    await kernel.inspect({ bridge: none, host: none, netns, ifname, guarded: false });
    // The namespace's interface of that name is not the peer of this veth, or does not exist.
    return false;
  } catch (error) {
    if (isError(error, "InvalidNetNS")) return true;
    throw error;
  }
}

/**
 * The veth with the attachment's name but without a claim: from a killed ADD, or with an alias that root changed. `undefined` if
 * it belongs to another attachment, by a lease or because both have the same hash.
 */
async function leftUnder(
  { host, attachment, effects: { kernel } }: Removal,
  claims: readonly Claim[],
): Promise<Link | undefined> {
  const link = await kernel.link(host);
  if (link === undefined) return undefined;
  const isLeased = claims.some(({ kind, veths }) =>
    (kind === "live" || kind === "superseded") &&
    veths.some((veth) => veth.link.ifindex === link.ifindex)
  );
  const said = attachmentIn(link.alias);
  const isOthers = said !== undefined && !isAliasOf(link.alias, attachment) &&
    await hostVethName(said) === host;
  return isLeased || isOthers ? undefined : link;
}

/** Pauses while the `ip` of a killed ADD may still wait for a kernel lock: 2 s in all. */
const LATE_MS = [50, 100, 150, 300, 600, 800];
const LATEST_MS = 2_000;

async function removeLate(host: InterfaceName, kernel: Effects["kernel"]): Promise<void> {
  for (const ms of LATE_MS) {
    await pause(ms);
    const late = await kernel.link(host);
    if (late !== undefined) return await kernel.remove(late);
  }
}

/** Whether a DEL without a readable state succeeds: a newer version reclaims the lease, or no veth has an address. */
async function isAnswered({ network, effects, failures: { errors: [error] } }: Removal) {
  if (error instanceof NewerSchema) {
    effects.warn(
      `the lease is left to the newer version, whose ADD or GC reclaims it: ${error.message}`,
    );
    return true;
  }
  try {
    const before = await observe(network, knownLeases(effects), effects);
    return await effects.leases.examine(async (found) => {
      const { provenance, claims } = await confirm(before, found, effects.kernel);
      return typeof provenance === "object" && !claims.some((claim) => mayHold(claim, undefined));
    });
  } catch {
    return false; // DEL reports the error of the first read
  }
}
