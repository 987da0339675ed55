import type { NetworkConfig } from "./config.ts";
import {
  contains,
  formatCidr,
  formatInterfaceAddress,
  formatIpv4,
  type InterfaceAddress,
  tryIpv4,
} from "./ipv4.ts";
import { type Link, sameAddress } from "./links.ts";
import { type InterfaceName, isHostVethName } from "./names.ts";
import type { Seen } from "./netops.ts";
import type { Interface, Result } from "./result.ts";

/** What of an attachment CHECK knows beside what it saw. */
export interface Expected {
  readonly config: NetworkConfig;
  readonly prevResult: Result;
  readonly host: InterfaceName;
  readonly ifname: InterfaceName;
  readonly netns: string;
  /** The lease; `undefined` where the state has none. */
  readonly lease: InterfaceAddress | undefined;
}

/** One line for each difference between what an ADD left and what is there now; expected first, then found. */
export function differences(expected: Expected, seen: Seen): string[] {
  return [
    ...bridgeDifferences(expected, seen.bridge),
    ...hostDifferences(expected, seen.host),
    ...insideDifferences(expected, seen.inside),
    ...leaseDifferences(expected),
    ...(seen.inside === undefined ? [] : routeDifferences(expected, seen)),
  ];
}

function differ(what: string, expected: unknown, found: unknown): string[] {
  return expected === found ? [] : [`${what}: expected ${expected}, found ${found}`];
}

/** Compares what a result has of an interface: names it can't know are left to later plugins (rule K2). */
function listedDifferences(listed: Interface | undefined, found: Link): string[] {
  if (listed === undefined) return [];
  return [
    ...(listed.mac === undefined
      ? []
      : differ(`MAC of ${found.ifname}`, listed.mac.toLowerCase(), found.mac)),
    ...(listed.mtu === undefined ? [] : differ(`MTU of ${found.ifname}`, listed.mtu, found.mtu)),
  ];
}

function bridgeDifferences({ config, prevResult }: Expected, bridge: Link | undefined): string[] {
  const name = config.bridge;
  if (bridge === undefined) return [`bridge ${name}: expected a bridge, found none`];
  const gateway = formatInterfaceAddress({ ip: config.gateway, prefix: config.subnet.prefix });
  const listed = prevResult.interfaces.find((it) => it.name === name && it.sandbox === undefined);
  return [
    ...differ(`kind of ${name}`, "bridge", bridge.kind),
    ...differ(`state of ${name}`, "up", upOrDown(bridge)),
    ...(config.gatewayOnBridge && !bridge.addresses.includes(gateway)
      ? [`address of ${name}: expected ${gateway}, found ${bridge.addresses.join(", ") || "none"}`]
      : []),
    ...(config.promiscuous ? differ(`promiscuous mode of ${name}`, true, bridge.promiscuous) : []),
    ...listedDifferences(listed && pickMac(listed), bridge),
  ];
}

/** A bridge's MTU follows its ports'. */
function pickMac({ name, mac }: Interface): Interface {
  return { name, ...(mac !== undefined && { mac }) };
}

function hostDifferences(
  { config, prevResult, host }: Expected,
  found: Link | undefined,
): string[] {
  if (found === undefined) {
    return [`host veth ${host}: expected a veth in ${config.bridge}, found none`];
  }
  const listed = prevResult.interfaces.find((it) =>
    it.sandbox === undefined && isHostVethName(it.name)
  );
  return [
    ...(listed === undefined ? [] : differ("host veth", listed.name, host)),
    ...differ(`kind of ${host}`, "veth", found.kind),
    ...differ(`master of ${host}`, config.bridge, found.master || "none"),
    ...differ(`state of ${host}`, "up", upOrDown(found)),
    ...(config.hairpin ? differ(`hairpin mode of ${host}`, true, found.hairpin) : []),
    ...(config.isolated ? differ(`isolation of ${host}`, true, found.isolated) : []),
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
    ...differ(`state of ${ifname}`, "up", upOrDown(inside)),
    ...(listed === undefined ? [] : listedDifferences(listed, inside)),
    ...(listed?.mtu === undefined && config.mtu !== undefined
      ? differ(`MTU of ${ifname}`, config.mtu, inside.mtu)
      : []),
    ...addresses.filter(({ address }) => !address.includes(":")).flatMap(({ address }) =>
      inside.addresses.some((it) => sameAddress(it, address)) ? [] : [
        `address of ${ifname}: expected ${address}, found ${inside.addresses.join(", ") || "none"}`,
      ]
    ),
  ];
}

function leaseDifferences({ prevResult, lease, config }: Expected): string[] {
  if (lease === undefined) return ["lease: expected one, found none"];
  const address = formatInterfaceAddress(lease);
  const listed = prevResult.ips.map((ip) => ip.address);
  return listed.some((it) => sameAddress(it, address)) ? [] : [
    `lease in network ${config.name}: expected one of ${
      listed.join(", ") || "nothing"
    }, found ${address}`,
  ];
}

/**
 * Each route of the configuration is there, on this interface, and each that `prevResult` has through our subnet;
 * more may be, and later plugins' lead elsewhere (rule K2).
 */
function routeDifferences(
  { config, prevResult, ifname }: Expected,
  { routes }: Seen,
): string[] {
  const configured = config.routes.flatMap(({ dst, via, table }) => {
    const target = formatCidr(dst);
    const gateway = via === undefined ? "" : formatIpv4(via);
    const tableName = table === undefined || table === 254 ? "main" : String(table);
    const there = routes.filter((route) =>
      route.dst === target && (route.table === tableName || table === 255)
    );
    if (there.some(({ gw }) => gw === gateway)) return [];
    const found = there.map(({ gw }) => gw === "" ? "one on the link" : `one via ${gw}`).join(", ");
    const wanted = gateway === "" ? `on ${ifname}` : `via ${gateway} on ${ifname}`;
    return [`route to ${target}: expected ${wanted}, found ${found || "none"}`];
  });
  const listed = prevResult.routes.flatMap(({ dst, gw = "" }) => {
    const gateway = tryIpv4(gw);
    if (gateway === undefined || !contains(config.subnet, gateway)) return [];
    if (config.routes.some((it) => formatCidr(it.dst) === dst && it.via === gateway)) return [];
    const there = routes.some((it) => it.dst === dst && it.gw === gw);
    return there ? [] : [`route to ${dst}: expected via ${gw} on ${ifname}, found none`];
  });
  return [...configured, ...listed];
}

function upOrDown({ up }: Link): string {
  return up ? "up" : "down";
}
