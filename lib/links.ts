import { isObject, type JsonObject } from "./fields.ts";
import { formatInterfaceAddress, parseInterfaceAddress, tryIpv4 } from "./ipv4.ts";

/** A network interface as `ip -d -j addr show` or `link show` lists it. What the output lacks is empty. */
export interface Link {
  readonly ifindex: number;
  readonly ifname: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly promiscuous: boolean;
  readonly master: string;
  readonly alias: string;
  /** `bridge`, `veth`, …; only with `-d`. */
  readonly kind: string;
  /** Number of the peer's namespace; absent where the peer is in this one. */
  readonly netnsId: number | undefined;
  readonly peerIndex: number | undefined;
  readonly hairpin: boolean;
  readonly isolated: boolean;
  /** IPv4 addresses with prefix length. */
  readonly addresses: readonly string[];
}

export function parseLink(raw: JsonObject): Link {
  const flags = Array.isArray(raw["flags"]) ? raw["flags"] : [];
  const info = isObject(raw["linkinfo"]) ? raw["linkinfo"] : {};
  const port = isObject(info["info_slave_data"]) ? info["info_slave_data"] : {};
  return {
    ifindex: number(raw["ifindex"]) ?? 0,
    ifname: text(raw["ifname"]),
    mac: text(raw["address"]),
    mtu: number(raw["mtu"]) ?? 0,
    up: flags.includes("UP"),
    promiscuous: flags.includes("PROMISC"),
    master: text(raw["master"]),
    alias: text(raw["ifalias"]),
    kind: text(info["info_kind"]),
    netnsId: number(raw["link_netnsid"]),
    peerIndex: number(raw["link_index"]),
    hairpin: port["hairpin"] === true,
    isolated: port["isolated"] === true,
    addresses: (Array.isArray(raw["addr_info"]) ? raw["addr_info"] : []).flatMap((it: unknown) => {
      if (!isObject(it) || it["family"] !== "inet") return [];
      return [`${text(it["local"])}/${number(it["prefixlen"]) ?? 32}`];
    }),
  };
}

/** A unicast route as `ip -j route show` lists it. */
export interface RouteFound {
  /** With prefix length: `0.0.0.0/0` for the default route. */
  readonly dst: string;
  readonly gw: string;
  readonly dev: string;
  readonly table: string;
}

/** `undefined` for what the kernel keeps for itself: local, broadcast and multicast routes. */
export function parseRouteFound(raw: JsonObject): RouteFound | undefined {
  if (raw["type"] !== undefined && raw["type"] !== "unicast") return undefined;
  const dst = text(raw["dst"]);
  return {
    dst: dst === "default" ? "0.0.0.0/0" : tryIpv4(dst) === undefined ? dst : `${dst}/32`,
    gw: text(raw["gateway"]),
    dev: text(raw["dev"]),
    table: raw["table"] === undefined ? "main" : String(raw["table"]),
  };
}

/** `text` as addresses compare: parsed and printed again. */
export function sameAddress(left: string, right: string): boolean {
  return normal(left) === normal(right);
}

function normal(address: string): string {
  try {
    return formatInterfaceAddress(parseInterfaceAddress(address));
  } catch {
    return address.toLowerCase();
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number | undefined {
  return typeof value === "number" ? value : undefined;
}
