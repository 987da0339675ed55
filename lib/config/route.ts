import { DEFAULT_ROUTE, familyOf, type Ip } from "../base/address.ts";
import type { RouteSpec } from "../netops.ts";

/** A configured route of the container. */
export interface Route extends RouteSpec {
  /** The configuration's value, for the result. */
  readonly gw: Ip | undefined;
  /** `via` is the first range's gateway; the ADD replaces it by the gateway of the allocated address's range. */
  readonly byLease: boolean;
}

/** The scope of a route on the link. A route with a larger scope has no gateway either. */
export const ON_LINK = 253;

export function defaultRoute(gateway: Ip): Route {
  return { dst: DEFAULT_ROUTE[familyOf(gateway)], via: gateway, gw: gateway, byLease: false };
}

export function isDefault({ dst }: Route): boolean {
  return dst.prefix === 0;
}
