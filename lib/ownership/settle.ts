import { hostVethName, isHostVethName, ownerKey } from "../base/attachment.ts";
import { groupOf, type NetworkName } from "../base/names.ts";
import { isForeign, isImported, isRunning, type Lease } from "../ipam.ts";
import type { Claim, ClaimKind, HostVeth, Known } from "./claim.ts";

/** The weight of a matching name or MAC, and the weight of a matching alias. */
const STRONG = 2;
const WEAK = 1;

/** A lease with its veths: `won` match it best, and `contested` match another lease at least as well. */
interface Case {
  readonly lease: Lease;
  readonly won: { readonly veth: HostVeth; readonly score: number }[];
  readonly contested: HostVeth[];
}

/** Finds the veth of each lease. `explained` are the veths that need no claim of their own. */
export async function settle(
  network: NetworkName,
  leases: readonly Lease[],
  known: readonly Known[],
): Promise<{ own: Claim[]; explained: ReadonlySet<HostVeth> }> {
  const cases = leases.map((lease): Case => ({ lease, won: [], contested: [] }));
  const votesOn = await voting(network, cases, known);
  for (const it of known) {
    const votes = [...votesOn(it)].filter(([{ lease }]) => !isDisproved(lease, it));
    const most = Math.max(0, ...votes.map(([, score]) => score));
    const [winner, ...equals] = votes.filter(([, score]) => score === most);
    for (const [one, score] of votes) {
      if (winner?.[0] === one && equals.length === 0) one.won.push({ veth: it.veth, score });
      else if (score >= STRONG) one.contested.push(it.veth);
    }
  }
  const taken = new Set(cases.flatMap(({ won }) => won.map(({ veth }) => veth)));
  const left = known.filter(({ veth }) => !taken.has(veth));
  const own = cases.map((one): Claim => {
    const { containerId, ifname } = one.lease.owner;
    const attachment = ifname === undefined ? undefined : { network, containerId, ifname };
    return { ...outcomeOf(one, left), lease: one.lease, attachment };
  });
  return { own, explained: explainedBy(own) };
}

type Outcome = Pick<Claim, "kind" | "veths">;

function outcomeOf({ lease, won, contested }: Case, left: readonly Known[]): Outcome {
  const top = best(lease, won);
  const [veth, ...more] = top;
  if (veth !== undefined && more.length === 0) return { kind: kindOf(lease, veth), veths: top };
  const candidates = top.length > 0 ? top : contested;
  return candidates.length > 0 ? { kind: "undecided", veths: candidates } : search(lease, left);
}

/** Returns a function that maps a veth to the matching leases and their scores. */
async function voting(
  network: NetworkName,
  cases: readonly Case[],
  known: readonly Known[],
): Promise<(it: Known) => ReadonlyMap<Case, number>> {
  const names = await namesOf(network, cases, known);
  const byName = Map.groupBy(cases, (_, index) => names[index] ?? "");
  const byMac = Map.groupBy(cases, ({ lease }) => lease.record?.hostMac ?? "");
  const byKey = new Map(cases.map((one) => [ownerKey(one.lease.owner), one]));
  const group = groupOf(network);
  return ({ veth: { link }, inAlias, isProven }) => {
    const votes = new Map<Case, number>();
    const vote = (one: Case, score: number) => votes.set(one, (votes.get(one) ?? 0) + score);
    for (const one of byName.get(link.ifname) ?? []) vote(one, STRONG);
    for (const one of (link.mac !== "" && byMac.get(link.mac)) || []) vote(one, STRONG);
    const one = inAlias?.network === network ? byKey.get(ownerKey(inAlias)) : undefined;
    if (one !== undefined && (isProven || link.group === group || votes.has(one))) vote(one, WEAK);
    return votes;
  };
}

/**
 * The name of each lease's host veth. It is hashed only if some veth has a name that its alias does not explain, or if the lease
 * is of the Go original. The names of an imported lease are recorded.
 */
async function namesOf(
  network: NetworkName,
  cases: readonly Case[],
  known: readonly Known[],
): Promise<string[]> {
  const isOpen = known.some(({ veth: { link }, isProven }) =>
    !isProven && isHostVethName(link.ifname)
  );
  const proven = new Map(
    known.flatMap(({ veth: { link }, inAlias, isProven }) =>
      isProven && inAlias?.network === network ? [[ownerKey(inAlias), link.ifname]] : []
    ),
  );
  return await Promise.all(cases.map(async ({ lease: { owner, ...lease } }) => {
    // Several recorded names are candidates. As one text with blanks, they match no interface and give no vote.
    if (lease.record?.hosts !== undefined) return lease.record.hosts;
    if (isOpen || owner.ifname === undefined) return await hostVethName({ network, ...owner });
    return proven.get(ownerKey(owner)) ?? "";
  }));
}

/** Whether a veth is not that of an imported lease: its MAC differs, and its peer has none of the lease's addresses. */
function isDisproved(lease: Lease, { veth: { link, inside } }: Known): boolean {
  if (!isImported(lease) || link.mac === lease.record?.hostMac) return false;
  return inside !== undefined && !inside.peer.addresses.some(({ ip }) => lease.ips.includes(ip));
}

/** The veths with the highest score; of several equals, the only one with the lease's MAC. */
function best({ record }: Lease, won: Case["won"]): HostVeth[] {
  const most = Math.max(0, ...won.map(({ score }) => score));
  const top = won.filter(({ score }) => score === most).map(({ veth }) => veth);
  // The name is the same for every ADD of the owner, and the MAC is unique to the ADD.
  const byMac = top.filter(({ link }) => link.mac === record?.hostMac);
  return byMac.length === 1 ? byMac : top;
}

/** `live`, unless the lease has a host MAC, the veth has another one, and the addresses inside don't confirm the lease. */
function kindOf(lease: Lease, { link, inside, add }: HostVeth): ClaimKind {
  const { ips, record } = lease;
  if (isRunning(add) || lease.owner.ifname === undefined) return "live";
  if (!record?.hostMac && !isImported(lease)) return "live";
  if (link.mac === record?.hostMac) return "live";
  if (inside === undefined) return "undecided";
  if (isImported(lease)) return "live";
  const seen = inside.peer.addresses.map(({ ip }) => ip);
  return ips.every((ip) => seen.includes(ip)) ? "live" : "superseded";
}

/** Searches `left`, the veths without a lease, by the addresses inside: no name, MAC or alias points to the lease's veth. */
function search(lease: Lease, left: readonly Known[]): Outcome {
  const candidates = left.filter((it) => isCandidate(lease, it)).map(({ veth }) => veth);
  const holding = candidates.filter(({ inside }) =>
    inside?.peer.addresses.some(({ ip }) => lease.ips.includes(ip))
  );
  if (holding.length > 0) {
    const isOne = holding.length === 1 && isForeign(lease);
    return { kind: isOne ? "live" : "undecided", veths: holding };
  }
  const blind = candidates.filter((veth) => veth.inside === undefined && mayHide(lease, veth));
  return { kind: blind.length > 0 ? "undecided" : "stale", veths: blind };
}

/** Whether the veth may belong to the lease although its name, MAC and alias differ. */
function isCandidate(lease: Lease, { relation, inAlias, isProven, veth }: Known): boolean {
  if (isForeign(lease)) return !isProven && (relation !== "none" || isRecorded(lease, veth));
  // If the alias explains the name, it names the owner. Another alias is outweighed only by the lease's address inside.
  return relation === "own" && !isProven && veth.add === "none" &&
    (inAlias === undefined || veth.inside !== undefined);
}

/** Whether a veth that can't be inspected may have the lease's address, so that the lease stays held. */
function mayHide(lease: Lease, veth: HostVeth): boolean {
  return !isForeign(lease) || !lease.record?.hostMac || isRecorded(lease, veth);
}

function isRecorded({ record }: Lease, { link }: HostVeth): boolean {
  return record?.hosts?.split(" ").includes(link.ifname) === true;
}

/**
 * The veths that need no claim of their own: all veths of this program's leases, and the candidates of the undecided leases of
 * other programs if each candidate may have such a lease of its own. With more candidates than leases, one of them has none.
 */
function explainedBy(own: readonly Claim[]): Set<HostVeth> {
  const isOpen = ({ kind, lease }: Claim) => kind === "undecided" && lease && isForeign(lease);
  const explained = new Set(own.flatMap((claim) => isOpen(claim) ? [] : claim.veths));
  const undecided = own.filter(isOpen);
  const open = new Set(undecided.flatMap(({ veths }) => veths)).difference(explained);
  return open.size <= undecided.length ? explained.union(open) : explained;
}
