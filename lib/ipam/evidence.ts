import type { Ip } from "../base/address.ts";
import type { Attachment, Named } from "../base/attachment.ts";
import type { Lease } from "./state.ts";

/** The host veths that exist, by name; only asked for when a lease is in doubt. */
export type LookAtVeths = () => Promise<
  ReadonlyMap<string, Named & { readonly mac: string; readonly master: string }>
>;

/** Somebody who may have an address of the network, as the kernel has it. */
export interface Holder {
  /** The attachment, or the host veth of another plugin. */
  readonly name: string;
  /** Key of the attachment's lease; `undefined` for another plugin's veth. */
  readonly key: string | undefined;
  readonly host: string;
  /** The host veth's, which an ADD made up and its lease has. */
  readonly mac: string;
  /** The addresses that it has, as far as that was seen. */
  readonly ips: readonly Ip[];
  /** Whether it was seen, or can't be looked into and so can't be excluded. */
  readonly isSeen: boolean;
}

/** Takes back what a stale lease has left on the host, before its addresses are given to another. */
export type Forget = (stale: Lease) => Promise<void>;

/** What is asked of the kernel where the state alone is not enough. */
export interface Evidence {
  readonly veths: LookAtVeths;
  readonly forget?: Forget;
  /** Who beside that attachment may have an address. */
  readonly holders: (beside: Attachment | undefined) => Promise<readonly Holder[]>;
  /** Tells a person what was done without being asked. */
  readonly warn: (sentence: string) => void;
}
