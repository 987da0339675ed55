import { hostVethName, isHostVethName, ownerKey } from "../base/attachment.ts";
import { groupOf, type NetworkName } from "../base/names.ts";
import { isForeign, isImported, type Lease } from "../ipam.ts";
import type { ClaimKind, HostVeth } from "./claim.ts";
import type { Known } from "./identify.ts";
import { type Outcome, search } from "./search.ts";

/** The weight of a matching name or MAC, and the weight of a matching alias. */
const STRONG = 2;
const WEAK = 1;

/** Finds the veth of each lease. `explained` are the veths that need no claim of their own. */
export async function settle(
  network: NetworkName,
  leases: readonly Lease[],
  known: readonly Known[],
): Promise<{ outcomes: Outcome[]; explained: ReadonlySet<HostVeth> }> {
  const evidence = await evidenceFor(network, leases, known);
  const won = leases.map((): { it: Known; score: number }[] => []);
  const doubt = leases.map((): HostVeth[] => []);
  for (const it of known) {
    const votes = [...evidence(it)].filter(([index]) => !isDisproved(leases[index], it));
    const most = Math.max(0, ...votes.map(([, score]) => score));
    const [winner, ...equals] = votes.filter(([, score]) => score === most);
    for (const [index, score] of votes) {
      if (winner?.[0] === index && equals.length === 0) won[index]?.push({ it, score });
      else if (score >= STRONG) doubt[index]?.push(it.veth);
    }
  }
  const taken = new Set(won.flatMap((list) => list.map(({ it }) => it.veth)));
  const outcomes = leases.map((lease, index): Outcome => {
    const veth = best(lease, won[index] ?? []);
    if (Array.isArray(veth)) return { kind: "undecided", veths: veth };
    if (veth !== undefined) return { kind: kindOf(lease, veth), veths: [veth] };
    const candidates = doubt[index] ?? [];
    if (candidates.length > 0) return { kind: "undecided", veths: candidates };
    return search(lease, known.filter(({ veth }) => !taken.has(veth)));
  });
  return { outcomes, explained: explainedBy(leases, outcomes) };
}

/** Returns a function that maps a veth to the indices of the matching leases and their scores. */
async function evidenceFor(
  network: NetworkName,
  leases: readonly Lease[],
  known: readonly Known[],
) {
  const names = await namesOf(network, leases, known);
  const byMac = Map.groupBy(leases.keys(), (index) => leases[index]?.record?.hostMac ?? "");
  const byKey = new Map(leases.map(({ owner }, index) => [ownerKey(owner), index]));
  const group = groupOf(network);
  return ({ veth: { link }, said, isNamed }: Known): Map<number, number> => {
    const votes = new Map<number, number>();
    const vote = (index: number, score: number) =>
      votes.set(index, (votes.get(index) ?? 0) + score);
    for (const index of names.get(link.ifname) ?? []) vote(index, STRONG);
    for (const index of (link.mac !== "" && byMac.get(link.mac)) || []) vote(index, STRONG);
    const index = said?.network === network ? byKey.get(ownerKey(said)) : undefined;
    if (index !== undefined && (isNamed || link.group === group || votes.has(index))) {
      vote(index, WEAK);
    }
    return votes;
  };
}

/**
 * The indices of the leases by the name of their host veth. A name is hashed only if the alias of some veth does not explain its
 * name, or if the lease is of the Go original. The names of an imported lease are recorded.
 */
async function namesOf(
  network: NetworkName,
  leases: readonly Lease[],
  known: readonly Known[],
): Promise<Map<string, number[]>> {
  const isOpen = known.some(({ veth: { link }, isNamed }) =>
    !isNamed && isHostVethName(link.ifname)
  );
  const proven = new Map(
    known.flatMap(({ veth: { link }, said, isNamed }) =>
      isNamed && said?.network === network ? [[ownerKey(said), link.ifname]] : []
    ),
  );
  const names = await Promise.all(leases.map(async (lease): Promise<string[]> => {
    // Several recorded names are candidates, and none of them counts as a match.
    if (isImported(lease)) return lease.record?.hosts?.split(" ").slice(0, 2) ?? [];
    if (isOpen || isForeign(lease)) return [await hostVethName({ network, ...lease.owner })];
    return [proven.get(ownerKey(lease.owner)) ?? ""];
  }));
  const found = new Map<string, number[]>();
  for (const [index, [name = "", ...more]] of names.entries()) {
    if (more.length === 0) found.set(name, [...found.get(name) ?? [], index]);
  }
  return found;
}

/** Whether a veth with a recorded name belongs to another container: its MAC differs, and its peer lacks the lease's addresses. */
function isDisproved(lease: Lease | undefined, { veth: { link, inside } }: Known): boolean {
  if (lease === undefined || !isImported(lease) || link.mac === lease.record?.hostMac) return false;
  return inside !== undefined && !inside.peer.addresses.some(({ ip }) => lease.ips.includes(ip));
}

/** The veth with the highest score; of several equals, the only one with the lease's MAC, or else all of them. */
function best(
  { record }: Lease,
  won: readonly { readonly it: Known; readonly score: number }[],
): HostVeth | HostVeth[] | undefined {
  const most = Math.max(0, ...won.map(({ score }) => score));
  const top = won.filter(({ score }) => score === most).map(({ it }) => it.veth);
  if (top.length <= 1) return top[0];
  // The name is the same for every ADD of the owner, and the MAC is unique to the ADD.
  const [byMac, ...more] = top.filter(({ link }) => link.mac === record?.hostMac);
  return byMac !== undefined && more.length === 0 ? byMac : top;
}

/** The claim's kind, by whether the lease's own ADD made the veth. */
function kindOf(lease: Lease, { link, inside, add }: HostVeth): ClaimKind {
  const { ips, record } = lease;
  if (add === "running" || lease.owner.ifname === undefined) return "live";
  if (!record?.hostMac && !isImported(lease)) return "live";
  if (link.mac === record?.hostMac) return "live";
  if (inside === undefined) return "undecided";
  if (isImported(lease)) return "live";
  const seen = inside.peer.addresses.map(({ ip }) => ip);
  return ips.every((ip) => seen.includes(ip)) ? "live" : "superseded";
}

/**
 * The veths that need no claim of their own: all veths of this program's leases, and the candidates of the undecided leases of
 * other programs if there are no more candidates than such leases.
 */
function explainedBy(leases: readonly Lease[], outcomes: readonly Outcome[]): Set<HostVeth> {
  const explained = new Set<HostVeth>();
  const candidates = new Set<HostVeth>();
  let undecided = 0;
  for (const [index, { kind, veths }] of outcomes.entries()) {
    const lease = leases[index];
    const isOpen = kind === "undecided" && lease !== undefined && isForeign(lease);
    if (isOpen) undecided++;
    for (const veth of veths) (isOpen ? candidates : explained).add(veth);
  }
  const open = [...candidates].filter((veth) => !explained.has(veth));
  if (open.length <= undecided) open.forEach((veth) => explained.add(veth));
  return explained;
}
