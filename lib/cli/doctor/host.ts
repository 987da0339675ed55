import {
  type Cidr,
  contains,
  familyOf,
  formatCidr,
  formatInterfaceAddress,
  type Ip,
  LEAST_MTU_IPV6,
  networkOf,
  overlap,
  parseCidr,
} from "../../base/address.ts";
import { type AddressRange, formatSet, inRange, overlapping, subnetsOf } from "../../base/range.ts";
import { type Link, MOST_PORTS, type RouteFound } from "../../netops.ts";
import { hasIpv6Gateway, outages } from "../../plugin.ts";
import { type Finding, finding, type Scene, warning } from "./finding.ts";

/** The current state of the bridge. If an ADD can't use it, the checks of ADD report that instead. */
export function examineBridge(scene: Scene): Finding[] {
  const { config, links, overview } = scene;
  const { bridge: name, mtu, sets, gatewayOnBridge } = config;
  const bridge = links.find(({ ifname }) => ifname === name);
  if (links.some(({ altnames }) => altnames.includes(name))) return [];
  if (bridge === undefined) {
    const shown = `"${name}" does not exist yet: the first ADD makes it`;
    return [finding("ok", "bridge", shown), ...examineNewBridge(scene)];
  }
  if (bridge.kind !== "bridge") return [];
  const ports = links.filter(({ master }) => master === name).length;
  const addresses = bridge.addresses.map(formatInterfaceAddress).join(", ") || "no address yet";
  const state = bridge.up ? "up" : "down (an ADD sets it up)";
  const shown =
    `"${name}": ${addresses}, ${state}, MTU ${bridge.mtu}, ports: ${ports} of ${MOST_PORTS}`;
  const found = [finding("ok", "bridge", shown)];
  const rows = overview.networks.find(({ network }) => network === config.name)?.rows ?? [];
  const placed = rows.filter(({ link }) => link?.master === name);
  if (placed.length > 0) {
    const all = outages(config, bridge, placed.flatMap(({ ips }) => ips));
    found.push(...all.map((it) => warning("bridge", it.found, it.remedy)));
  }
  if (mtu !== undefined && ports > 0 && bridge.mtu !== mtu) {
    found.push(warning(
      "bridge",
      `"${name}" has MTU ${bridge.mtu}, the configuration ${mtu}: larger packets are lost between ports`,
      `${
        bridge.mtu < LEAST_MTU_IPV6 && hasIpv6Gateway(config) ? "" : `set "mtu": ${bridge.mtu}, or `
      }start each container again whose port has another MTU (ip link show master ${name}); if the bridge does ` +
        `not follow its ports, set its MTU too (ip link set dev ${name} mtu ${mtu})`,
    ));
  }
  if (bridge.bridge.stp) {
    found.push(warning(
      "bridge",
      `"${name}" has the spanning tree protocol on: a new container has no traffic for about 30 s`,
      `ip link set dev ${name} type bridge stp_state 0`,
    ));
  }
  if (!gatewayOnBridge && sets.length > 0) {
    found.push(finding(
      "note",
      "bridge",
      `"${name}" carries no gateway ("isGateway" is false): containers reach only each other and other devices on the bridge`,
      'set "isGateway": true if the host is their gateway',
    ));
  }
  return found;
}

/**
 * A new bridge takes the sysctl `default.disable_ipv6`, which `ip` does not show. If `lo` is up without an IPv6 address,
 * IPv6 is switched off for all interfaces.
 */
function examineNewBridge({ config, links }: Scene): Finding[] {
  const { bridge, gatewayOnBridge } = config;
  if (!gatewayOnBridge || !hasIpv6Gateway(config)) return [];
  const lo = links.find(({ ifname }) => ifname === "lo");
  if (lo?.up === true && !lo.addresses.some(({ ip }) => familyOf(ip) === 6)) {
    return [warning(
      "bridge",
      `"lo" has no IPv6 address: if IPv6 is switched off for a new "${bridge}" too, an ADD fails with code 100`,
      "sysctl net.ipv6.conf.default.disable_ipv6 shows it; sysctl -w net.ipv6.conf.default.disable_ipv6=0 switches it on",
    )];
  }
  const found =
    `a new "${bridge}" gets IPv6 if net.ipv6.conf.default.disable_ipv6 is 0, which ip does not show`;
  return [finding("note", "bridge", found)];
}

/** Signs of a router advertisement that a container sent to the host (CVE-2020-10749). */
export function examineAdvertisements(
  { config: { bridge }, links, routes }: Pick<Scene, "config" | "links" | "routes">,
): Finding[] {
  const found = [
    ...routes.filter(({ dev, isDynamic }) => dev === bridge && isDynamic)
      .map(({ dst }) => `a route to ${dst}`),
    ...links.filter(({ ifname }) => ifname === bridge)
      .flatMap(({ addresses }) => addresses.filter(({ isDynamic }) => isDynamic))
      .map(formatInterfaceAddress),
  ];
  return found.length === 0 ? [] : [warning(
    "router",
    `the host took ${found.join(", ")} from "${bridge}": a container sends router advertisements`,
    `sysctl -w net/ipv6/conf/${bridge}/accept_ra=0; ip -6 route flush dev ${bridge} proto ra; ` +
      `ip -6 addr flush dev ${bridge} dynamic; ip -6 route show dev ${bridge} | ` +
      `sed -n '/ expires /s/ .*//p' | xargs -rn1 ip -6 route del dev ${bridge}; ` +
      "then load the rules of: atomicni host-rules < CONFIGURATION",
  )];
}

/** Interfaces, routes and other networks that overlap with the network's subnets. */
export function examineOverlap({ config, overview, links, routes }: Scene): Finding[] {
  const { bridge, name, dataDir, gatewayOnBridge } = config;
  const subnets = subnetsOf(config.sets);
  if (subnets.length === 0) return [];
  const own = subnets.map(formatCidr);
  const ours = own.join(", ");
  const overlaps = (other: Cidr) => subnets.some((subnet) => overlap(subnet, other));
  const addresses = links.filter(({ ifname }) => ifname !== bridge).flatMap((link) =>
    link.addresses.filter(({ ip, prefix }) => {
      const network = networkOf(ip, prefix);
      // The checks of ADD report an interface with the same subnet.
      return overlaps(network) && !(gatewayOnBridge && own.includes(formatCidr(network)));
    }).map((it) =>
      `"${link.ifname}" has ${formatInterfaceAddress(it)}, which overlaps with ${ours}`
    )
  );
  const unusual = routes.filter((it) =>
    it.dev !== bridge && !it.dst.endsWith("/0") && overlaps(parseCidr(it.dst)) &&
    !isUsualRoute(it, links, subnets)
  );
  const ways = unusual.filter(({ dev }) => dev !== "").map(({ dev, dst }) =>
    `a route to ${dst} on "${dev}" overlaps with ${ours}`
  );
  const drops = unusual.filter(({ dev }) => dev === "").map(({ dst }) =>
    warning(
      "subnet",
      `a route that drops packets to ${dst} overlaps with ${ours}`,
      "remove it (ip route del), or choose another subnet; for the whole subnet, a metric above 256 is enough",
    )
  );
  const ranges = config.configuredSets.flat();
  // STATUS advises parts of one subnet as a remedy.
  const isPart = (it: AddressRange) =>
    own.includes(formatCidr(it.subnet)) && !ranges.some((range) => overlapping(range, it));
  let used = ours;
  const others = overview.networks.flatMap(({ held }) => held).flatMap(
    ({ network, dataDir: it, state }) => {
      if (network === name && it === dataDir) return [];
      const given = state.ranges?.flat() ?? [];
      if (given.some(isPart)) used = formatSet(ranges);
      const range = given.find((it) => overlaps(it.subnet) && !isPart(it));
      if (range !== undefined) {
        return [
          `network "${network}" has ${formatCidr(range.subnet)}, which overlaps with ${ours}`,
        ];
      }
      const held = (Object.keys(state.ipToContainer) as Ip[]).find((ip) =>
        ranges.some((range) => inRange(range, ip))
      );
      return held === undefined
        ? []
        : [`network "${network}" holds ${held}, which is in ${ours} too`];
    },
  );
  const found = [...addresses, ...ways, ...others];
  if (found.length + drops.length === 0) {
    return [finding("ok", "subnet", `nothing else uses ${used}`)];
  }
  const remedy = "choose a subnet that nothing else on this host uses (ip addr; ip route)";
  return [...found.map((it) => warning("subnet", it, remedy)), ...drops];
}

/**
 * Whether the route needs no warning. The route of an interface's own address is reported with that address. A route to a larger
 * network, by an interface with addresses, loses against the bridge's more specific route. So does a route that drops packets, as
 * routing daemons set it to announce a subnet, if its metric is larger than that of the bridge's route (IPv4 0, IPv6 256).
 */
function isUsualRoute(
  { dst, dev, metric }: RouteFound,
  links: readonly Link[],
  subnets: readonly Cidr[],
): boolean {
  const { base, prefix } = parseCidr(dst);
  const around = subnets.filter((it) => contains(it, base) && it.prefix <= prefix);
  const precedes = metric > (familyOf(base) === 4 ? 0 : 256);
  if (dev === "") return around.every((it) => it.prefix === prefix && precedes);
  const addresses = links.find(({ ifname }) => ifname === dev)?.addresses ?? [];
  if (around.length === 0) return addresses.length > 0;
  return addresses.some((it) => formatCidr(networkOf(it.ip, it.prefix)) === dst);
}

/** Forwarding as `ip netconf` shows it. `ip` can't show the packet filter. */
export async function examineForwarding({ config, kernel, links }: Scene): Promise<Finding[]> {
  const { bridge, sets, gatewayOnBridge } = config;
  if (sets.length === 0) return [];
  const { ipv4, ipv6 } = await kernel.forwarding(bridge);
  const subnets = subnetsOf(sets);
  // Forwarding may be off for one interface alone; a new bridge takes the setting of `default`.
  const one = links.some(({ ifname }) => ifname === bridge) ? bridge : "default";
  const reached = gatewayOnBridge ? "each other and the gateway" : "each other";
  const seen = [...new Set(subnets.map(({ base }) => familyOf(base)))].map((family) => {
    const what = `IPv${family}`;
    const [isOn, sysctl, more] = family === 4
      ? [
        ipv4,
        "net.ipv4.ip_forward",
        ` net/ipv4/conf/${one}/forwarding=1`,
      ]
      : [
        ipv6,
        "net.ipv6.conf.all.forwarding",
        ", with accept_ra = 2 on the uplink first, or the host loses its own default route",
      ];
    if (isOn === undefined) {
      return finding("note", "forwarding", `ip does not show it for ${what}`, `sysctl ${sysctl}`);
    }
    const between = "the kernel forwards between the bridge and other interfaces";
    if (isOn) return finding("ok", "forwarding", `${what}: ${between}`);
    const off = `${what}: off for "${bridge}": containers reach only ${reached}`;
    return warning("forwarding", off, `sysctl -w ${sysctl}=1${more}`);
  });
  return [
    ...seen,
    finding(
      "note",
      "masquerade",
      `packets that leave the host with an address of ${
        subnets.map(formatCidr).join(", ")
      } need masquerading, or routes back, and a FORWARD policy that accepts them (Docker and firewalld set DROP); ` +
        "ip can't show packet filters",
      "nft list ruleset | grep -E 'masquerade|hook forward'; rules for it: atomicni host-rules < CONFIGURATION",
    ),
  ];
}
