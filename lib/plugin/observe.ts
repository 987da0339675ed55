import { ownerKey } from "../base/attachment.ts";
import { CniError, isError } from "../base/errors.ts";
import type { RangeSet } from "../base/range.ts";
import {
  type AddProgress,
  checkOwners,
  type Found,
  isRunning,
  isSameLease,
  type Lease,
  listLeases,
  NewerSchema,
  NotAStateFile,
} from "../ipam.ts";
import type { Link } from "../netops.ts";
import {
  type Claim,
  claims,
  type HostView,
  mayHold,
  needsInspection,
  type Subject,
} from "../ownership.ts";
import type { Effects } from "./effects.ts";

/** What the kernel shows at one moment, and the claims of these leases and of the veths without a lease. */
export interface Observation {
  readonly subject: Subject;
  readonly leases: readonly Lease[];
  readonly view: HostView;
  readonly claims: readonly Claim[];
}

/** What an observation leaves out or adds. */
interface Scope {
  /** The path of one more namespace to inspect. Those in /run/netns are inspected anyway. */
  readonly netns?: string | undefined;
  /** Does not inspect the namespaces of ADDs in progress. */
  readonly isWithoutAdds?: boolean;
  /** Inspects the veths too that the MAC of a lease already proves. */
  readonly isThorough?: boolean;
  /** Leaves out the host veth of that name: that of an ADD that has no lease yet. */
  readonly except?: string;
}

/** Reads the kernel, and joins it with these leases. Throws IpFailed, IOFailure. */
export async function observe(
  subject: Subject,
  leases: readonly Lease[],
  { kernel, marks }: Pick<Effects, "kernel" | "marks">,
  { netns, isWithoutAdds = false, isThorough = false, except }: Scope = {},
): Promise<Observation> {
  const skipped = isWithoutAdds ? marks.all() : new Map<string, AddProgress>();
  const needs = needsInspection(subject, isThorough ? [] : leases);
  const isInspected = (link: Link) => !isRunning(skipped.get(link.ifname)) && needs(link);
  const seen = await kernel.view(isInspected, netns);
  // Read after the view: an ADD without a mark by now has ended, and has written its lease.
  const adds = marks.all();
  const view = seen.filter(({ link }) => link.ifname !== except)
    .map((veth) => ({ ...veth, add: adds.get(veth.link.ifname) ?? "none" }));
  return { subject, leases, view, claims: await claims(subject, leases, view) };
}

/** The leases, read without the lock; none if the file is damaged, because only a run with the lock may report that. */
export function knownLeases({ leases }: Pick<Effects, "leases">): Lease[] {
  try {
    return listLeases(leases.read().state);
  } catch (error) {
    if (!isError(error, "StateDamaged") || error instanceof NewerSchema) throw error;
    return [];
  }
}

/** A network's state, the kernel's view, and the claims that follow from both. */
export type Moment = Found & Pick<Observation, "claims" | "view">;

/**
 * Joins an observation with the state that is found under the lock. Namespaces are inspected before the lock is taken, so a lease
 * that is newer than the observation is undecided instead of stale, and a veth that has vanished since then is left out.
 */
export async function confirm(
  { subject, leases: before, view: earlier }: Observation,
  found: Found,
  kernel: Effects["kernel"],
): Promise<Moment> {
  const leases = listLeases(found.state);
  const known = new Map(before.map((lease) => [ownerKey(lease.owner), lease]));
  const isKnown = (lease: Lease) => isSameLease(known.get(ownerKey(lease.owner)), lease);
  let view = earlier;
  let now = await claims(subject, leases, view);
  if (now.some((claim) => mayHold(claim, undefined))) {
    const there = new Set((await kernel.view(() => false)).map(({ link }) => link.ifindex));
    view = earlier.filter(({ link }) => there.has(link.ifindex));
    if (view.length < earlier.length) now = await claims(subject, leases, view);
  }
  const confirmed = now.map((claim): Claim => {
    const { kind, lease } = claim;
    const isNewer = kind === "stale" && lease !== undefined && !isKnown(lease);
    return isNewer ? { ...claim, kind: "undecided" } : claim;
  });
  return { ...found, claims: confirmed, view };
}

/**
 * Throws StateDamaged if a veth may use an address without a lease for it. A file that this program did not write last may be
 * an older copy or an emptied one, and a missing file may have been removed. A run replaces a damaged file by an empty state
 * only if no veth can use an address.
 */
export function checkConsistent(
  { state, provenance, claims }: Omit<Moment, "view">,
  { name }: Subject,
  sets: readonly RangeSet[] | undefined,
): void {
  if (provenance === "written") return;
  if (provenance instanceof NotAStateFile) throw provenance;
  checkOwners(state, name);
  const lost = claims.filter((claim) => mayHold(claim, sets));
  const [claim] = lost;
  if (claim === undefined) return;
  if (provenance instanceof CniError) throw provenance;
  const [use, found] = provenance === "missing"
    ? [`start the state of network "${name}" empty`, "its state file is gone"]
    : [
      `use the state of network "${name}"`,
      "the state file is an older copy or was emptied, or an import named that veth",
    ];
  const hosts = claim.veths.map(({ link }) => link.ifname).join(" or ");
  throw new CniError(
    "StateDamaged",
    `Cannot ${use}: ${describeOwner(claim, lost.length - 1)}`,
    `${found}: atomicni repair < CONFIGURATION; if another plugin allocated the address: atomicni import; ` +
      `if nothing uses ${hosts}: remove that container`,
  );
}

/** Describes the possible owner of an address, and why its lease is in doubt. */
function describeOwner({ kind, lease, attachment, veths }: Claim, others: number): string {
  const owner = lease?.owner ?? attachment;
  const name = owner === undefined ? veths[0]?.link.ifname ?? "" : ownerKey(owner);
  const who = `"${name}"${others === 0 ? "" : ` and ${others} more`}`;
  const [holds, is, has] = others === 0 ? ["holds", "is", "has"] : ["hold", "are", "have"];
  const isSeen = veths.every(({ inside }) => inside !== undefined);
  const addresses = veths.flatMap(({ inside }) => inside?.peer.addresses ?? []);
  const does = !isSeen
    ? "may hold an address and can't be inspected"
    : addresses.length > 0
    ? `${holds} an address`
    : `${is} attached`;
  if (kind === "superseded") return `${who} ${does}, and its lease is of an earlier ADD`;
  if (kind === "undecided") return `${who} ${does}, and its lease may be of an earlier ADD`;
  return `${who} ${does}, and ${has} no lease`;
}
