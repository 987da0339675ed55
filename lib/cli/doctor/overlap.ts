import {
  type Cidr,
  contains,
  familyOf,
  formatCidr,
  formatInterfaceAddress,
  type Ip,
  networkOf,
  overlap,
  parseCidr,
} from "../../base/address.ts";
import { type AddressRange, formatSet, inRange, overlapping, subnetsOf } from "../../base/range.ts";
import { othersThan } from "../../ipam.ts";
import type { Link, RouteFound } from "../../netops.ts";
import { type Finding, finding, type Scene, warning } from "./finding.ts";

/** Interfaces, routes and other networks that overlap with the network's subnets. */
export function examineOverlap({ config, overview, links, routes }: Scene): Finding[] {
  const { bridge, gatewayOnBridge } = config;
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
  const others = othersThan(config, overview.networks.flatMap(({ held }) => held));
  const conflicts = others.flatMap(({ network, state }) => {
    const range = state.ranges?.flat().find((it) => overlaps(it.subnet) && !isPart(it));
    if (range !== undefined) {
      return [`network "${network}" has ${formatCidr(range.subnet)}, which overlaps with ${ours}`];
    }
    const held = (Object.keys(state.ipToContainer) as Ip[]).find((ip) =>
      ranges.some((range) => inRange(range, ip))
    );
    return held === undefined
      ? []
      : [`network "${network}" holds ${held}, which is in ${ours} too`];
  });
  const found = [...addresses, ...ways, ...conflicts];
  if (found.length + drops.length === 0) {
    const isShared = others.some(({ state }) => state.ranges?.flat().some(isPart));
    const used = isShared ? formatSet(ranges) : ours;
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
