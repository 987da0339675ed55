import { formatCidr, formatInterfaceAddress, tryIp } from "../base/address.ts";
import { isHostVethName } from "../base/attachment.ts";
import { isInSubnets } from "../base/range.ts";
import type { Route } from "../config.ts";
import { isSame, type Link, MAIN_TABLE, type RouteFound, type Seen } from "../netops.ts";
import type { Interface } from "../result.ts";
import { guardDifferences } from "./compare_guard.ts";
import { differ, type Expected, listedAddresses, listedGateways } from "./expected.ts";
import { routesOf } from "./result_of.ts";

/** One line for each difference between the ADD's result and the kernel; the configuration has the keys that a result lacks. */
export function differences(expected: Expected, seen: Seen): string[] {
  return [
    ...bridgeDifferences(expected, seen.bridge),
    ...hostDifferences(expected, seen),
    ...insideDifferences(expected, seen.inside),
    ...leaseDifferences(expected),
    ...(seen.inside === undefined ? [] : routeDifferences(expected, seen)),
    ...(seen.host === undefined ? [] : guardDifferences(expected, seen)),
  ];
}

/** Compares the MAC and MTU of an interface if the result has them (rule K2). */
function listedDifferences(listed: Interface | undefined, found: Link): string[] {
  if (listed === undefined) return [];
  return [
    ...(listed.mac === undefined
      ? []
      : differ(`MAC of ${found.ifname}`, listed.mac.toLowerCase(), found.mac)),
    ...(listed.mtu === undefined ? [] : differ(`MTU of ${found.ifname}`, listed.mtu, found.mtu)),
  ];
}

function bridgeDifferences(expected: Expected, bridge: Link | undefined): string[] {
  const { config, prevResult } = expected;
  const name = config.bridge;
  if (bridge === undefined) return [`bridge ${name}: expected a bridge, found none`];
  const listed = prevResult.interfaces.find((it) => it.name === name && it.sandbox === undefined);
  const gateways = listedGateways(expected);
  return [
    ...differ(`kind of ${name}`, "bridge", bridge.kind),
    ...differ(`state of ${name}`, "up", upOrDown(bridge)),
    ...gateways.filter((it) => !bridge.addresses.some((found) => isSame(found, it))).map((it) =>
      `address of ${name}: expected ${formatInterfaceAddress(it)}, found ${addressesOf(bridge)}`
    ),
    ...(config.promiscuous ? differ(`promiscuous mode of ${name}`, true, bridge.promiscuous) : []),
    ...listedDifferences(listed && pickMac(listed), bridge),
  ];
}

function addressesOf({ addresses }: Link): string {
  return addresses.map(formatInterfaceAddress).join(", ") || "none";
}

/** Leaves out the MTU, because the kernel changes a bridge's MTU with its ports. */
function pickMac({ name, mac }: Interface): Interface {
  return { name, ...(mac !== undefined && { mac }) };
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
    ...(listed === undefined ? [] : differ("host veth", listed.name, host)),
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
  const addresses = prevResult.ips.filter((it) =>
    it.interface === undefined || it.interface === index
  );
  return [
    ...(listed?.sandbox === undefined ? [] : differ(`sandbox of ${ifname}`, listed.sandbox, netns)),
    ...(config.containerUp ? differ(`state of ${ifname}`, "up", upOrDown(inside)) : []),
    ...(listed === undefined ? [] : listedDifferences(listed, inside)),
    ...addresses.filter(({ address }) => !hasAddress(inside, address)).map(({ address }) =>
      `address of ${ifname}: expected ${address}, found ${addressesOf(inside)}`
    ),
  ];
}

function hasAddress({ addresses }: Link, wanted: string): boolean {
  return addresses.some((it) => formatInterfaceAddress(it) === canonical(wanted));
}

/** The address in the spelling of this program; a result may use another spelling. */
function canonical(address: string): string {
  const [text = "", prefix = ""] = address.split("/");
  return `${tryIp(text) ?? text}/${prefix}`;
}

function leaseDifferences(expected: Expected): string[] {
  const { lease, config } = expected;
  const held = lease?.ips ?? [];
  return listedAddresses(expected).filter(({ ip }) => !held.includes(ip)).map(({ ip }) =>
    `lease in network ${config.name}: expected ${ip}, found ${held.join(", ") || "none"}`
  );
}

/**
 * Compares the routes of the result that are configured or lead through this network's subnets. Later plugins may have added
 * other routes (rule K2). Routes that were configured after the ADD are not in the result, and are not compared.
 */
function routeDifferences(
  { config, prevResult, ifname, lease }: Expected,
  { routes }: Seen,
): string[] {
  const configured = routesOf(config, lease?.ips ?? []);
  return prevResult.routes.flatMap(({ dst, gw = "" }) => {
    const target = canonical(dst);
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
  const number = table === undefined || table === 0 ? MAIN_TABLE : table;
  const there = routes.filter((route) => route.dst === target && route.table === number);
  if (there.some(({ gw }) => gw === via)) return [];
  const found = there.map(({ gw }) => gw === undefined ? "one on the link" : `one via ${gw}`);
  const wanted = via === undefined ? `on ${ifname}` : `via ${via} on ${ifname}`;
  return [`route to ${target}: expected ${wanted}, found ${found.join(", ") || "none"}`];
}

function upOrDown({ up }: Link): string {
  return up ? "up" : "down";
}
