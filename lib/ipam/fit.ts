import { contains, formatCidr, type Ip } from "../base/address.ts";
import { tryOwner } from "../base/attachment.ts";
import { CniError, quote } from "../base/errors.ts";
import type { NetworkName } from "../base/names.ts";
import { formatRanges, subnetsOf } from "../base/range.ts";
import type { LeaseRequest } from "./allocate.ts";
import { holderOf, type State } from "./state.ts";

/** The remedy for leases from another subnet. The harmless action comes first. */
export const SUBNET_CHANGED =
  "set the old subnet back, or put new containers into another network with its own name, bridge and subnet";

/**
 * Throws StateDamaged if a lease has an address outside of the subnets: a changed subnet can't be told from a damaged file.
 * Throws BridgeUnusable if a lease has the gateway's address. A lease with ranges of its own (`ipRanges`) may be outside.
 * If the file is as this program wrote it and the ranges are the same, an earlier run did the check already.
 */
export function checkFit(
  state: State,
  { sets, configuredSets }: Pick<LeaseRequest, "sets" | "configuredSets">,
  network: NetworkName,
  isWritten: boolean,
): void {
  const configured = formatRanges(configuredSets);
  const isKnown = state.ranges !== undefined && formatRanges(state.ranges) === configured;
  if (isWritten && isKnown && formatRanges(sets) === configured) return;
  const subnets = subnetsOf([...configuredSets, ...sets]);
  const hasOwnRanges = (ip: Ip) => state.leases[holderOf(state, ip) ?? ""]?.ranges !== undefined;
  const outside = (Object.keys(state.ipToContainer) as Ip[]).find((ip) =>
    !subnets.some((subnet) => contains(subnet, ip)) && !hasOwnRanges(ip)
  );
  if (outside !== undefined) {
    throw new CniError(
      "StateDamaged",
      `Cannot use the state of network "${network}" for ${
        subnets.map(formatCidr).join(", ")
      }: it holds ${outside}`,
      "atomicni repair < CONFIGURATION drops leases of containers that are gone, and fixes a damaged " +
        `file; if the subnet was changed under live containers: ${SUBNET_CHANGED}`,
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
    "if that container is gone: atomicni repair < CONFIGURATION drops its lease; if it lives: " +
      "set the old gateway back, or remove it first",
  );
}

/** Throws StateDamaged for a key that is not a valid owner, because no DEL would release its addresses. */
export function checkOwners(state: State, network: NetworkName): void {
  const key = Object.keys(state.containerToIP).find((it) => tryOwner(it) === undefined);
  if (key === undefined) return;
  throw new CniError(
    "StateDamaged",
    `Cannot use the state of network "${network}": the key ${
      quote(key)
    } is not a container and interface`,
    "atomicni repair < CONFIGURATION keeps the leases of containers",
  );
}
