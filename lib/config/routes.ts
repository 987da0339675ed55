import { type Family, familyOf, type Ip, parseCidr, parseIp } from "../base/address.ts";
import { type Fields, parseInteger } from "../base/fields.ts";
import type { RangeSet } from "../base/range.ts";
import { checkRoute } from "./possible_routes.ts";
import { ON_LINK, type Route } from "./route.ts";

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
    checkRoute(fields, route, { sets, earlier });
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
