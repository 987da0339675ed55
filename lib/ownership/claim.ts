import type { Attachment } from "../base/attachment.ts";
import type { NetworkName } from "../base/names.ts";
import type { Lease } from "../ipam.ts";
import type { SeenVeth } from "../netops.ts";

/** The network of a question. */
export interface Subject {
  readonly name: NetworkName;
  /** `undefined` if the configuration names no bridge. A veth on any bridge then counts. */
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
 * - `stale`: no veth in the kernel can use the lease's addresses; only this kind frees an address
 * - `undecided`: the lease may have any of the veths, or its veth can't be inspected; it counts as held
 * - `unleased`: a host veth of the network without a lease
 * - `adding`: the same while its ADD is in progress
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
