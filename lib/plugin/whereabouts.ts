import {
  type Attachment,
  attachmentIn,
  hostVethName,
  isHostVethName,
  ownerKey,
} from "../base/attachment.ts";
import { isError } from "../base/errors.ts";
import type { InterfaceName } from "../base/names.ts";
import type { Link } from "../netops.ts";
import type { Claim } from "../ownership.ts";
import type { Effects } from "./effects.ts";

/** The container's namespace and interface in a DEL. */
export interface InterfacePlace {
  /** `undefined` if the runtime passes no namespace, because it is gone. */
  readonly netns: string | undefined;
  readonly ifname: InterfaceName;
}

/** Selects the claims that a DEL of this attachment removes. */
export async function isAbout(
  attachment: Attachment,
  place: InterfacePlace,
  claims: readonly Claim[],
  kernel: Effects["kernel"],
): Promise<(claim: Claim) => boolean> {
  const key = ownerKey(attachment);
  const host = await hostVethName(attachment);
  const old = claims.find(({ lease }) =>
    lease?.owner.containerId === attachment.containerId && lease.owner.ifname === undefined
  );
  const isOldOne = old !== undefined && await isOfInterface(old, place, kernel);
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

/**
 * The veth with the attachment's name but without a claim: from a killed ADD, or with an alias that root changed. `undefined` if
 * it belongs to another attachment, by a lease or because both have the same hash.
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

/** Whether a lease of the Go original belongs to this interface. The Go original recorded only the container ID. */
async function isOfInterface(
  { veths: [veth] }: Claim,
  { netns, ifname }: InterfacePlace,
  kernel: Effects["kernel"],
): Promise<boolean> {
  if (veth?.inside !== undefined) return veth.inside.peer.ifname === ifname;
  if (veth === undefined || netns === undefined) return true;
  // If the namespace can be entered, its interface of that name is not the peer of this veth, or does not exist.
  return !await canBeEntered(netns, ifname, kernel);
}

async function canBeEntered(
  netns: string,
  ifname: InterfaceName,
  kernel: Effects["kernel"],
): Promise<boolean> {
  const none = "lo" as InterfaceName; // only the container's interface matters
  try {
    await kernel.inspect({ bridge: none, host: none, netns, ifname, guarded: false });
    return true;
  } catch (error) {
    if (isError(error, "InvalidNetNS")) return false;
    throw error;
  }
}
