import type { Ip } from "../base/address.ts";
import { ownerKey, podIn } from "../base/attachment.ts";
import { isLayer2HostMac, layer2Mac, parseMac } from "../base/mac.ts";
import type { NetworkName } from "../base/names.ts";
import { containerMac, type Held, hostsOf, isRunning, type Lease } from "../ipam.ts";
import type { Link } from "../netops.ts";
import type { Claim, HostVeth, Subject } from "../ownership.ts";
import type { StateWord } from "./state_words.ts";

/** An attachment as every command shows it: a lease, a host veth, or both. */
export interface ShownAttachment {
  readonly network: NetworkName;
  readonly dataDir: string;
  /** Empty if neither a lease nor an alias names it. */
  readonly containerId: string;
  /** Empty if the Go original made the lease. */
  readonly ifname: string;
  readonly pod: string | undefined;
  readonly ips: readonly Ip[];
  /** The MAC of the container; `undefined` if another program made the lease. */
  readonly mac: string | undefined;
  /** The host veth, or the names of the candidates. */
  readonly veth: string;
  /** UTC; `undefined` if the Go original made the lease. */
  readonly since: string | undefined;
  readonly guarded: boolean;
  readonly state: StateWord;
  /** The host veth of the attachment, or a candidate for it, exists; `undefined` if `ip` failed. */
  readonly live: boolean | undefined;
  readonly link: Link | undefined;
}

/** A network with its state files and its bridge, and the interfaces of the host. */
export interface Place extends Subject {
  readonly dataDir: string;
  /** The readable state files: none, one, or several if another folder has a copy. */
  readonly held: readonly Held[];
  /** The leases of those files. */
  readonly leases: readonly Lease[];
  readonly isUnreadable: boolean;
  /** The network has or had a state file. */
  readonly hasState: boolean;
  /** Every interface of the host; `undefined` if `ip` failed. */
  readonly links: readonly Link[] | undefined;
}

/** The row of a claim. Without `links`, the claim has a lease, and nothing is known about its veth. */
export async function attachedBy(claim: Claim, place: Place): Promise<ShownAttachment> {
  const { lease, veths, attachment } = claim;
  const { name, dataDir, links } = place;
  const [first] = veths;
  const hosts = first === undefined && lease !== undefined
    ? await hostsOf(lease, name)
    : veths.map(({ link }) => link.ifname);
  const { containerId = "", ifname = "" } = lease?.owner ?? attachment ?? {};
  return {
    network: name,
    dataDir,
    ips: lease?.ips ?? [],
    mac: lease && containerMac(lease),
    since: lease?.record?.since,
    containerId,
    ifname,
    pod: lease?.record?.pod ?? (first && podIn(first.link.alias)),
    guarded: lease?.record?.guarded ?? first?.link.port.locked === true,
    veth: hosts.join(" or "),
    state: stateOf(claim, place),
    live: links && first !== undefined,
    link: first?.link,
  };
}

function stateOf({ kind, lease, veths: [veth] }: Claim, place: Place): StateWord {
  const { bridge, links } = place;
  if (links === undefined) return "unknown";
  if (kind === "stale" || kind === "undecided" || kind === "superseded") return kind;
  if (veth === undefined) return "undecided";
  if (isRunning(veth.add)) return "starting";
  if (lease === undefined && !isLayer2Attachment(veth, place)) return "no lease";
  const { master, up, port } = veth.link;
  const isElsewhere = master === "" || (bridge !== undefined && master !== bridge);
  const isBridgeDown = links.find(({ ifname }) => ifname === master)?.up === false;
  if (!up || isElsewhere || isBridgeDown) return "cut off";
  if (lease?.record?.guarded === true && port.locked !== true) return "unguarded";
  return lease === undefined ? "layer 2" : "live";
}

/**
 * Whether the attachment was made without addresses. The MAC of its host veth has a mark, also if the inside can't be
 * inspected. 0.2.0 made no mark; its attachment has a network without a state file, and a MAC that is derived from the
 * host veth's MAC. A container can forge that, so it decides only the state word of a row without a lease.
 */
function isLayer2Attachment({ link, inside }: HostVeth, { hasState }: Place): boolean {
  if (isLayer2HostMac(link.mac)) return true;
  if (hasState || inside === undefined) return false;
  return inside.peer.addresses.length === 0 || inside.peer.mac === layer2Mac(parseMac(link.mac));
}

export function plainAttachment({ ips, link, ...row }: ShownAttachment) {
  return { ...row, bridge: link?.master || undefined, address: ips[0], addresses: ips };
}

export function plainLease({ owner, ips }: Pick<Lease, "owner" | "ips">) {
  return { owner: ownerKey(owner), address: ips[0], addresses: ips };
}
