import {
  contains,
  familyOf,
  formatInterfaceAddress,
  type InterfaceAddress,
  LEAST_MTU_IPV6,
  networkOf,
  overlap,
} from "../base/address.ts";
import { CniError } from "../base/errors.ts";
import type { Mac } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import type { Link, LinkAddress } from "./links.ts";

/** A bridge as it must be before a container is attached to it. */
export interface BridgeSpec {
  readonly name: InterfaceName;
  /** In bytes; `undefined` means the kernel's default. */
  readonly mtu: number | undefined;
  /** The addresses that the bridge must carry; may be empty. */
  readonly gateways: readonly InterfaceAddress[];
  readonly forceAddress: boolean;
  readonly promiscuous: boolean;
  /** The guard sets IPv6 neighbours on the bridge, although it carries no gateway. */
  readonly pinsIpv6: boolean;
  /** Set when the bridge is created, so that the bridge does not take the lowest MAC of its ports. */
  readonly mac: Mac;
}

/** BR_MAX_PORTS of the kernel. */
export const MOST_PORTS = 1023;

/** The commands that create the bridge, or make it match its spec. */
export interface BridgeChange {
  readonly kind: "change";
  readonly commands: readonly (readonly string[])[];
  /** The addresses that the bridge loses (`forceAddress`). */
  readonly replaced: readonly InterfaceAddress[];
  /** The addresses that it gets. */
  readonly added: readonly InterfaceAddress[];
  /**
   * It is missing or down, or lacks an address, so former ports have left it, or lost their permanent neighbours on it. With
   * its last IPv4 address an interface loses all neighbours.
   */
  readonly hasLostGuards: boolean;
}

/** The difference of a bridge from its spec; `unusable` if no ADD may remove it. */
export type BridgePlan =
  | { readonly kind: "ready"; readonly bridge: Link }
  | { readonly kind: "unusable"; readonly error: CniError }
  | BridgeChange;

/** Plans what makes the bridge `found` match `spec`. `undefined`: it does not exist. */
export function planBridge(spec: BridgeSpec, found: Link | undefined): BridgePlan {
  const { name, mac, mtu, promiscuous, gateways } = spec;
  const setUp = ["link", "set", "dev", name, ...(promiscuous ? ["promisc", "on"] : []), "up"];
  const hasIpv6 = gateways.some(({ ip }) => familyOf(ip) === 6);
  if (found === undefined) {
    const size = mtu === undefined ? [] : ["mtu", String(mtu)];
    const make = ["link", "add", "name", name, "address", mac, ...size, "type", "bridge"];
    // With snooping, a container that sends one query becomes the querier, and IPv6 stops for all other containers.
    make.push("mcast_snooping", "0");
    // Guarded containers have a permanent neighbour for the link-local address derived from the bridge's MAC.
    const stable = hasIpv6 ? [["link", "set", "dev", name, "addrgenmode", "eui64"]] : [];
    const commands = [make, ...stable, setUp, ...gateways.map((it) => addAddress(it, name))];
    return { kind: "change", commands, replaced: [], added: gateways, hasLostGuards: true };
  }
  if (found.kind !== "bridge") return { kind: "unusable", error: notABridge(found) };
  if (found.bridge.dropsUntagged) return { kind: "unusable", error: dropsUntagged(found) };
  const replaced = conflicts(spec, found.addresses);
  if (replaced.length > 0 && !spec.forceAddress) {
    return { kind: "unusable", error: otherAddress(found, spec, replaced) };
  }
  const added = missingOn(spec, found.addresses);
  const isSet = found.up && (found.promiscuous || !promiscuous);
  const commands = [
    ...replaced.map((it) => deleteAddress(it, name)),
    ...(isSet ? [] : [setUp]),
    // After `up`, because a bridge loses its IPv6 addresses when it goes down.
    ...added.map((it) => addAddress(it, name)),
  ];
  if (commands.length === 0) return { kind: "ready", bridge: found };
  const hasLostGuards = !found.up || added.length > 0;
  return { kind: "change", commands, replaced, added, hasLostGuards };
}

/** Uses `nodad`, because without a running port an IPv6 address of a bridge would stay tentative forever. */
export function addAddress(address: InterfaceAddress, dev: string): string[] {
  const more = familyOf(address.ip) === 4 ? ["brd", "+"] : ["nodad"];
  return ["addr", "add", formatInterfaceAddress(address), ...more, "dev", dev];
}

export function deleteAddress(address: InterfaceAddress, bridge: string): string[] {
  return ["addr", "del", formatInterfaceAddress(address), "dev", bridge];
}

export function isSame(left: InterfaceAddress, right: InterfaceAddress): boolean {
  return left.ip === right.ip && left.prefix === right.prefix;
}

/** Whether the guard needs IPv6 on the bridge, or the bridge lacks an IPv6 address that it must carry. */
export function needsIpv6(spec: BridgeSpec, { addresses }: Link): boolean {
  return spec.pinsIpv6 || missingOn(spec, addresses).some(({ ip }) => familyOf(ip) === 6);
}

/** The gateway addresses that the bridge must carry and lacks. */
function missingOn(
  { gateways }: BridgeSpec,
  addresses: readonly LinkAddress[],
): InterfaceAddress[] {
  return gateways.filter((gateway) => !addresses.some((it) => isSame(it, gateway)));
}

/** Addresses that conflict with a gateway that the bridge lacks (rule B4): any IPv4 address, and IPv6 addresses of an overlapping subnet. */
function conflicts(spec: BridgeSpec, addresses: readonly LinkAddress[]): LinkAddress[] {
  const { gateways } = spec;
  const missing = missingOn(spec, addresses);
  return addresses.filter((it) => {
    if (it.isDynamic || gateways.some((gateway) => isSame(gateway, it))) return false;
    const network = networkOf(it.ip, it.prefix);
    return missing.some(({ ip, prefix }) =>
      familyOf(it.ip) === 4 ? familyOf(ip) === 4 : overlap(networkOf(ip, prefix), network)
    );
  });
}

function bridgeUnusable(message: string, details: string): CniError {
  return new CniError("BridgeUnusable", message, details);
}

function notABridge({ ifname, kind }: Link): CniError {
  const found = kind === "" ? "it is an interface of another kind" : `it is a ${kind}`;
  return bridgeUnusable(
    `Cannot use "${ifname}" as the bridge: ${found}`,
    `name another bridge under "bridge", or inspect this interface (ip link show dev ${ifname}) and ` +
      `remove it (ip link del dev ${ifname})`,
  );
}

function dropsUntagged({ ifname }: Link): CniError {
  return bridgeUnusable(
    `Cannot use "${ifname}" as the bridge: it filters VLANs and gives a new port none (vlan_default_pvid 0)`,
    `nothing would reach the container: ip link set dev ${ifname} type bridge ` +
      `vlan_default_pvid 1 gives ports one, or name another bridge under "bridge"`,
  );
}

function otherAddress(
  { ifname }: Link,
  { gateways }: BridgeSpec,
  others: readonly LinkAddress[],
): CniError {
  const wanted = gateways.map(formatInterfaceAddress).join(", ");
  const found = others.map(formatInterfaceAddress);
  const inSame = others.some((it) =>
    gateways.some((gateway) => contains(networkOf(gateway.ip, gateway.prefix), it.ip))
  );
  return bridgeUnusable(
    `Cannot use "${ifname}" as the bridge of ${wanted}: it has ${found.join(", ")}`,
    inSame
      ? `set gateway and subnet to those of the bridge; or, if the configuration is right, remove the address ` +
        `(ip addr del ${found[0]} dev ${ifname}), and the next ADD adds the right one`
      : `name another bridge under "bridge"; or, if no container uses ${found.join(", ")} as its ` +
        `gateway (atomicni list), remove the address: ip addr del ${found[0]} dev ${ifname}`,
  );
}

/** Throws BridgeUnusable if the bridge's name is only a further name of an interface: the kernel finds it, and makes no other. */
export function checkName(name: InterfaceName, links: readonly Link[]): void {
  const other = links.find(({ altnames }) => altnames.includes(name))?.ifname;
  if (other === undefined) return;
  throw bridgeUnusable(
    `Cannot use "${name}" as the bridge: it is an alternative name of "${other}"`,
    `set "bridge" to "${other}", or remove that name: ip link property del dev ${other} altname ${name}`,
  );
}

/** Throws BridgeUnusable if the bridge has as many ports as the kernel allows. */
export function checkPorts(name: InterfaceName, links: readonly Link[]): void {
  const ports = links.filter(({ master }) => master === name).length;
  if (ports < MOST_PORTS) return;
  throw bridgeUnusable(
    `Cannot attach another container to "${name}": it has ${ports} ports, the kernel's limit`,
    "give further containers networks with bridges of their own",
  );
}

/** Whether the configured MTU of the ports is so small that the kernel switches IPv6 off on the bridge. */
export function isTooSmallForIpv6({ mtu }: BridgeSpec): boolean {
  return mtu !== undefined && mtu < LEAST_MTU_IPV6;
}

/** Throws BridgeUnusable if the bridge would lose an IPv6 address: a bridge takes the smallest MTU of its ports. */
export function checkMtu(spec: BridgeSpec, links: readonly Link[]): void {
  const { name, mtu } = spec;
  const bridge = links.find(({ ifname }) => ifname === name);
  const address = bridge?.addresses.find(({ ip }) => familyOf(ip) === 6);
  if (!isTooSmallForIpv6(spec) || address === undefined) return;
  throw bridgeUnusable(
    `Cannot use "${name}" with MTU ${mtu}: it has ${address.ip}, and IPv6 needs ${LEAST_MTU_IPV6}`,
    `set "mtu" to ${LEAST_MTU_IPV6} or more, or name another bridge under "bridge"`,
  );
}

/** The error if the bridge has too small an MTU for IPv6; `undefined` if that is not the reason why it lacks an address. */
export function tooSmall(spec: BridgeSpec, bridge: Link): CniError | undefined {
  const { ifname, mtu } = bridge;
  if (mtu >= LEAST_MTU_IPV6 || !needsIpv6(spec, bridge)) return undefined;
  return bridgeUnusable(
    `Cannot use "${ifname}" for IPv6: its MTU is ${mtu}, and IPv6 needs ${LEAST_MTU_IPV6}`,
    `root or a port with that MTU made it so: ip link set dev ${ifname} mtu ${spec.mtu ?? 1500}, ` +
      `or name another bridge under "bridge"`,
  );
}
