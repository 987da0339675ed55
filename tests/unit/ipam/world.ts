import { parseIp } from "../../../lib/base/address.ts";
import { aliasOf, hostVethName } from "../../../lib/base/attachment.ts";
import { parseMac } from "../../../lib/base/mac.ts";
import { parseContainerId, parseInterfaceName, parseNetworkName } from "../../../lib/base/names.ts";
import type { RangeSet } from "../../../lib/base/range.ts";
import {
  emptyState,
  type Evidence,
  type Holder,
  type LeaseRecord,
  type LeaseRequest,
  leasesIn,
  type State,
} from "../../../lib/ipam.ts";
import { damaged } from "../../../lib/ipam/damage.ts";
import { formatState } from "../../../lib/ipam/state.ts";
import { isWhole, type Origin, type Store } from "../../../lib/ipam/store.ts";
import { range } from "../sets.ts";

export const NETWORK = parseNetworkName("podnet");
export const SMALL: RangeSet[] = [[range("10.0.0.0/29", { start: "10.0.0.2", end: "10.0.0.3" })]];
export const DUAL: RangeSet[] = [[range("10.0.0.0/29")], [range("fd00::/125")]];
export const HOST_MAC = parseMac("fe:00:00:00:00:01");
export const RECORD: LeaseRecord = { since: "2026-01-01T00:00:00Z", hostMac: HOST_MAC };
const NEVER = new AbortController().signal;
export const ETH0 = parseInterfaceName("eth0");

export function request(id: string, changes: Partial<LeaseRequest> = {}): LeaseRequest {
  return {
    attachment: { network: NETWORK, containerId: parseContainerId(id), ifname: ETH0 },
    sets: SMALL,
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

/** A state in which each of these addresses is held by a container of its own. */
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

export interface World {
  /** IDs of containers whose host veth stands. */
  readonly live?: readonly string[];
  readonly holders?: readonly Holder[];
  readonly origin?: Origin;
  /** The state can't be read. */
  readonly isDamaged?: boolean;
  /** Host veths beside those of `live`: name and alias. */
  readonly veths?: readonly (readonly [string, string])[];
}

/** Leases in memory. */
export function opened(initial: State, world: World = {}) {
  let current = initial;
  let origin = world.origin ?? "changed";
  let isDamaged = world.isDamaged === true;
  const damage = damaged("/s/podnet.json", "it is empty");
  let looks = 0;
  const store: Store = {
    read: () => {
      if (isDamaged) throw damage;
      return structuredClone(current);
    },
    origin: () => origin,
    update: async (change, _stop, unreadable) => {
      if (isDamaged) {
        if (unreadable === undefined) throw damage;
        await unreadable.mustBeUnused(damage);
        unreadable.startedAnew("/s/podnet.json.damaged-1");
        isDamaged = false;
        origin = "missing";
      }
      const changed = structuredClone(current);
      const outcome = await change(changed, origin);
      if (outcome === false) return;
      current = changed;
      origin = isWhole(outcome, origin) ? "written" : "changed";
    },
    rebuild: () => Promise.resolve(undefined),
    sweep: () => Promise.resolve(),
    willUpdate: () => {},
    mustBeReadable: () => {},
    mustBeWritable: () => {},
  };
  const leases = leasesIn(store, NETWORK, NEVER);
  const veths = async () => {
    looks++;
    const live = await Promise.all(
      (world.live ?? []).map(async (id) => {
        const { attachment } = request(id);
        return [await hostVethName(attachment), aliasOf(attachment, undefined)] as const;
      }),
    );
    return new Map(
      [...live, ...world.veths ?? []].map((
        [ifname, alias],
      ) => [ifname, { ifname, alias, mac: HOST_MAC as string, master: "br0" }]),
    );
  };
  const warnings: string[] = [];
  const evidence: Evidence = {
    veths,
    holders: () => Promise.resolve(world.holders ?? []),
    warn: (sentence) => warnings.push(sentence),
  };
  return {
    leases,
    veths,
    evidence,
    warnings,
    looks: () => looks,
    held: () => current.containerToIP,
    state: () => current,
    reserve: (wanted: LeaseRequest) => leases.reserve(wanted, evidence),
  };
}

export const SEEN: Holder = {
  name: "c9/eth0",
  key: "c9/eth0",
  host: "av9",
  mac: HOST_MAC,
  ips: [parseIp("10.0.0.3")],
  isSeen: true,
};
