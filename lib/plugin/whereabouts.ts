import { type Attachment, attachmentIn, hostVethName, ownerKey } from "../base/attachment.ts";
import { isError } from "../base/errors.ts";
import type { InterfaceName } from "../base/names.ts";
import type { Link } from "../netops.ts";
import type { Claim } from "../ownership.ts";
import type { Effects } from "./effects.ts";

/** Where a DEL says that the container is. */
export interface Place {
  /** `undefined` if the runtime says that its namespace is gone. */
  readonly netns: string | undefined;
  readonly ifname: InterfaceName;
}

/** Selects the claims that a DEL of this attachment is about. */
export async function isAbout(
  attachment: Attachment,
  place: Place,
  claims: readonly Claim[],
  kernel: Effects["kernel"],
): Promise<(claim: Claim) => boolean> {
  const key = ownerKey(attachment);
  const old = claims.find(({ lease }) =>
    lease?.owner.containerId === attachment.containerId && lease.owner.ifname === undefined
  );
  const isOldOne = old !== undefined && await isOfInterface(old, place, kernel);
  return (claim) => {
    if (claim === old) return isOldOne;
    const { lease, attachment: said } = claim;
    if (lease !== undefined) return ownerKey(lease.owner) === key;
    return said?.network === attachment.network && ownerKey(said) === key;
  };
}

/**
 * The veth under the attachment's name that has no claim: of a killed ADD, or with an alias of root's own. `undefined` if it
 * belongs to another attachment, by a lease or because both have the same hash.
 */
export async function leftUnder(
  host: InterfaceName,
  { network, ...owner }: Attachment,
  claims: readonly Claim[],
  kernel: Effects["kernel"],
): Promise<Link | undefined> {
  const link = await kernel.link(host);
  if (link === undefined) return undefined;
  const isLeased = claims.some(({ kind, veths }) =>
    (kind === "live" || kind === "superseded") &&
    veths.some((veth) => veth.link.ifindex === link.ifindex)
  );
  const said = attachmentIn(link.alias);
  const isOwn = said?.network === network && ownerKey(said) === ownerKey(owner);
  const isOthers = said !== undefined && !isOwn && await hostVethName(said) === host;
  return isLeased || isOthers ? undefined : link;
}

/** The Go original recorded the container ID alone: it counts for the interface that its lease is of, and for no other. */
async function isOfInterface(
  { veths: [veth] }: Claim,
  { netns, ifname }: Place,
  kernel: Effects["kernel"],
): Promise<boolean> {
  if (veth?.inside !== undefined) return veth.inside.peer.ifname === ifname;
  if (veth === undefined || netns === undefined) return true;
  // The interface of that name has another veth, or there is none.
  return !await canBeEntered(netns, ifname, kernel);
}

async function canBeEntered(
  netns: string,
  ifname: InterfaceName,
  kernel: Effects["kernel"],
): Promise<boolean> {
  const none = "lo" as InterfaceName; // only the container's side is looked for
  try {
    await kernel.inspect({ bridge: none, host: none, netns, ifname, guarded: false });
    return true;
  } catch (error) {
    if (isError(error, "InvalidNetNS")) return false;
    throw error;
  }
}
