import { contains, familyOf, formatCidr, parseCidr } from "../base/address.ts";
import type { Fields } from "../base/fields.ts";
import { type RangeSet, reservedAs, subnetsOf } from "../base/range.ts";
import { LOCAL_TABLE, MAIN_TABLE, metricOf } from "../netops.ts";
import { ON_LINK, type Route } from "./route.ts";

/** The container's routing before a route is added. */
interface Before {
  readonly sets: readonly RangeSet[];
  readonly earlier: readonly Route[];
}

/** The metrics of an IPv6 route without one, and of the kernel's own routes. */
const IPV6_METRIC = 1024;
const KERNELS_IPV6_METRIC = 256;
const LINK_LOCAL = parseCidr("fe80::/10");

/**
 * Code 7 for a route that the kernel refuses, whatever address the container gets (`fib_create_info`, `ip6_route_add`). A
 * gateway in the subnet of a range that does not give the address is left to the ADD.
 */
export function checkRoute(fields: Fields, route: Route, before: Before): void {
  const { via, dst, scope = 0 } = route;
  const isIpv4 = familyOf(dst.base) === 4;
  const key = fields.isFilled("gw") ? "gw" : "dst";
  if (isIpv4 && via !== undefined && scope >= ON_LINK) {
    const found = `a route of scope ${scope} has none`;
    fields.reject(key, "the gateway of a route", found, "take out one of the two");
  }
  const broadcast = before.sets.flat().find(({ subnet }) =>
    isIpv4 && via !== undefined && via !== subnet.base && reservedAs(subnet, via) !== undefined
  );
  if (broadcast !== undefined) {
    const found = `${via} is the broadcast address of ${formatCidr(broadcast.subnet)}`;
    fields.reject(key, "the gateway of a route", found, WITHIN);
  }
  if (!isReached(route, before)) {
    fields.reject(key, "a route", `nothing leads to its gateway ${via}`, WITHIN);
  }
  if (isKernels(route, before)) {
    const found = "the kernel makes the same route itself";
    fields.reject("priority", "the metric of this route", found, "leave the route out");
  }
  const keys = keysOf(route, before.sets);
  if (before.earlier.some((it) => keysOf(it, before.sets).some((key) => keys.includes(key)))) {
    fields.reject("dst", "a further route", "an earlier one is the same", "take out the second");
  }
}

const WITHIN =
  "name a gateway in the network's subnet, or put a route to the gateway itself, on the link, before it";

/** Whether a gateway is in a subnet of the network, link-local, or reached by an earlier route on the link. */
function isReached({ via, dst, table }: Route, { sets, earlier }: Before): boolean {
  if (via === undefined) return true;
  const isIpv4 = familyOf(dst.base) === 4;
  if (!isIpv4 && contains(LINK_LOCAL, via)) return true;
  return subnetsOf(sets).some((it) => contains(it, via)) ||
    earlier.some((it) =>
      it.via === undefined && contains(it.dst, via) &&
      // The kernel looks up a gateway in the route's own table and in the main one.
      [MAIN_TABLE, table || MAIN_TABLE].includes(it.table || MAIN_TABLE) &&
      (!isIpv4 || (it.scope ?? ON_LINK) >= ON_LINK)
    );
}

/** An IPv6 route on the link that comes with the container's address. Those of IPv4 may be there twice. */
function isKernels({ via, dst, priority, table }: Route, { sets }: Before): boolean {
  if (via !== undefined || familyOf(dst.base) === 4 || priority !== KERNELS_IPV6_METRIC) {
    return false;
  }
  const own = (table || MAIN_TABLE) === MAIN_TABLE
    ? [...subnetsOf(sets).map(formatCidr), "fe80::/64"]
    : table === LOCAL_TABLE
    ? ["ff00::/8"]
    : [];
  return own.includes(formatCidr(dst));
}

/** The parts by which the kernel distinguishes routes, for each gateway that the route may get. */
function keysOf(route: Route, sets: readonly RangeSet[]): string[] {
  const { dst, via, table, mtu, advmss, scope, byLease } = route;
  const family = familyOf(dst.base);
  const gateways = sets.flat().map(({ gateway }) => gateway).filter((it) =>
    familyOf(it) === family
  );
  const more = family === 4
    ? [metricOf(route) ?? 0, mtu, advmss, scope ?? (via ? 0 : ON_LINK)]
    : [metricOf(route) ?? IPV6_METRIC];
  return (byLease ? gateways : [via]).map((via) =>
    [formatCidr(dst), via, table || MAIN_TABLE, ...more].join(" ")
  );
}
