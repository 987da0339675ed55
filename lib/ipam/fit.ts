import { contains, formatCidr, type Ip } from "../base/address.ts";
import { type Attachment, attachmentOf, hostVethName, tryOwner } from "../base/attachment.ts";
import { CniError, quote } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import { formatRanges, type RangeSet, subnetsOf } from "../base/range.ts";
import type { Evidence, Holder } from "./evidence.ts";
import { isOfEarlierAdd } from "./lease.ts";
import { findLease, holderOf, type State } from "./state.ts";
import type { Origin } from "./store.ts";

/** What to do about leases that another subnet's configuration gave; what hurts nobody comes first. */
export const SUBNET_CHANGED =
  "set the old subnet back, or give new containers another network, with a name, a bridge and a subnet of its own";

/**
 * Leases that another subnet's configuration gave can't be told from damage, so nothing is given beside them; nor where a
 * container has what is now the gateway. What was given last was given for these ranges, beside leases looked at then.
 */
export function checkFit(
  state: State,
  sets: readonly RangeSet[],
  network: NetworkName,
  origin: Origin,
): void {
  const isKnown = state.ranges !== undefined && formatRanges(state.ranges) === formatRanges(sets);
  if (origin === "written" && isKnown) return;
  const subnets = subnetsOf(sets);
  const held = Object.keys(state.ipToContainer) as Ip[];
  const outside = held.find((ip) => !subnets.some((subnet) => contains(subnet, ip)));
  if (outside !== undefined) {
    throw new CniError(
      "StateDamaged",
      `Cannot use the state of network "${network}" for ${
        subnets.map(formatCidr).join(", ")
      }: it holds ${outside}`,
      {
        details: `the subnet was changed while containers had addresses: ${SUBNET_CHANGED}; ` +
          "or the file is damaged (atomicni repair < CONFIGURATION)",
      },
    );
  }
  const gateway = sets.flat().map((range) => range.gateway).find((ip) =>
    holderOf(state, ip) !== undefined
  );
  if (gateway === undefined) return;
  throw new CniError(
    "BridgeUnusable",
    `Cannot use "${gateway}" as the gateway of network "${network}": "${
      holderOf(state, gateway)
    }" holds it`,
    { details: "set the old gateway back, or remove that container first" },
  );
}

/**
 * A file that this program did not write last may be an older copy or an emptied one, and no file at all may have been one
 * that was removed: who may have an address and no lease keeps another from being given.
 */
export async function checkWhole(
  state: State,
  origin: Origin,
  network: NetworkName,
  { holders }: Evidence,
  beside: Attachment | undefined,
  listed: readonly string[] = [],
): Promise<void> {
  const stranger = Object.keys(state.containerToIP).find((key) => tryOwner(key) === undefined);
  if (stranger !== undefined) {
    throw new CniError(
      "StateDamaged",
      `Cannot use the state of network "${network}": ${
        quote(stranger)
      } in it is no container and interface`,
      { details: "atomicni repair < CONFIGURATION keeps what belongs to a container" },
    );
  }
  const known = new Set([...Object.keys(state.containerToIP), ...listed]);
  const isEarlier = ({ key = "", mac, ips }: Holder): boolean => {
    const owner = tryOwner(key);
    const lease = owner && findLease(state, owner);
    return lease !== undefined && !listed.includes(key) && isOfEarlierAdd(lease, mac, ips);
  };
  const imported = new Set(
    Object.values(state.leases).flatMap(({ hosts }) => hosts?.split(" ") ?? []),
  );
  // A run made it up, and a lease has it: whatever became of name and alias.
  const hostMacs = new Set(Object.values(state.leases).map(({ hostMac }) => hostMac));
  const lost = (await holders(beside)).filter((it) =>
    it.key === undefined
      ? !imported.has(it.host) && !hostMacs.has(it.mac) && listed.length === 0
      : !known.has(it.key) || isEarlier(it)
  );
  const [holder, ...more] = lost;
  if (holder === undefined) return;
  const others = more.length === 0 ? "" : ` and ${more.length} more`;
  const [holds, is, lacks] = more.length === 0 ? ["holds", "is", "has"] : ["hold", "are", "have"];
  const does = !holder.isSeen
    ? "may hold an address and can't be looked into"
    : holder.ips.length > 0
    ? `${holds} an address`
    : `${is} attached`;
  const has = isEarlier(holder) ? "its lease is of an earlier ADD" : `${lacks} no lease`;
  const file = origin === "missing"
    ? "its state file is gone"
    : "an older or emptied state file was put in place";
  throw new CniError(
    "StateDamaged",
    `Cannot ${origin === "missing" ? "start" : "use"} the state of network "${network}"${
      origin === "missing" ? " anew" : ""
    }: "${holder.name}"${others} ${does}, and ${has}`,
    {
      details:
        `${file}: atomicni repair < CONFIGURATION; where another plugin gave the address: atomicni import; ` +
        `where it is nobody's (${holder.host}): remove that container`,
    },
  );
}

/** A damaged file is begun anew only where no host veth stands that could be of the network: then nobody has an address. */
export async function mustBeUnused(
  damage: unknown,
  network: NetworkName,
  { veths, holders }: Evidence,
  beside: Attachment | undefined,
): Promise<void> {
  const own = beside && await hostVethName(beside);
  for (const link of (await veths()).values()) {
    if (link.ifname !== own && (await attachmentOf(link))?.network === network) throw damage;
  }
  if ((await holders(beside)).length > 0) throw damage;
}
