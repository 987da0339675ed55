import { parseIp } from "../../../lib/base/address.ts";
import { parseMac } from "../../../lib/base/mac.ts";
import { parseContainerId, parseInterfaceName, parseNetworkName } from "../../../lib/base/names.ts";
import type { RangeSet } from "../../../lib/base/range.ts";
import { emptyState, type LeaseRecord, type LeaseRequest, type State } from "../../../lib/ipam.ts";
import { formatState } from "../../../lib/ipam/state.ts";
import { range } from "../sets.ts";

export const NETWORK = parseNetworkName("podnet");
export const SMALL: RangeSet[] = [[range("10.0.0.0/29", { start: "10.0.0.2", end: "10.0.0.3" })]];
export const DUAL: RangeSet[] = [[range("10.0.0.0/29")], [range("fd00::/125")]];
export const HOST_MAC = parseMac("fe:00:00:00:00:01");
export const RECORD: LeaseRecord = { since: "2026-01-01T00:00:00Z", hostMac: HOST_MAC };
export const ETH0 = parseInterfaceName("eth0");

/** A request on a network with the range sets `sets`. `changes` replaces values for this attachment. */
export function request(
  id: string,
  sets: readonly RangeSet[] = SMALL,
  changes: Partial<LeaseRequest> = {},
): LeaseRequest {
  return {
    attachment: { network: NETWORK, containerId: parseContainerId(id), ifname: ETH0 },
    sets,
    configuredSets: sets,
    hostMac: HOST_MAC,
    since: "2026-01-01T00:00:00Z",
    requestedIps: [],
    requestedMac: undefined,
    pod: undefined,
    bridge: parseInterfaceName("br0"),
    guarded: false,
    bridgeMac: "0a:58:0a:00:00:01",
    ...changes,
  };
}

/** A state in which each of these addresses belongs to a separate container. */
export function state(last: string, ...held: string[]): State {
  return {
    ...emptyState(),
    lastReserved: last === "" ? [] : [parseIp(last)],
    containerToIP: Object.fromEntries(held.map((ip) => [holderOf(ip), ip])),
    ipToContainer: Object.fromEntries(held.map((ip) => [ip, holderOf(ip)])),
  };
}

/** The text of the state's file. */
export function formatted(state: State): string {
  return formatState(state).map((piece) => new TextDecoder().decode(piece)).join("");
}

function holderOf(ip: string): string {
  return `c${ip.replaceAll(":", "-")}/eth0`;
}
