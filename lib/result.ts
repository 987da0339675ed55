import type { CniError } from "./base/errors.ts";
import { isAtLeast, shapeOf, type SpecVersion } from "./base/spec.ts";

/** One network interface of a result; host interfaces have no sandbox (rule R5). */
export interface Interface {
  readonly name: string;
  readonly mac?: string;
  readonly mtu?: number;
  readonly sandbox?: string;
  readonly socketPath?: string;
  readonly pciID?: string;
}

export interface Address {
  /** With prefix length; of either family. */
  readonly address: string;
  readonly gateway?: string;
  /** Index in the result's interfaces. */
  readonly interface?: number;
}

export interface ResultRoute {
  readonly dst: string;
  readonly gw?: string;
  readonly mtu?: number;
  readonly advmss?: number;
  readonly priority?: number;
  readonly table?: number;
  readonly scope?: number;
}

export interface Dns {
  readonly nameservers?: readonly string[];
  readonly domain?: string;
  readonly search?: readonly string[];
  readonly options?: readonly string[];
}

/** A result in the newest version's shape; printing converts it to an older one (rule R3). */
export interface Result {
  readonly interfaces: readonly Interface[];
  readonly ips: readonly Address[];
  readonly routes: readonly ResultRoute[];
  readonly dns: Dns;
}

export type Document = Readonly<Record<string, unknown>>;

/** The success document of an ADD in the request's version (SPEC §5, rules R3 to R8). */
export function resultDocument(cniVersion: SpecVersion, result: Result): Document {
  if (shapeOf(cniVersion) === "0.1") return oldest(cniVersion, result);
  const newest = isAtLeast(cniVersion, "1.1.0");
  const versioned = shapeOf(cniVersion) === "0.3";
  return {
    cniVersion,
    ...filled(
      "interfaces",
      result.interfaces.map((it) => newest ? it : pick(it, ["name", "mac", "sandbox"])),
    ),
    ...filled(
      "ips",
      result.ips.map((ip) => versioned ? { version: ipVersion(ip.address), ...ip } : ip),
    ),
    ...filled("routes", result.routes.map((route) => newest ? route : pick(route, ["dst", "gw"]))),
    ...(versioned || Object.keys(result.dns).length > 0 ? { dns: result.dns } : {}),
  };
}

/** 0.1.0 and 0.2.0: the first address of each family, its routes inside, no interfaces (rule R4). */
function oldest(cniVersion: SpecVersion, result: Result): Document {
  const side = (version: "4" | "6") => {
    const first = result.ips.find(({ address }) => ipVersion(address) === version);
    if (first === undefined) return undefined;
    const routes = result.routes.filter(({ dst }) => ipVersion(dst) === version);
    return {
      ip: first.address,
      ...(first.gateway !== undefined && { gateway: first.gateway }),
      ...filled("routes", routes.map((route) => pick(route, ["dst", "gw"]))),
    };
  };
  const ip4 = side("4");
  const ip6 = side("6");
  return { cniVersion, ...(ip4 && { ip4 }), ...(ip6 && { ip6 }), dns: result.dns };
}

/** Empty lists are left out (rule R7). */
function filled(key: string, list: readonly unknown[]): Document {
  return list.length > 0 ? { [key]: list } : {};
}

function pick(from: object, keys: readonly string[]): Document {
  return Object.fromEntries(Object.entries(from).filter(([key]) => keys.includes(key)));
}

function ipVersion(address: string): "4" | "6" {
  return address.includes(":") ? "6" : "4";
}

/** The error document (SPEC §5 "Error", rules X1 to X4). */
export function errorDocument(cniVersion: string, { code, message, details }: CniError): Document {
  return { cniVersion, code, msg: message, ...(details !== "" && { details }) };
}
