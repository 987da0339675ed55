import { type Attachment, hostVethName } from "../base/attachment.ts";
import { pause } from "../base/deadline.ts";
import type { InterfaceName } from "../base/names.ts";
import type { Invocation, Network } from "../config.ts";
import { findLease, isForeign, type Lease, listLeases, NewerSchema, type State } from "../ipam.ts";
import { mayHold } from "../ownership.ts";
import type { Effects } from "./effects.ts";
import { Failures } from "./failures.ts";
import { claimsOf, examineClaims } from "./look.ts";
import { release } from "./neighbours.ts";
import { carryOut, removalsFor } from "./removals.ts";
import { isAbout, leftUnder } from "./whereabouts.ts";

/** DEL: removes the veth, then releases the lease. A missing attachment is a success, and DEL can be repeated. */
export async function del(
  network: Network,
  { containerId, ifname, netns }: Invocation,
  effects: Effects,
): Promise<void> {
  const attachment = { network: network.name, containerId, ifname };
  const failures = new Failures();
  // The state is read before the veth is removed: a lease that appears later belongs to a new ADD.
  const read = await failures.attempt(() => effects.leases.read());
  const target = { network, attachment, host: await hostVethName(attachment), netns };
  const free = await removeVeths(target, read?.state, effects, failures);
  const isGone = !failures.hasMore(read === undefined ? 1 : 0);
  await endMark(target.host, free, isGone, effects);
  if (read !== undefined) await failures.attempt(() => release(free, network, effects, failures));
  else if (isGone && await isAnswered(network, failures, effects)) return;
  failures.raise(isGone && read === undefined ? goneAlready(target.host) : undefined);
}

interface Target {
  readonly network: Network;
  readonly attachment: Attachment;
  readonly host: InterfaceName;
  readonly netns: string;
}

/** Removes the host veths of the attachment. Returns the leases that no veth can use any longer. */
async function removeVeths(
  target: Target,
  state: State | undefined,
  effects: Effects,
  failures: Failures,
): Promise<Lease[]> {
  const { attachment, host } = target;
  const { kernel, stop } = effects;
  const own = state && findLease(state, attachment);
  const isOld = state && findLease(state, { ...attachment, ifname: undefined }) !== undefined;
  const hostMac = own === undefined || isForeign(own) ? undefined : own.record?.hostMac;
  if (own !== undefined && hostMac && !isOld) {
    // Name and MAC prove that it belongs to this lease, whatever other veths exist.
    const isRemoved = await failures.attempt(() => {
      stop.throwIfAborted();
      return kernel.detach(host, hostMac);
    });
    if (isRemoved !== false) return isRemoved === true ? [own] : [];
  }
  return await failures.attempt(() => removeByClaims(target, state, effects, failures)) ?? [];
}

async function removeByClaims(
  { network, attachment, host, netns }: Target,
  state: State | undefined,
  effects: Effects,
  failures: Failures,
): Promise<Lease[]> {
  const { kernel, marks, stop } = effects;
  const leases = state === undefined ? [] : listLeases(state);
  const path = netns.startsWith("/") && !netns.includes("\0") ? netns : undefined;
  const claims = await claimsOf(network, leases, effects, { netns: path });
  const place = { netns: path, ifname: attachment.ifname };
  const isDoomed = await isAbout(attachment, place, claims, kernel);
  const removals = await removalsFor(network.name, claims, isDoomed, path);
  const free = await carryOut(removals, effects, failures);
  if (removals.some(({ veths }) => veths.some(({ link }) => link.ifname === host))) return free;
  const left = await leftUnder(host, attachment, claims, kernel);
  if (left !== undefined) {
    stop.throwIfAborted();
    await kernel.remove(left);
  } else if (marks.of(host) === "died") await removeLate(host, kernel);
  return free;
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

/** Removes the mark of a killed ADD. Its `ip` may add neighbours as late as its veth, so a guarded attachment waits first. */
async function endMark(
  host: InterfaceName,
  free: readonly Lease[],
  isGone: boolean,
  { marks }: Effects,
): Promise<void> {
  if (!isGone || marks.of(host) !== "died") return;
  if (free.some(({ record }) => record?.guarded === true)) await pause(LATEST_MS);
  marks.clear(host);
}

/** Whether a DEL without a readable state succeeds: a newer version reclaims the lease, or no veth has an address. */
async function isAnswered(
  network: Network,
  failures: Failures,
  effects: Effects,
): Promise<boolean> {
  const [error] = failures.errors;
  if (error instanceof NewerSchema) {
    effects.warn(
      `the lease is left to the newer version, whose ADD or GC reclaims it: ${error.message}`,
    );
    return true;
  }
  try {
    return await examineClaims(
      network,
      effects,
      ({ provenance, claims }) =>
        typeof provenance === "object" && !claims.some((claim) => mayHold(claim, undefined)),
    );
  } catch {
    return false; // DEL reports the error of the first read
  }
}

/** The remedy for an attachment without its veth, if its lease can't be read. */
function goneAlready(host: InterfaceName): string {
  return `the host veth ${host} is gone; atomicni repair releases its lease, or a DEL once the state can be read`;
}
