import {
  DEFAULT_ROUTE,
  type Family,
  familyOf,
  formatCidr,
  formatInterfaceAddress,
  type InterfaceAddress,
  type Ip,
  isLinkLocal,
  parseInterfaceAddress,
  tryIp,
} from "../base/address.ts";
import { unlessMalformed } from "../base/errors.ts";
import { isObject, type JsonObject } from "../base/fields.ts";

/** An address of an interface; link-local IPv6 addresses (fe80::/10) are left out. */
export interface LinkAddress extends InterfaceAddress {
  /** It comes from a router advertisement. */
  readonly isDynamic: boolean;
}

/** The link group if `ip` shows a name that this machine defines instead of the number. */
export const UNKNOWN_GROUP = -1;

/** A network interface as `ip -d -j addr show` or `link show` lists it. Fields that the output lacks are empty. */
export type Link = Readonly<ReturnType<typeof parseLink>>;

export function parseLink(raw: JsonObject) {
  const flags = strings(raw["flags"]);
  const info = object(raw["linkinfo"]);
  const data = object(info["info_data"]);
  const port = object(info["info_slave_data"]);
  const { locked } = port;
  return {
    ifindex: number(raw["ifindex"]) ?? 0,
    ifname: text(raw["ifname"]),
    /** Further names by which the kernel finds it. */
    altnames: strings(raw["altnames"]),
    mac: text(raw["address"]),
    mtu: number(raw["mtu"]) ?? 0,
    up: flags.includes("UP"),
    promiscuous: flags.includes("PROMISC"),
    master: text(raw["master"]),
    alias: text(raw["ifalias"]),
    /** 0 is the default group; `UNKNOWN_GROUP` if `ip` shows a name. */
    group: groupIn(text(raw["group"])),
    /** `bridge`, `veth`, …; only with `-d`. */
    kind: text(info["info_kind"]),
    /** Number of the peer's namespace; `undefined` if the peer is in this namespace. */
    netnsId: number(raw["link_netnsid"]),
    peerIndex: number(raw["link_index"]),
    /** The settings of a bridge port; only with `-d`. */
    port: {
      hairpin: port["hairpin"] === true,
      isolated: port["isolated"] === true,
      learning: port["learning"] !== false,
      /** `undefined` if the kernel or `ip` is too old for locked ports. */
      locked: typeof locked === "boolean" ? locked : undefined,
      /** The bridge treats frames to reserved group addresses like any other frame. */
      forwardsReserved: port["group_fwd_mask"] === "0xfffd",
    },
    /** The settings of a bridge; only with `-d`. */
    bridge: {
      /** The bridge has no port and no fixed MAC; its first port will change its MAC. */
      followsPorts: /\.0:0:0:0:0:0$/.test(text(data["bridge_id"])),
      stp: Number(data["stp_state"] ?? 0) !== 0,
      /** It sends multicast only to ports that subscribed to the group (mcast_snooping). */
      snoops: Number(data["mcast_snooping"] ?? 0) !== 0,
      /** It filters VLANs and assigns no VLAN to new ports, so it drops their frames. */
      dropsUntagged: Number(data["vlan_filtering"] ?? 0) !== 0 && data["vlan_default_pvid"] === 0,
    },
    addresses: objects(raw["addr_info"]).flatMap(parseLinkAddress),
  };
}

function groupIn(shown: string): number {
  if (shown === "" || shown === "default") return 0;
  return /^\d+$/.test(shown) ? Number(shown) : UNKNOWN_GROUP;
}

function parseLinkAddress(raw: JsonObject): LinkAddress[] {
  const local = text(raw["local"]);
  const ip = isLinkLocal(local) ? undefined : tryIp(local);
  const prefix = number(raw["prefixlen"]);
  if (ip === undefined || prefix === undefined) return [];
  return [{ ip, prefix, isDynamic: raw["dynamic"] === true }];
}

/** The number of the table `main`, the default table. */
export const MAIN_TABLE = 254;
/** The kernel's table for local and broadcast addresses. */
export const LOCAL_TABLE = 255;
const UNICAST = [undefined, "unicast", "1"];
/** The number of the protocol `ra`. */
const ROUTER_ADVERTISEMENT = ["ra", "9"];

/** A unicast route as `ip -N -j route show` lists it. */
export type RouteFound = Readonly<ReturnType<typeof parseRoutes>[number]>;

/** The unicast routes in one entry: one per next hop, none for local, broadcast and multicast entries. */
export function parseRoutes(raw: JsonObject) {
  const { type, dst, table = MAIN_TABLE, protocol } = raw;
  if (!UNICAST.includes(type as string | undefined)) return [];
  const hops = objects(raw["nexthops"]);
  return (hops.length > 0 ? hops : [raw]).flatMap((hop) => {
    const gw = tryIp(text(hop["gateway"]));
    const target = destination(text(dst), gw, raw);
    return target === undefined ? [] : [{
      /** Includes the prefix length: `0.0.0.0/0` is the default route. */
      dst: target,
      gw,
      dev: text(hop["dev"]) || text(raw["dev"]),
      table: table === "main" ? MAIN_TABLE : Number(table),
      metric: number(raw["metric"]) ?? 0,
      /** It comes from a router advertisement: directly, or with an address that has a lifetime. */
      isDynamic: ROUTER_ADVERTISEMENT.includes(String(protocol)) || raw["expires"] !== undefined,
    }];
  });
}

/** `ip` shows `default` in both families. Without a gateway the family follows from `pref`, which only IPv6 routes have. */
function destination(dst: string, gw: Ip | undefined, raw: JsonObject): string | undefined {
  if (dst === "default") {
    const family: Family = gw === undefined ? (raw["pref"] === undefined ? 4 : 6) : familyOf(gw);
    return formatCidr(DEFAULT_ROUTE[family]);
  }
  const full = dst.includes("/") ? dst : `${dst}/${dst.includes(":") ? 128 : 32}`;
  const network = unlessMalformed(() => parseInterfaceAddress(full));
  return network && formatInterfaceAddress(network);
}

/** A neighbour, or with `ip -B` an entry of a bridge's forwarding table, which has no IP address. */
export type Neighbour = Readonly<ReturnType<typeof parseNeighbour>>;

export function parseNeighbour(raw: JsonObject) {
  const states = strings(raw["state"]);
  return {
    ip: tryIp(text(raw["dst"])),
    mac: text(raw["lladdr"]),
    dev: text(raw["dev"]),
    /** It was configured, or is the MAC of an interface: it was not learned. */
    isFixed: states.includes("PERMANENT") || states.includes("NOARP"),
    /** It was configured for a port's container. */
    isStatic: states.includes("NOARP"),
  };
}

function object(value: unknown): JsonObject {
  return isObject(value) ? value : {};
}

function objects(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(text) : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
