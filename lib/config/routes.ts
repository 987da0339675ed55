import {
  contains,
  DEFAULT_ROUTE,
  type Family,
  familyOf,
  formatCidr,
  type Ip,
  isLinkLocal,
  parseCidr,
  parseIp,
} from "../base/address.ts";
import { type Fields, parseInteger } from "../base/fields.ts";
import { type RangeSet, reservedAs, subnetsOf } from "../base/range.ts";
import { LOCAL_TABLE, MAIN_TABLE, metricOf, type RouteSpec } from "../netops.ts";

/** A configured route of the container. */
export interface Route extends RouteSpec {
  /** The configuration's value, for the result. */
  readonly gw: Ip | undefined;
  /** `via` is the first range's gateway; the ADD replaces it by the gateway of the allocated address's range. */
  readonly byLease: boolean;
}

/** The scope of a route on the link. A route with a larger scope has no gateway either. */
const ON_LINK = 253;

export function defaultRoute(gateway: Ip): Route {
  return { dst: DEFAULT_ROUTE[familyOf(gateway)], via: gateway, gw: gateway, byLease: false };
}

/** The gateway of a family's first range. */
export function gatewayOf(sets: readonly RangeSet[], family: Family): Ip | undefined {
  return sets.flat().find(({ gateway }) => familyOf(gateway) === family)?.gateway;
}

/**
 * `ipam.routes`, `undefined` if there is none. A route without `gw` goes through its family's gateway, unless its scope
 * says that it is on the link. Throws InvalidNetworkConfig.
 */
export function readRoutes(ipam: Fields, sets: readonly RangeSet[]): Route[] | undefined {
  const earlier: Route[] = [];
  return ipam.objects("routes", "a route", (fields) => {
    const route = readRoute(fields, sets);
    checkRoute(fields, route, sets, earlier);
    earlier.push(route);
    return route;
  });
}

function readRoute(fields: Fields, sets: readonly RangeSet[]): Route {
  const whole = (key: string, most: number) => fields.optional(key, parseInteger(0, most));
  const dst = fields.required("dst", parseCidr);
  const family = familyOf(dst.base);
  const gateway = gatewayOf(sets, family);
  if (gateway === undefined) {
    const found = `the network has no IPv${family} subnet`;
    fields.reject("dst", "a destination of the network's families", found, "leave the route out");
  }
  const gw = fields.unlessEmpty("gw", (gw) => parseIp(gw, family));
  // The kernel refuses scope 255 (nowhere).
  const scope = whole("scope", 254);
  const isOnLink = scope !== undefined && scope >= ON_LINK;
  return {
    dst,
    byLease: gw === undefined && !isOnLink,
    // The kernel treats an unspecified gateway as absent.
    via: gw === "0.0.0.0" || gw === "::" ? undefined : gw ?? (isOnLink ? undefined : gateway),
    gw,
    mtu: whole("mtu", 65535) || undefined,
    advmss: whole("advmss", 65535) || undefined,
    priority: whole("priority", 2 ** 32 - 1) || undefined,
    table: whole("table", 2 ** 32 - 1),
    scope,
  };
}

/** The metrics of an IPv6 route without one, and of the kernel's own routes. */
const IPV6_METRIC = 1024;
const KERNELS_IPV6_METRIC = 256;

/**
 * Code 7 for a route that the kernel refuses, whatever address the container gets (`fib_create_info`, `ip6_route_add`). A
 * gateway in the subnet of a range that does not give the address is left to the ADD.
 */
function checkRoute(
  fields: Fields,
  route: Route,
  sets: readonly RangeSet[],
  earlier: readonly Route[],
): void {
  const { via, dst, scope = 0 } = route;
  const isIpv4 = familyOf(dst.base) === 4;
  const key = fields.isFilled("gw") ? "gw" : "dst";
  if (isIpv4 && via !== undefined && scope >= ON_LINK) {
    const found = `a route of scope ${scope} has none`;
    fields.reject(key, "the gateway of a route", found, "take out one of the two");
  }
  const broadcast = sets.flat().find(({ subnet }) =>
    isIpv4 && via !== undefined && via !== subnet.base && reservedAs(subnet, via) !== undefined
  );
  if (broadcast !== undefined) {
    const found = `${via} is the broadcast address of ${formatCidr(broadcast.subnet)}`;
    fields.reject(key, "the gateway of a route", found, WITHIN);
  }
  if (!isReached(route, sets, earlier)) {
    fields.reject(key, "a route", `nothing leads to its gateway ${via}`, WITHIN);
  }
  if (isKernels(route, sets)) {
    const found = "the kernel makes the same route itself";
    fields.reject("priority", "the metric of this route", found, "leave the route out");
  }
  const keys = keysOf(route, sets);
  if (earlier.some((it) => keysOf(it, sets).some((key) => keys.includes(key)))) {
    fields.reject("dst", "a further route", "an earlier one is the same", "take out the second");
  }
}

const WITHIN =
  "name a gateway in the network's subnet, or put a route to the gateway itself, on the link, before it";

/** Whether a gateway is in a subnet of the network, link-local, or reached by an earlier route on the link. */
function isReached(
  { via, dst, table }: Route,
  sets: readonly RangeSet[],
  earlier: readonly Route[],
): boolean {
  if (via === undefined) return true;
  if (isLinkLocal(via)) return true;
  const isIpv4 = familyOf(dst.base) === 4;
  return subnetsOf(sets).some((it) => contains(it, via)) ||
    earlier.some((it) =>
      it.via === undefined && contains(it.dst, via) &&
      // The kernel looks up a gateway in the route's own table and in the main one.
      [MAIN_TABLE, table || MAIN_TABLE].includes(it.table || MAIN_TABLE) &&
      (!isIpv4 || (it.scope ?? ON_LINK) >= ON_LINK)
    );
}

/** An IPv6 route on the link that comes with the container's address. Those of IPv4 may be there twice. */
function isKernels({ via, dst, priority, table }: Route, sets: readonly RangeSet[]): boolean {
  if (via !== undefined || familyOf(dst.base) === 4 || priority !== KERNELS_IPV6_METRIC) {
    return false;
  }
  const own = [...subnetsOf(sets).map(formatCidr), "fe80::/64"].map((it) => `${MAIN_TABLE} ${it}`);
  return [...own, `${LOCAL_TABLE} ff00::/8`].includes(`${table || MAIN_TABLE} ${formatCidr(dst)}`);
}

/** The parts by which the kernel distinguishes routes, for each gateway that the route may get. */
function keysOf(route: Route, sets: readonly RangeSet[]): string[] {
  const { dst, via, table, mtu, advmss, scope, byLease } = route;
  const family = familyOf(dst.base);
  const gateways = sets.flat().flatMap((it) => familyOf(it.gateway) === family ? it.gateway : []);
  const more = family === 4
    ? [metricOf(route) ?? 0, mtu, advmss, scope ?? (via ? 0 : ON_LINK)]
    : [metricOf(route) ?? IPV6_METRIC];
  return (byLease ? gateways : [via]).map((via) =>
    [formatCidr(dst), via, table || MAIN_TABLE, ...more].join(" ")
  );
}
