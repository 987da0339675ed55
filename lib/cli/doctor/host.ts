import {
  type Cidr,
  contains,
  formatCidr,
  formatInterfaceAddress,
  type Ip,
  networkOf,
  overlap,
  parseCidr,
} from "../../base/address.ts";
import { familyOf } from "../../base/address.ts";
import { subnetsOf } from "../../base/range.ts";
import type { NetworkConfig } from "../../config.ts";
import { readNetworks } from "../../ipam.ts";
import { type Kernel, type Link, MOST_PORTS, type RouteFound } from "../../netops.ts";
import { bridgeSpec } from "../../plugin.ts";
import { type Finding, finding } from "./finding.ts";
import { examineVersion } from "./iproute.ts";

/** The version of iproute2, and whether `ip` can enter a namespace. */
export async function examineIp(kernel: Kernel, guarded: boolean): Promise<Finding[]> {
  const version = await kernel.version();
  const said = await kernel.cannotEnter();
  return [
    examineVersion(version, guarded),
    said === undefined ? finding("ok", "namespaces", "ip can enter them") : {
      ...finding(
        "error",
        "namespaces",
        `ip can enter none: ${said}`,
        "mkdir -p /run/netns, and run with CAP_SYS_ADMIN",
      ),
      code: 8,
    },
  ];
}

/** The present state of the bridge. The checks of ADD report why an ADD could not use it. */
export function examineBridge(config: NetworkConfig, links: readonly Link[]): Finding[] {
  const spec = bridgeSpec(config);
  const bridge = links.find(({ ifname }) => ifname === spec.name);
  if (bridge === undefined) {
    return [finding("ok", "bridge", `"${spec.name}" does not exist yet: the first ADD makes it`)];
  }
  if (bridge.kind !== "bridge") return [];
  const ports = links.filter(({ master }) => master === spec.name).length;
  const addresses = bridge.addresses.map(formatInterfaceAddress).join(", ") || "no address yet";
  const state = bridge.up ? "up" : "down (an ADD sets it up)";
  const sight =
    `"${spec.name}": ${addresses}, ${state}, MTU ${bridge.mtu}, ports: ${ports} of ${MOST_PORTS}`;
  return [
    finding("ok", "bridge", sight),
    ...(spec.mtu === undefined || ports === 0 || bridge.mtu === spec.mtu ? [] : [
      finding(
        "warning",
        "bridge",
        `"${spec.name}" has MTU ${bridge.mtu}, the configuration ${spec.mtu}: larger packets are lost between ports`,
        `set "mtu": ${bridge.mtu}, or give every port the same (ip link set dev PORT mtu ${spec.mtu})`,
      ),
    ]),
    ...(!bridge.bridge.stp ? [] : [
      finding(
        "warning",
        "bridge",
        `"${spec.name}" has the spanning tree protocol on: a new container has no traffic for about 30 s`,
        `ip link set dev ${spec.name} type bridge stp_state 0`,
      ),
    ]),
    ...(config.gatewayOnBridge || config.sets.length === 0 ? [] : [
      finding(
        "note",
        "bridge",
        `"${spec.name}" carries no gateway ("isGateway" is false): containers reach only each other and other devices on the bridge`,
        'set "isGateway": true if the host is their gateway',
      ),
    ]),
  ];
}

/**
 * A new bridge takes the sysctl `default.disable_ipv6`, which `ip` does not show. If `lo` is up without an IPv6 address,
 * IPv6 is switched off for all interfaces.
 */
export function examineIpv6(
  { bridge, gatewayOnBridge, sets }: NetworkConfig,
  links: readonly Link[],
): Finding[] {
  const lo = links.find(({ ifname }) => ifname === "lo");
  const isNeeded = gatewayOnBridge && sets.flat().some(({ gateway }) => familyOf(gateway) === 6) &&
    !links.some(({ ifname }) => ifname === bridge);
  if (!isNeeded) return [];
  if (lo?.up !== true || lo.addresses.some(({ ip }) => familyOf(ip) === 6)) {
    return [
      finding(
        "note",
        "bridge",
        `a new "${bridge}" gets IPv6 if net.ipv6.conf.default.disable_ipv6 is 0, which ip does not show`,
      ),
    ];
  }
  return [
    finding(
      "warning",
      "bridge",
      `"lo" has no IPv6 address: if IPv6 is switched off for a new "${bridge}" too, an ADD fails with code 100`,
      "sysctl net.ipv6.conf.default.disable_ipv6 shows it; sysctl -w net.ipv6.conf.default.disable_ipv6=0 switches it on",
    ),
  ];
}

/** Signs of a router advertisement that a container sent to the host (CVE-2020-10749). */
export function examineAdvertisements(
  { bridge }: NetworkConfig,
  links: readonly Link[],
  routes: readonly RouteFound[],
): Finding[] {
  const addresses = links.filter(({ ifname }) => ifname === bridge).flatMap((link) =>
    link.addresses.filter(({ isDynamic }) => isDynamic).map(formatInterfaceAddress)
  );
  const learnt = routes.filter(({ dev, isDynamic }) => dev === bridge && isDynamic).map(({ dst }) =>
    `a route to ${dst}`
  );
  const found = [...learnt, ...addresses];
  return found.length === 0 ? [] : [
    finding(
      "warning",
      "router",
      `the host took ${found.join(", ")} from "${bridge}": a container sends router advertisements`,
      `sysctl -w net/ipv6/conf/${bridge}/accept_ra=0, remove them (ip -6 route flush dev ${bridge} proto ra), ` +
        "and load the rules of: atomicni host-rules < CONFIGURATION",
    ),
  ];
}

/** Interfaces, routes and other networks that overlap with the network's subnets. */
export function examineOverlap(
  config: NetworkConfig,
  links: readonly Link[],
  routes: readonly RouteFound[],
): Finding[] {
  const { bridge, name } = config;
  const subnets = subnetsOf(config.sets);
  const own = subnets.map(formatCidr);
  const ours = own.join(", ");
  const remedy = `choose a subnet that nothing else on this host uses (ip addr; ip route)`;
  const overlaps = (other: ReturnType<typeof parseCidr>) =>
    subnets.some((subnet) => overlap(subnet, other));
  const found = [
    ...links.filter(({ ifname }) => ifname !== bridge).flatMap(({ ifname, addresses }) =>
      // The checks of ADD report an interface with the same subnet.
      addresses.filter(({ ip, prefix }) =>
        overlaps(networkOf(ip, prefix)) &&
        !(config.gatewayOnBridge && own.includes(formatCidr(networkOf(ip, prefix))))
      ).map((it) => `"${ifname}" has ${formatInterfaceAddress(it)}, which overlaps with ${ours}`)
    ),
    ...routes.filter(({ dev, dst }) =>
      dev !== bridge && !dst.endsWith("/0") && overlaps(parseCidr(dst)) &&
      !isUsual(dst, links.find(({ ifname }) => ifname === dev), subnets)
    ).map(({ dst, dev }) => `a route to ${dst} on "${dev}" overlaps with ${ours}`),
    ...readNetworks().held.filter(({ network, dataDir }) =>
      network !== name || dataDir !== config.dataDir
    ).flatMap(({ network, state }) => {
      const subnet = subnetsOf(state.ranges ?? []).find(overlaps);
      if (subnet !== undefined) {
        return [`network "${network}" has ${formatCidr(subnet)}, which overlaps with ${ours}`];
      }
      const held = (Object.keys(state.ipToContainer) as Ip[]).find((ip) =>
        subnets.some((it) => contains(it, ip))
      );
      return held === undefined
        ? []
        : [`network "${network}" holds ${held}, which is in ${ours} too`];
    }),
  ];
  if (subnets.length === 0) return [];
  return found.length > 0
    ? found.map((it) => finding("warning", "subnet", it, remedy))
    : [finding("ok", "subnet", `nothing else uses ${ours}`)];
}

/**
 * Whether the route is that of an address of its interface, which is reported by itself, or leads to a larger network by an
 * interface with addresses. Packets to the containers take the more specific route of the bridge then.
 */
function isUsual(dst: string, link: Link | undefined, subnets: readonly Cidr[]): boolean {
  const addresses = link?.addresses ?? [];
  const { base, prefix } = parseCidr(dst);
  const isInside = subnets.some((it) => contains(it, base) && it.prefix <= prefix);
  if (!isInside) return addresses.length > 0;
  return addresses.some((it) => formatCidr(networkOf(it.ip, it.prefix)) === dst);
}

/** Forwarding as `ip netconf` shows it. `ip` can't show the packet filter. */
export async function examineForwarding(
  config: NetworkConfig,
  kernel: Kernel,
): Promise<Finding[]> {
  const { bridge, sets } = config;
  if (sets.length === 0) return [];
  const forwarding = await kernel.forwarding(bridge);
  const families = new Set(sets.flat().map(({ start }) => familyOf(start)));
  const of = {
    4: [forwarding.ipv4, "net.ipv4.ip_forward"],
    6: [forwarding.ipv6, "net.ipv6.conf.all.forwarding"],
  } as const;
  const seen = [...families].map((family) => {
    const [isOn, sysctl] = of[family];
    const what = `IPv${family}`;
    if (isOn === undefined) {
      return finding("note", "forwarding", `ip does not show it for ${what}`, `sysctl ${sysctl}`);
    }
    return isOn
      ? finding(
        "ok",
        "forwarding",
        `${what}: the kernel forwards between the bridge and other interfaces`,
      )
      : finding(
        "warning",
        "forwarding",
        `${what}: off for "${bridge}": containers reach only each other${
          config.gatewayOnBridge ? " and the gateway" : ""
        }`,
        family === 4
          ? `sysctl -w ${sysctl}=1`
          : `sysctl -w ${sysctl}=1, with accept_ra = 2 on the uplink first, or the host loses its own default route`,
      );
  });
  return [
    ...seen,
    finding(
      "note",
      "masquerade",
      `packets that leave the host with an address of ${
        subnetsOf(sets).map(formatCidr).join(", ")
      } need it, or routes back, and a FORWARD policy that accepts them (Docker and firewalld set DROP); ` +
        "ip can't show packet filters",
      "nft list ruleset | grep -E 'masquerade|hook forward'; rules that do it: atomicni host-rules < CONFIGURATION",
    ),
  ];
}
