import { ownerKey } from "../base/attachment.ts";
import { CniError } from "../base/errors.ts";
import type { RangeSet } from "../base/range.ts";
import { checkOwners, NotAStateFile } from "../ipam.ts";
import { type Claim, mayHold, type Subject } from "../ownership.ts";
import type { Moment } from "./look.ts";

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
  const isMissing = provenance === "missing";
  throw new CniError(
    "StateDamaged",
    `Cannot ${isMissing ? "start" : "use"} the state of network "${name}"${
      isMissing ? " empty" : ""
    }: ${describe(claim, lost.length - 1)}`,
    {
      details:
        `${
          isMissing ? "its state file is gone" : "an older or emptied state file was put in place"
        }: atomicni repair < CONFIGURATION; if another plugin allocated the address: atomicni import; ` +
        `if nothing uses ${
          claim.veths.map(({ link }) => link.ifname).join(" or ")
        }: remove that container`,
    },
  );
}

/** Describes the possible owner of an address, and why its lease is in doubt. */
function describe({ kind, lease, attachment, veths }: Claim, others: number): string {
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
