import {
  formatCidr,
  formatInterfaceAddress,
  type InterfaceAddress,
  type Ip,
  parseInterfaceAddress,
  tryIp,
} from "../base/address.ts";
import { isHostVethName } from "../base/attachment.ts";
import type { InterfaceName } from "../base/names.ts";
import { isInSubnets } from "../base/range.ts";
import type { NetworkConfig, Route } from "../config.ts";
import { containerMac, type Lease } from "../ipam.ts";
import {
  guardedIps,
  hasEntries,
  type Link,
  MAIN_TABLE,
  type RouteFound,
  type Seen,
} from "../netops.ts";
import type { Interface, Result } from "../result.ts";
import { routesOf } from "./result_of.ts";

/** The expected values of an attachment, for CHECK. */
export interface Expected {
  readonly config: NetworkConfig;
  readonly prevResult: Result;
  readonly host: InterfaceName;
  readonly ifname: InterfaceName;
  readonly netns: string;
  /** The lease; `undefined` if the state has none. */
  readonly lease: Lease | undefined;
}

/** One line for each difference between the ADD's result and the kernel; the configuration has the keys that a result lacks. */
export function differences(expected: Expected, seen: Seen): string[] {
  return [
    ...bridgeDifferences(expected, seen.bridge),
    ...hostDifferences(expected, seen),
    ...insideDifferences(expected, seen.inside),
    ...leaseDifferences(expected),
    ...routeDifferences(expected, seen),
    ...guardDifferences(expected, seen),
  ];
}

/** One line if a value is expected and the found one differs. */
function differ(what: string, expected: unknown, found: unknown): string[] {
  const isSame = expected === undefined || expected === found;
  return isSame ? [] : [`${what}: expected ${expected}, found ${found}`];
}

/** Compares the MAC and MTU of an interface if the result has them (rule K2). */
function listedDifferences(listed: Interface | undefined, { ifname, mac, mtu }: Link) {
  return [
    ...differ(`MAC of ${ifname}`, listed?.mac?.toLowerCase(), mac),
    ...differ(`MTU of ${ifname}`, listed?.mtu, mtu),
  ];
}

function addressDifferences({ ifname, addresses }: Link, wanted: readonly string[]): string[] {
  const there = addresses.map(formatInterfaceAddress);
  return wanted.filter((it) => !there.includes(respelt(it))).map((it) =>
    `address of ${ifname}: expected ${it}, found ${there.join(", ") || "none"}`
  );
}

function bridgeDifferences(expected: Expected, bridge: Link | undefined): string[] {
  const { config, prevResult } = expected;
  const name = config.bridge;
  if (bridge === undefined) return [`bridge ${name}: expected a bridge, found none`];
  const listed = prevResult.interfaces.find((it) => it.name === name && it.sandbox === undefined);
  return [
    ...differ(`kind of ${name}`, "bridge", bridge.kind),
    ...differ(`state of ${name}`, "up", upOrDown(bridge)),
    ...addressDifferences(bridge, listedGateways(expected).map(formatInterfaceAddress)),
    ...(config.promiscuous ? differ(`promiscuous mode of ${name}`, true, bridge.promiscuous) : []),
    // Without the MTU, because the kernel changes a bridge's MTU with its ports.
    ...differ(`MAC of ${name}`, listed?.mac?.toLowerCase(), bridge.mac),
  ];
}

function hostDifferences(
  { config, prevResult, host, ifname }: Expected,
  { host: found, inside }: Seen,
): string[] {
  if (found === undefined) {
    return [`host veth ${host}: expected a veth in ${config.bridge}, found none`];
  }
  const listed = prevResult.interfaces.find((it) =>
    it.sandbox === undefined && isHostVethName(it.name)
  );
  const isPeer = inside === undefined ||
    (found.peerIndex === inside.ifindex && inside.peerIndex === found.ifindex);
  return [
    ...differ("host veth", listed?.name, host),
    ...differ(`kind of ${host}`, "veth", found.kind),
    ...(isPeer ? [] : [
      `other end of ${host}: expected ${ifname} (interface ${inside.ifindex}), found interface ${found.peerIndex}`,
    ]),
    ...differ(`master of ${host}`, config.bridge, found.master || "none"),
    ...differ(`state of ${host}`, "up", upOrDown(found)),
    ...(config.hairpin ? differ(`hairpin mode of ${host}`, true, found.port.hairpin) : []),
    ...(config.isolated ? differ(`isolation of ${host}`, true, found.port.isolated) : []),
    ...listedDifferences(listed?.name === host ? listed : undefined, found),
  ];
}

function insideDifferences(
  { config, prevResult, ifname, netns }: Expected,
  inside: Link | undefined,
): string[] {
  if (inside === undefined) return [`interface ${ifname}: expected in ${netns}, found none`];
  const index = prevResult.interfaces.findIndex((it) =>
    it.name === ifname && it.sandbox !== undefined
  );
  const listed = prevResult.interfaces[index];
  const ips = prevResult.ips.filter((it) => it.interface === undefined || it.interface === index);
  return [
    ...differ(`sandbox of ${ifname}`, listed?.sandbox, netns),
    ...(config.containerUp ? differ(`state of ${ifname}`, "up", upOrDown(inside)) : []),
    ...listedDifferences(listed, inside),
    ...addressDifferences(inside, ips.map(({ address }) => address)),
  ];
}

/** The address in the spelling of this program; a result may use another spelling. */
function respelt(address: string): string {
  return formatInterfaceAddress(parseInterfaceAddress(address));
}

function upOrDown({ up }: Link): string {
  return up ? "up" : "down";
}

function leaseDifferences(expected: Expected): string[] {
  const { lease, config } = expected;
  const held = lease?.ips ?? [];
  return listedAddresses(expected).filter(({ ip }) => !held.includes(ip)).map(({ ip }) =>
    `lease in network ${config.name}: expected ${ip}, found ${held.join(", ") || "none"}`
  );
}

/** The network's addresses in `prevResult`. Later plugins may have added or removed addresses (rule K2). */
function listedAddresses({ config, prevResult, ifname }: Expected) {
  return prevResult.ips.flatMap((it) => {
    const { ip, prefix } = parseInterfaceAddress(it.address);
    const on = it.interface === undefined ? undefined : prevResult.interfaces[it.interface];
    const isOn = on === undefined || (on.name === ifname && on.sandbox !== undefined);
    const gateway = it.gateway === undefined ? undefined : tryIp(it.gateway);
    return isOn && isInSubnets(config.sets, ip) ? [{ ip, prefix, gateway }] : [];
  });
}

/** The bridge's gateways in the result. The present configuration may have more. */
function listedGateways(expected: Expected): InterfaceAddress[] {
  if (!expected.config.gatewayOnBridge) return [];
  return listedAddresses(expected).flatMap(({ gateway: ip, prefix }) =>
    ip === undefined ? [] : [{ ip, prefix }]
  );
}

/**
 * Compares the routes of the result that are configured or lead through this network's subnets. Later plugins may have added
 * other routes (rule K2). Routes that were configured after the ADD are not in the result, and are not compared.
 */
function routeDifferences(
  { config, prevResult, ifname, lease }: Expected,
  { inside, routes }: Seen,
): string[] {
  if (inside === undefined) return [];
  const configured = routesOf(config, lease?.ips ?? []);
  return prevResult.routes.flatMap(({ dst, gw = "" }) => {
    const target = respelt(dst);
    const gateway = tryIp(gw);
    const own = configured.filter((it) => formatCidr(it.dst) === target && it.gw === gateway);
    if (own.length > 0) return own.flatMap((route) => configuredRoute(route, ifname, routes));
    if (gateway === undefined || !isInSubnets(config.sets, gateway)) return [];
    const isThere = routes.some((it) => it.dst === target && it.gw === gateway);
    return isThere ? [] : [`route to ${dst}: expected via ${gw} on ${ifname}, found none`];
  });
}

function configuredRoute(
  { dst, via, table }: Route,
  ifname: string,
  routes: readonly RouteFound[],
): string[] {
  const target = formatCidr(dst);
  // The kernel treats table 0 as unset. Table `local` also has the kernel's own routes.
  const there = routes.filter((it) => it.dst === target && it.table === (table || MAIN_TABLE));
  if (there.some(({ gw }) => gw === via)) return [];
  const found = there.map(({ gw }) => gw === undefined ? "one on the link" : `one via ${gw}`);
  const wanted = via === undefined ? `on ${ifname}` : `via ${via} on ${ifname}`;
  return [`route to ${target}: expected ${wanted}, found ${found.join(", ") || "none"}`];
}

/** The guard of the port (SECURITY.md), if the network is guarded. */
function guardDifferences(expected: Expected, seen: Seen): string[] {
  const { config, host, ifname, lease } = expected;
  if (!config.guarded || seen.host === undefined) return [];
  const { port } = seen.host;
  const { bridge, inside, entries, bridgeNeighbours, insideNeighbours } = seen;
  const mac = (lease && containerMac(lease)) ?? inside?.mac;
  const pinned = (what: string, list: Seen["bridgeNeighbours"], ip: Ip, wanted?: string) => {
    const found = list.find((it) => it.ip === ip)?.mac ?? "none";
    return found === wanted
      ? []
      : [`guard of ${what}: expected ${wanted} as permanent neighbour ${ip}, found ${found}`];
  };
  const listed = listedGateways(expected).map(({ ip }) => ip);
  const gateways = bridge === undefined ? [] : guardedIps(listed, bridge.mac);
  const ips = lease?.ips ?? [];
  const found = entries.flatMap((it) => it.isStatic ? it.mac : []);
  const where = mac !== undefined && found.includes(mac) ? " for each VLAN" : "";
  return [
    // A later plugin or the container may have changed it, and the port drops frames of another MAC.
    ...differ(`guard of ${host}: MAC of ${ifname}`, mac, inside?.mac ?? mac),
    ...differ(`guard of ${host}: locked`, true, port.locked),
    ...differ(`guard of ${host}: learning`, false, port.learning),
    ...differ(`guard of ${host}: bridges reserved frames`, true, port.forwardsReserved),
    ...(mac !== undefined && hasEntries(entries, seen.host, mac) ? [] : [
      `guard of ${host}: expected the static entry ${mac}${where}, found ${
        found.join(", ") || "none"
      }`,
    ]),
    ...(mac === undefined ? ips : guardedIps(ips, mac)).flatMap((ip) =>
      pinned(`${host} on ${config.bridge}`, bridgeNeighbours, ip, mac)
    ),
    ...(inside === undefined
      ? []
      : gateways.flatMap((ip) => pinned(ifname, insideNeighbours, ip, bridge?.mac))),
  ];
}
