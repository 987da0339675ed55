/** Which host veth belongs to which lease: the one answer for every command (docs/architecture.md, "Ownership"). */
import { type Attachment, attachmentIn, isHostVethName } from "./base/attachment.ts";
import { groupOf, type NetworkName } from "./base/names.ts";
import type { Lease } from "./ipam.ts";
import type { Link, SeenVeth } from "./netops.ts";
import { identify } from "./ownership/identify.ts";
import { settle } from "./ownership/settle.ts";

export { mayHold } from "./ownership/may_hold.ts";

/** The network that is asked about. */
export interface Subject {
  readonly name: NetworkName;
  /** `undefined` if the configuration has none: then a veth on any bridge counts. */
  readonly bridge: string | undefined;
}

/** A host veth as `kernel.view()` shows it, and whether an ADD of it is in progress or was killed. */
export interface HostVeth extends SeenVeth {
  readonly add: "none" | "running" | "died";
}

/** What the kernel shows at one moment. */
export type HostView = readonly HostVeth[];

/**
 * - `live`: the lease's host veth exists
 * - `superseded`: the lease is of an earlier ADD than the attachment's host veth
 * - `stale`: nothing in the kernel can answer for the lease; only this frees an address
 * - `undecided`: the lease may have any of the veths, or its veth can't be inspected; it counts as held
 * - `unleased`: a host veth of the network without a lease
 * - `adding`: the same while its ADD is in progress
 * - `stranger`: a veth on the bridge, or with an alias of the network, without further evidence that it is the network's
 */
export type ClaimKind =
  | "live"
  | "superseded"
  | "stale"
  | "undecided"
  | "unleased"
  | "adding"
  | "stranger";

export interface Claim {
  readonly kind: ClaimKind;
  /** `undefined` for `unleased`, `adding` and `stranger`. */
  readonly lease: Lease | undefined;
  /** One veth; none for `stale`; the candidates of `undecided`, in any number. */
  readonly veths: readonly HostVeth[];
  /** The lease's attachment, or without a lease the one that the alias names; `undefined` if there is none. */
  readonly attachment: Attachment | undefined;
}

/**
 * A claim for each lease, in their order, then one for each veth that none of them has. Veths of other networks have no
 * claim.
 *
 * Evidence that a veth is a lease's: its name is the hash of the owner, or the name that an imported lease recorded; its MAC
 * is the lease's `hostMac`; its alias names the owner, and its name, MAC or link group agrees. Two of the three outweigh one;
 * name against MAC is undecided. The inside is only the container's word: it tells an earlier lease from a later one and
 * finds the veth of another program's lease, but takes nothing from a lease that has evidence.
 */
export async function claims(
  { name, bridge }: Subject,
  leases: readonly Lease[],
  view: HostView,
): Promise<Claim[]> {
  const known = await Promise.all(view.map((veth) => identify({ name, bridge }, veth)));
  const { outcomes, explained } = await settle(name, leases, known);
  const own = leases.map((lease, index): Claim => {
    const { kind, veths } = outcomes[index] ?? { kind: "undecided", veths: [] };
    const { containerId, ifname } = lease.owner;
    const attachment = ifname === undefined ? undefined : { network: name, containerId, ifname };
    return { kind, lease, veths, attachment };
  });
  const others = known.filter(({ veth, relation }) => relation !== "none" && !explained.has(veth));
  return [
    ...own,
    ...others.map(({ veth, relation, said }): Claim => ({
      kind: relation === "near" ? "stranger" : veth.add === "running" ? "adding" : "unleased",
      lease: undefined,
      veths: [veth],
      attachment: said,
    })),
  ];
}

/** Selects the veths that `claims` can't place by name and MAC alone: `kernel.view()` has to inspect them. */
export function isInDoubt(
  { name, bridge }: Subject,
  leases: readonly Lease[],
): (link: Link) => boolean {
  const macs = new Set(leases.flatMap(({ record }) => record?.hostMac || []));
  const hosts = new Set(leases.flatMap(({ record }) => record?.hosts?.split(" ") ?? []));
  const group = groupOf(name);
  return ({ mac, group: linkGroup, ifname, alias, master, netnsId }) => {
    if (netnsId === undefined || macs.has(mac)) return false;
    const said = attachmentIn(alias);
    if (linkGroup === group || said?.network === name || hosts.has(ifname)) return true;
    const isOfOthers = said !== undefined && isHostVethName(ifname);
    return !isOfOthers && (bridge === undefined || master === bridge || isHostVethName(ifname));
  };
}
