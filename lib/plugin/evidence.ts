import {
  type Attachment,
  attachmentIn,
  hostVethName,
  isCutAlias,
  isHostVethName,
  ownerKey,
} from "../base/attachment.ts";
import { groupOf, type NetworkName } from "../base/names.ts";
import { givingRange, type RangeSet } from "../base/range.ts";
import type { Evidence, Holder } from "../ipam.ts";
import type { Inside, Link } from "../netops.ts";
import type { Effects } from "./effects.ts";
import { tryToForget } from "./neighbours.ts";

/** The network about which the kernel is asked. */
export interface Subject {
  readonly name: NetworkName;
  readonly bridge: string | undefined;
  /** What it gives; `undefined` where that is not known, and then any address counts. */
  readonly sets: readonly RangeSet[] | undefined;
}

/** What the kernel says where a network's state alone is not enough. */
export function evidenceOf(
  subject: Subject,
  { kernel, marks, warn }: Pick<Effects, "kernel" | "marks" | "warn">,
): Evidence {
  return {
    warn,
    veths: () => kernel.veths(),
    forget: (lease) => tryToForget(lease, subject.bridge, { kernel, warn }),
    holders: async (beside) => {
      const own = beside && await hostVethName(beside);
      const veths = [...(await kernel.veths()).values()].filter(({ ifname, netnsId }) =>
        ifname !== own && netnsId !== undefined
      );
      const found = veths.flatMap((link) => candidate(subject, link));
      const inside = await kernel.lookInside(found.map(({ link }) => link));
      return found.flatMap((it) => holder(subject, it, inside.get(it.link.ifname), marks));
    },
  };
}

/** A host veth behind which somebody may have an address of the network. */
interface Candidate {
  readonly link: Link;
  readonly attachment: Attachment | undefined;
  readonly isOurs: boolean;
}

/** Veths of the network, also by a name that somebody gave them, and those that another plugin has put into the bridge. */
function candidate({ name, bridge }: Subject, link: Link): Candidate[] {
  const attachment = attachmentIn(link.alias);
  if (attachment !== undefined) {
    return attachment.network === name ? [{ link, attachment, isOurs: true }] : [];
  }
  // Its group is left where somebody took name and alias away.
  const isOurs = isCutAlias(name, link.alias) || link.group === groupOf(name);
  if (isOurs) return [{ link, attachment, isOurs }];
  const isStranger = !isHostVethName(link.ifname) && link.master !== "" && link.master === bridge;
  return isStranger ? [{ link, attachment, isOurs }] : [];
}

function holder(
  { sets }: Subject,
  { link, attachment, isOurs }: Candidate,
  inside: Inside | undefined,
  marks: Effects["marks"],
): Holder[] {
  const one = (isSeen: boolean): Holder[] => [{
    name: attachment === undefined ? link.ifname : ownerKey(attachment),
    key: attachment && ownerKey(attachment),
    host: link.ifname,
    mac: link.mac,
    ips: inside?.peer.addresses.map(({ ip }) => ip) ?? [],
    isSeen,
  }];
  // What can't be looked into is no proof of absence, unless its ADD is still at work.
  if (inside === undefined) return isOurs && marks.of(link.ifname) === "running" ? [] : one(false);
  const { addresses } = inside.peer;
  // A container can take its address away, and have it again; one whose ADD has not ended may have had none yet.
  const counts = isOurs || sets === undefined
    ? addresses.length > 0 || (isOurs && marks.of(link.ifname) === "none")
    : addresses.some(({ ip }) => sets.some((set) => givingRange(set, ip) !== undefined));
  return counts ? one(true) : [];
}
