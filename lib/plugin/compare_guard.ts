import type { Ip } from "../base/address.ts";
import { containerMac } from "../ipam.ts";
import { guardedIps, type Seen } from "../netops.ts";
import { differ, type Expected, listedGateways } from "./expected.ts";

/** One line for each difference in the guard of a port, if the network is guarded (SECURITY.md). */
export function guardDifferences(expected: Expected, seen: Seen): string[] {
  const { config, host, ifname, lease } = expected;
  if (!config.guarded) return [];
  const { bridge, inside, staticEntries, bridgeNeighbours, insideNeighbours } = seen;
  const mac = (lease && containerMac(lease)) ?? inside?.mac;
  const pinned = (
    what: string,
    list: Seen["bridgeNeighbours"],
    ip: Ip,
    wanted: string | undefined,
  ) => {
    const found = list.find((it) => it.ip === ip)?.mac ?? "none";
    return found === wanted
      ? []
      : [`guard of ${what}: expected ${wanted} as permanent neighbour ${ip}, found ${found}`];
  };
  const listed = listedGateways(expected).map(({ ip }) => ip);
  const gateways = bridge === undefined ? [] : guardedIps(listed, bridge.mac);
  const ips = lease?.ips ?? [];
  const entry = staticEntries.map((it) => it.mac).join(", ") || "none";
  return [
    ...differ(`guard of ${host}: locked`, true, seen.host?.port.locked),
    ...differ(`guard of ${host}: learning`, false, seen.host?.port.learning),
    ...differ(`guard of ${host}: bridges reserved frames`, true, seen.host?.port.forwardsReserved),
    ...(staticEntries.some((it) => it.mac === mac)
      ? []
      : [`guard of ${host}: expected the static entry ${mac}, found ${entry}`]),
    ...(mac === undefined ? ips : guardedIps(ips, mac)).flatMap((ip) =>
      pinned(`${host} on ${config.bridge}`, bridgeNeighbours, ip, mac)
    ),
    ...(inside === undefined
      ? []
      : gateways.flatMap((ip) => pinned(ifname, insideNeighbours, ip, bridge?.mac))),
  ];
}
