import { familyOf, formatCidr, formatInterfaceAddress, type Ip } from "../base/address.ts";
import { defined } from "../base/fields.ts";
import type { Mac } from "../base/mac.ts";
import { allocatingRange } from "../base/range.ts";
import type { Invocation, NetworkConfig, Route } from "../config.ts";
import type { Result } from "../result.ts";
import type { MadeVeth } from "./ports.ts";

/** The addresses of an attachment, each with the prefix length and the gateway of its range. */
export function inRanges({ sets }: Pick<NetworkConfig, "sets">, ips: readonly Ip[]) {
  return ips.map((ip) => {
    const range = allocatingRange(sets.flat(), ip);
    const prefix = range?.subnet.prefix ?? (familyOf(ip) === 4 ? 32 : 128);
    return { ip, prefix, gateway: range?.gateway };
  });
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
      ...inRanges(config, ips).map(({ gateway, ...address }) => ({
        interface: first + 2,
        address: formatInterfaceAddress(address),
        ...defined({ gateway }),
      })),
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
  const addresses = inRanges({ sets }, ips);
  return routes.map((route) => {
    const family = familyOf(route.dst.base);
    const gateway = addresses.find(({ ip }) => familyOf(ip) === family)?.gateway;
    if (!route.byLease || gateway === undefined) return route;
    return { ...route, via: gateway, gw: route.gw && gateway };
  });
}
