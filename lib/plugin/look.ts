import { ownerKey } from "../base/attachment.ts";
import { CniError, isError } from "../base/errors.ts";
import type { RangeSet } from "../base/range.ts";
import {
  AddMarks,
  type AddProgress,
  checkOwners,
  type Decision,
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

type ViewEffects = Pick<Effects, "kernel" | "marks">;

/** Which namespaces are inspected. */
interface Inspected {
  /** The path of one more namespace. Those in /run/netns are inspected anyway. */
  readonly netns?: string | undefined;
  /** Leaves out the namespaces of ADDs in progress. */
  readonly isWithoutAdds?: boolean;
}

/** Reads the kernel for the claims of these leases. Throws IpFailed, IOFailure. */
async function viewFor(
  subject: Subject,
  leases: readonly Lease[],
  { kernel, marks }: ViewEffects,
  { netns, isWithoutAdds = false }: Inspected = {},
): Promise<HostView> {
  const skipped = isWithoutAdds ? marks.all() : new Map<string, AddProgress>();
  const needs = needsInspection(subject, leases);
  const isInspected = (link: Link) => !isRunning(skipped.get(link.ifname)) && needs(link);
  const seen = await kernel.view(isInspected, netns);
  // Read after the view: an ADD without a mark by now has ended, and has written its lease.
  const adds = marks.all();
  return seen.map((veth) => ({ ...veth, add: adds.get(veth.link.ifname) ?? "none" }));
}

/** The current claims of these leases and of the veths without a lease. */
export async function claimsOf(
  subject: Subject,
  leases: readonly Lease[],
  effects: ViewEffects,
  inspected: Inspected = {},
): Promise<Claim[]> {
  return await claims(subject, leases, await viewFor(subject, leases, effects, inspected));
}

/** The current claims of another network, which has its state in `dataDir`. */
export async function claimsOfOther(
  subject: Subject,
  dataDir: string,
  leases: readonly Lease[],
  kernel: Effects["kernel"],
): Promise<Claim[]> {
  return await claimsOf(subject, leases, { kernel, marks: new AddMarks(dataDir, subject.name) });
}

/** A network's state, the kernel's view, and the claims that follow from both. */
export interface Moment extends Found {
  readonly claims: readonly Claim[];
  readonly view: HostView;
}

/** The moment of an ADD that holds the lock. Its new host veth `own` is left out, because it has no lease yet. */
export async function momentOf(
  subject: Subject,
  found: Found,
  own: string,
  effects: ViewEffects,
): Promise<Moment> {
  const leases = listLeases(found.state);
  const view = (await viewFor(subject, leases, effects)).filter(({ link }) => link.ifname !== own);
  return { ...found, view, claims: await claims(subject, leases, view) };
}

/**
 * Runs a transaction with the claims. `isThorough` also inspects the veths that the MAC of a lease already proves. Namespaces are
 * inspected before the lock is taken. Under the lock, a lease that is newer than the view is undecided instead of stale, and a
 * veth that has vanished since the view is left out.
 */
export async function transactClaims<T>(
  subject: Subject,
  effects: Effects,
  decide: (moment: Moment) => Decision<T> | Promise<Decision<T>>,
  { isThorough = false } = {},
) {
  const momentOfFound = await viewBeforeLock(subject, effects, isThorough);
  return await effects.leases.transaction(async (state, provenance) =>
    await decide(await momentOfFound({ state, provenance }))
  );
}

/** The same as `transactClaims`, for a reader: nothing is written. */
export async function examineClaims<T>(
  subject: Subject,
  effects: Effects,
  look: (moment: Moment) => T | Promise<T>,
): Promise<T> {
  const momentOfFound = await viewBeforeLock(subject, effects, false);
  return await effects.leases.examine(async (found) => await look(await momentOfFound(found)));
}

/** The leases, read without the lock; none if the file is damaged, because only a run with the lock may report that. */
function readLeases({ leases }: Effects): Lease[] {
  try {
    return listLeases(leases.read().state);
  } catch (error) {
    if (!isError(error, "StateDamaged") || error instanceof NewerSchema) throw error;
    return [];
  }
}

/** Inspects the namespaces. Returns a function that joins them with the state that is found under the lock. */
async function viewBeforeLock(subject: Subject, effects: Effects, isThorough: boolean) {
  const known = readLeases(effects);
  const before = new Map(known.map((lease) => [ownerKey(lease.owner), lease]));
  const earlier = await viewFor(subject, isThorough ? [] : known, effects);
  return async (found: Found): Promise<Moment> => {
    const leases = listLeases(found.state);
    const then = await claims(subject, leases, earlier);
    const mayBeGone = then.some((claim) => mayHold(claim, undefined));
    const seen = mayBeGone ? await effects.kernel.view(() => false) : earlier;
    const indices = new Set(seen.map(({ link }) => link.ifindex));
    const view = earlier.filter(({ link }) => indices.has(link.ifindex));
    const left = view.length === earlier.length ? then : await claims(subject, leases, view);
    const now = left.map((claim): Claim => {
      const { kind, lease } = claim;
      if (kind !== "stale" || lease === undefined) return claim;
      const isOld = isSameLease(before.get(ownerKey(lease.owner)), lease);
      return isOld ? claim : { ...claim, kind: "undecided" };
    });
    return { ...found, claims: now, view };
  };
}

/**
 * Throws StateDamaged if a veth may use an address without a lease for it. A file that this program did not write last may be
 * an older copy or an emptied one, and a missing file may have been removed. A run replaces a damaged file by an empty state
 * only if no veth can use an address.
 */
export function checkConsistent(
  { state, provenance, claims }: Moment,
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
