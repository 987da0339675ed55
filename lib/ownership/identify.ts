import {
  type Attachment,
  attachmentIn,
  hostVethName,
  isCutAlias,
  isHostVethName,
} from "../base/attachment.ts";
import { groupOf } from "../base/names.ts";
import type { HostVeth, Subject } from "./claim.ts";

/** A veth with the facts from its name, alias and link group. */
export interface Known {
  readonly veth: HostVeth;
  /** The attachment that the alias names. */
  readonly said: Attachment | undefined;
  /** Whether the name is the hash of that attachment. */
  readonly isNamed: boolean;
  /** `own`: of this network; `near`: of this network or of another program; `none`: of another network, or unrelated. */
  readonly relation: "own" | "near" | "none";
}

/** Reads the name, alias and link group of a veth. An alias alone proves nothing, because root may write any alias. */
export async function identify({ name, bridge }: Subject, veth: HostVeth): Promise<Known> {
  const { link } = veth;
  const said = attachmentIn(link.alias);
  const isNamed = said !== undefined && isHostVethName(link.ifname) &&
    await hostVethName(said) === link.ifname;
  const known = { veth, said, isNamed };
  if (isNamed) return { ...known, relation: said.network === name ? "own" : "none" };
  const isCut = isCutAlias(name, link.alias);
  const isOwn = link.group === groupOf(name) || (isCut && isHostVethName(link.ifname));
  if (isOwn) return { ...known, relation: "own" };
  const isOnBridge = link.master !== "" && link.master === (bridge ?? link.master);
  const isNear = link.netnsId !== undefined && (isOnBridge || isCut || said?.network === name);
  return { ...known, relation: isNear ? "near" : "none" };
}
