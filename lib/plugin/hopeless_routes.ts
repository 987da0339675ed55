import { contains, familyOf, formatCidr, parseCidr } from "../base/address.ts";
import { CniError } from "../base/errors.ts";
import { subnetsOf } from "../base/range.ts";
import type { NetworkConfig, Route } from "../config.ts";
import { MAIN_TABLE, metricOf } from "../netops.ts";

/**
 * Throws IpFailed for a route that the kernel refuses whatever address the container gets. A gateway in the subnet of a
 * range that does not give the address is left to the ADD.
 */
export function mustTakeRoutes({ routes, sets }: NetworkConfig): void {
  const subnets = subnetsOf(sets);
  for (const [index, route] of routes.entries()) {
    const earlier = routes.slice(0, index);
    const { via, scope = 0 } = route;
    const isIpv4 = familyOf(route.dst.base) === 4;
    const isReached = via === undefined || (!isIpv4 && contains(parseCidr("fe80::/10"), via)) ||
      subnets.some((it) => contains(it, via)) ||
      earlier.some((it) => it.via === undefined && contains(it.dst, via));
    if (!isReached) throw refused(route, `nothing leads to its gateway ${via}`, WITHIN);
    if (via !== undefined && isIpv4 && scope >= ON_LINK) {
      throw refused(route, `one of scope ${scope} has no gateway`, "take out one of the two");
    }
    if (earlier.some((it) => keyOf(it) === keyOf(route))) {
      throw refused(route, "it is there already", "take out the second");
    }
  }
}

const ON_LINK = 253;
const WITHIN =
  "name a gateway in the network's subnet, or put a route to the gateway itself, on the link, before it";

function refused({ dst }: Route, found: string, remedy: string): CniError {
  return new CniError("IpFailed", `Cannot add a route to "${formatCidr(dst)}": ${found}`, {
    details: remedy,
  });
}

/** By what the kernel tells one route from another. */
function keyOf(route: Route): string {
  const { dst, via, table, mtu, advmss, scope } = route;
  const more = familyOf(dst.base) === 4 ? [mtu, advmss, scope ?? (via ? 0 : ON_LINK)] : [];
  return [formatCidr(dst), via, table || MAIN_TABLE, metricOf(route), ...more].join(" ");
}
