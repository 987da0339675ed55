import { familyOf, type Ip } from "../base/address.ts";
import { rangeOf } from "../base/range.ts";
import type { NetworkConfig, Route } from "../config.ts";

/** The routes of an attachment with these addresses. A set can have several subnets, so the gateway depends on the address. */
export function routesOf(
  { routes, sets }: Pick<NetworkConfig, "routes" | "sets">,
  ips: readonly Ip[],
): readonly Route[] {
  return routes.map((route) => {
    const own = ips.find((ip) => familyOf(ip) === familyOf(route.dst.base));
    const gateway = own && rangeOf(sets, own)?.gateway;
    if (!route.byLease || gateway === undefined) return route;
    return { ...route, via: gateway, gw: route.gw && gateway };
  });
}
