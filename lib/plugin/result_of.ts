import {
  familyOf,
  formatCidr,
  formatInterfaceAddress,
  type InterfaceAddress,
  type Ip,
} from "../base/address.ts";
import { defined } from "../base/fields.ts";
import type { Mac } from "../base/mac.ts";
import { allocatingRange } from "../base/range.ts";
import type { Invocation, NetworkConfig, Route } from "../config.ts";
import type { Result } from "../result.ts";
import type { MadeVeth } from "./ports.ts";

/** The address with the prefix length of its subnet. */
export function withPrefix({ sets }: Pick<NetworkConfig, "sets">, ip: Ip): InterfaceAddress {
  return {
    ip,
    prefix: allocatingRange(sets.flat(), ip)?.subnet.prefix ?? (ip.includes(":") ? 128 : 32),
  };
}

/** The result of an ADD, appended to the result of the earlier plugins of the chain (rules R9, R12). */
export function resultOf(
  config: NetworkConfig,
  { ifname, netns }: Invocation,
  { bridge, host }: MadeVeth,
  ips: readonly Ip[],
  mac: Mac,
): Result {
  const previous: Result = config.prevResult ?? { interfaces: [], ips: [], routes: [], dns: {} };
  const first = previous.interfaces.length;
  return {
    interfaces: [
      ...previous.interfaces,
      { name: bridge.ifname, mac: bridge.mac, mtu: bridge.mtu },
      { name: host.ifname, mac: host.mac, mtu: host.mtu },
      { name: ifname, mac, mtu: host.mtu, sandbox: netns },
    ],
    ips: [
      ...previous.ips,
      ...ips.map((ip) => {
        const gateway = allocatingRange(config.sets.flat(), ip)?.gateway;
        return {
          interface: first + 2,
          address: formatInterfaceAddress(withPrefix(config, ip)),
          ...defined({ gateway }),
        };
      }),
    ],
    routes: [
      ...previous.routes,
      ...routesOf(config, ips).map(({ dst, gw, mtu, advmss, priority, table, scope }) => ({
        dst: formatCidr(dst),
        ...defined({ gw, mtu, advmss, priority, table, scope }),
      })),
    ],
    dns: Object.keys(config.dns).length > 0 ? config.dns : previous.dns,
  };
}

/** The routes of an attachment with these addresses. A set can have several subnets, so the gateway depends on the address. */
export function routesOf(
  { routes, sets }: Pick<NetworkConfig, "routes" | "sets">,
  ips: readonly Ip[],
): readonly Route[] {
  return routes.map((route) => {
    const own = ips.find((ip) => familyOf(ip) === familyOf(route.dst.base));
    const gateway = own && allocatingRange(sets.flat(), own)?.gateway;
    if (!route.byLease || gateway === undefined) return route;
    return { ...route, via: gateway, gw: route.gw && gateway };
  });
}
