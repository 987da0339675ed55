import {
  DEFAULT_ROUTE,
  type Family,
  familyOf,
  formatCidr,
  type InterfaceAddress,
  type Ip,
  parseInterfaceAddress,
  tryIp,
} from "../base/address.ts";
import { isObject, type JsonObject } from "../base/fields.ts";

/** An address of an interface; link-local IPv6 addresses (fe80::/10) are left out. */
export interface LinkAddress extends InterfaceAddress {
  /** It comes from a router advertisement. */
  readonly isDynamic: boolean;
}

/** The settings of a bridge port; only with `-d`. */
export interface Port {
  readonly hairpin: boolean;
  readonly isolated: boolean;
  readonly learning: boolean;
  /** `undefined` if the kernel or `ip` is too old for locked ports. */
  readonly locked: boolean | undefined;
  /** The bridge treats frames to reserved group addresses like any other frame. */
  readonly forwardsReserved: boolean;
}

/** The link group if `ip` shows a name that this machine defines instead of the number. */
export const UNKNOWN_GROUP = -1;

/** A network interface as `ip -d -j addr show` or `link show` lists it. Fields that the output lacks are empty. */
export interface Link {
  readonly ifindex: number;
  readonly ifname: string;
  /** Further names by which the kernel finds it. */
  readonly altnames: readonly string[];
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly promiscuous: boolean;
  readonly master: string;
  readonly alias: string;
  /** 0 is the default group; `UNKNOWN_GROUP` if `ip` shows a name. */
  readonly group: number;
  /** `bridge`, `veth`, …; only with `-d`. */
  readonly kind: string;
  /** Number of the peer's namespace; `undefined` if the peer is in this namespace. */
  readonly netnsId: number | undefined;
  readonly peerIndex: number | undefined;
  readonly port: Port;
  readonly bridge: Bridge;
  readonly addresses: readonly LinkAddress[];
}

/** The settings of a bridge; only with `-d`. */
export interface Bridge {
  /** The bridge has no port and no fixed MAC; its first port will change its MAC. */
  readonly followsPorts: boolean;
  readonly stp: boolean;
  /** It sends multicast only to ports that subscribed to the group (mcast_snooping). */
  readonly snoops: boolean;
  /** It filters VLANs and assigns no VLAN to new ports, so it drops their frames. */
  readonly dropsUntagged: boolean;
}

/** fe80::/10, as the kernel writes it. */
const LINK_LOCAL = /^fe[89ab][0-9a-f]:/;

export function parseLink(raw: JsonObject): Link {
  const flags = Array.isArray(raw["flags"]) ? raw["flags"] : [];
  const info = isObject(raw["linkinfo"]) ? raw["linkinfo"] : {};
  const data = isObject(info["info_data"]) ? info["info_data"] : {};
  const port = isObject(info["info_slave_data"]) ? info["info_slave_data"] : {};
  const { locked } = port;
  return {
    ifindex: number(raw["ifindex"]) ?? 0,
    ifname: text(raw["ifname"]),
    altnames: Array.isArray(raw["altnames"]) ? raw["altnames"].map(text) : [],
    mac: text(raw["address"]),
    mtu: number(raw["mtu"]) ?? 0,
    up: flags.includes("UP"),
    promiscuous: flags.includes("PROMISC"),
    master: text(raw["master"]),
    alias: text(raw["ifalias"]),
    group: groupIn(text(raw["group"])),
    kind: text(info["info_kind"]),
    netnsId: number(raw["link_netnsid"]),
    peerIndex: number(raw["link_index"]),
    port: {
      hairpin: port["hairpin"] === true,
      isolated: port["isolated"] === true,
      learning: port["learning"] !== false,
      locked: typeof locked === "boolean" ? locked : undefined,
      forwardsReserved: port["group_fwd_mask"] === "0xfffd",
    },
    bridge: {
      followsPorts: /\.0:0:0:0:0:0$/.test(text(data["bridge_id"])),
      stp: Number(data["stp_state"] ?? 0) !== 0,
      snoops: Number(data["mcast_snooping"] ?? 0) !== 0,
      dropsUntagged: Number(data["vlan_filtering"] ?? 0) !== 0 && data["vlan_default_pvid"] === 0,
    },
    addresses: list(raw["addr_info"]).flatMap(parseAddress),
  };
}

function groupIn(shown: string): number {
  if (shown === "" || shown === "default") return 0;
  return /^\d+$/.test(shown) ? Number(shown) : UNKNOWN_GROUP;
}

function parseAddress(raw: JsonObject): LinkAddress[] {
  const local = text(raw["local"]);
  const ip = LINK_LOCAL.test(local) ? undefined : tryIp(local);
  const prefix = number(raw["prefixlen"]);
  if (ip === undefined || prefix === undefined) return [];
  return [{ ip, prefix, isDynamic: raw["dynamic"] === true }];
}

/** A unicast route as `ip -N -j route show` lists it. */
export interface RouteFound {
  /** Includes the prefix length: `0.0.0.0/0` is the default route. */
  readonly dst: string;
  readonly gw: Ip | undefined;
  readonly dev: string;
  readonly table: number;
  /** It comes from a router advertisement. */
  readonly isDynamic: boolean;
}

/** The number of the table `main`, the default table. */
export const MAIN_TABLE = 254;
/** The kernel's table for local and broadcast addresses. */
export const LOCAL_TABLE = 255;
const UNICAST = [undefined, "unicast", "1"];
/** The number of the protocol `ra`. */
const ROUTER_ADVERTISEMENT = ["ra", "9"];

/** The unicast routes in one entry: one per next hop, none for local, broadcast and multicast entries. */
export function parseRoutes(raw: JsonObject): RouteFound[] {
  const { type, dst, table = MAIN_TABLE, protocol } = raw;
  if (!UNICAST.includes(type as string | undefined)) return [];
  const hops = list(raw["nexthops"]);
  return (hops.length > 0 ? hops : [raw]).flatMap((hop) => {
    const gw = tryIp(text(hop["gateway"]));
    const target = destination(text(dst), gw, raw);
    return target === undefined ? [] : [{
      dst: target,
      gw,
      dev: text(hop["dev"]) || text(raw["dev"]),
      table: table === "main" ? MAIN_TABLE : Number(table),
      isDynamic: ROUTER_ADVERTISEMENT.includes(String(protocol)),
    }];
  });
}

/** `ip` shows `default` in both families. Without a gateway the family follows from `pref`, which only IPv6 routes have. */
function destination(dst: string, gw: Ip | undefined, raw: JsonObject): string | undefined {
  if (dst === "default") {
    const family: Family = gw === undefined ? (raw["pref"] === undefined ? 4 : 6) : familyOf(gw);
    return formatCidr(DEFAULT_ROUTE[family]);
  }
  const host = tryIp(dst);
  if (host !== undefined) return `${host}/${familyOf(host) === 4 ? 32 : 128}`;
  try {
    const { ip, prefix } = parseInterfaceAddress(dst);
    return `${ip}/${prefix}`;
  } catch {
    return undefined;
  }
}

/** A neighbour, or with `ip -B` an entry of a bridge's forwarding table, which has no IP address. */
export interface Neighbour {
  readonly ip: Ip | undefined;
  readonly mac: string;
  readonly dev: string;
  /** It was configured, or is the MAC of an interface: it was not learned. */
  readonly isFixed: boolean;
}

export function parseNeighbour(raw: JsonObject): Neighbour {
  const states = Array.isArray(raw["state"]) ? raw["state"] : [];
  return {
    ip: tryIp(text(raw["dst"])),
    mac: text(raw["lladdr"]),
    dev: text(raw["dev"]),
    isFixed: states.includes("PERMANENT") || states.includes("NOARP"),
  };
}

function list(value: unknown): JsonObject[] {
  return Array.isArray(value) ? value.filter(isObject) : [];
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
