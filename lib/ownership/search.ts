import { isForeign, type Lease } from "../ipam.ts";
import type { ClaimKind, HostVeth } from "./claim.ts";
import type { Known } from "./identify.ts";

/** The kind of a lease's claim, and its veths. */
export interface Outcome {
  readonly kind: ClaimKind;
  readonly veths: readonly HostVeth[];
}

/** Finds the veth of a lease that no name, MAC or alias points to. `left` are the veths without a lease. */
export function search(lease: Lease, left: readonly Known[]): Outcome {
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
function isCandidate(lease: Lease, { relation, said, isNamed, veth }: Known): boolean {
  if (isForeign(lease)) return !isNamed && (relation !== "none" || isRecorded(lease, veth));
  // A veth with a readable alias and the matching name belongs to the attachment of the alias.
  return relation === "own" && !isNamed && veth.add === "none" &&
    (said === undefined || veth.inside !== undefined);
}

/** Whether a veth that can't be inspected may have the lease's address, so that the lease stays held. */
function mayHide(lease: Lease, veth: HostVeth): boolean {
  return !isForeign(lease) || !lease.record?.hostMac || isRecorded(lease, veth);
}

function isRecorded({ record }: Lease, { link }: HostVeth): boolean {
  return record?.hosts?.split(" ").includes(link.ifname) === true;
}
