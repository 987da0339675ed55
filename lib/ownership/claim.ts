import {
  type Attachment,
  attachmentIn,
  isCutAlias,
  isHostVethName,
  isHostVethOf,
} from "../base/attachment.ts";
import { groupOf, type NetworkName } from "../base/names.ts";
import type { AddProgress, Lease } from "../ipam.ts";
import type { SeenVeth } from "../netops.ts";

/** The network that the claims are about. */
export interface Subject {
  readonly name: NetworkName;
  /** `undefined` if the configuration names no bridge. A veth on any bridge then counts. */
  readonly bridge: string | undefined;
}

/** A host veth as `kernel.view()` shows it, and whether an ADD of it is in progress or was killed. */
export interface HostVeth extends SeenVeth {
  readonly add: AddProgress;
}

/** What the kernel shows at one moment. */
export type HostView = readonly HostVeth[];

/**
 * - `live`: the lease's host veth exists
 * - `superseded`: the lease is of an earlier ADD than the attachment's host veth
 * - `stale`: no veth in the kernel can use the lease's addresses; an ADD and a GC reclaim only this kind
 * - `undecided`: the lease may have any of the veths, or its veth can't be inspected; it counts as held
 * - `unleased`: a host veth of the network without a lease, or with one that the state has lost
 * - `adding`: a host veth whose ADD is in progress and has no lease yet
 * - `unowned`: a veth that only its bridge or its alias ties to the network
 */
export type ClaimKind =
  | "live"
  | "superseded"
  | "stale"
  | "undecided"
  | "unleased"
  | "adding"
  | "unowned";

export interface Claim {
  readonly kind: ClaimKind;
  /** `undefined` for `unleased`, `adding` and `unowned`. */
  readonly lease: Lease | undefined;
  /** One veth; none for `stale`; the candidates of `undecided`, in any number. */
  readonly veths: readonly HostVeth[];
  /** The lease's attachment, or without a lease the one that the alias names; `undefined` if there is none. */
  readonly attachment: Attachment | undefined;
}

/** A veth with the facts from its name, alias and link group. */
export interface Known {
  readonly veth: HostVeth;
  /** The attachment that the alias names. */
  readonly inAlias: Attachment | undefined;
  /** Whether the veth's name proves the alias: it is the hash of that attachment. */
  readonly isProven: boolean;
  /** `own`: of this network; `near`: only its bridge or its alias ties it to this network; `none`: of another network, or unrelated. */
  readonly relation: "own" | "near" | "none";
}

/** Reads the name, alias and link group of a veth. An alias alone proves nothing, because root may write any alias. */
export async function identify({ name, bridge }: Subject, veth: HostVeth): Promise<Known> {
  const { link } = veth;
  const inAlias = attachmentIn(link.alias);
  const isProven = inAlias !== undefined && await isHostVethOf(inAlias, link.ifname);
  const known = { veth, inAlias, isProven };
  if (isProven) return { ...known, relation: inAlias.network === name ? "own" : "none" };
  const isCut = isCutAlias(name, link.alias);
  const isOwn = link.group === groupOf(name) || (isCut && isHostVethName(link.ifname));
  if (isOwn) return { ...known, relation: "own" };
  const isOnBridge = link.master !== "" && link.master === (bridge ?? link.master);
  const isNear = link.netnsId !== undefined && (isOnBridge || isCut || inAlias?.network === name);
  return { ...known, relation: isNear ? "near" : "none" };
}
