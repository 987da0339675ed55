import type { Json } from "../../integration/host.ts";
import { type Kernel, linkLocalOf } from "./kernel.ts";
import { BRIDGE, GATEWAY, type Network } from "./network.ts";
import { EVE, type Stage, type StageAttachment } from "./stage.ts";

/** A difference between the kernel and the leases, in the same words for each case. */
export type Wrong = readonly [kind: string, about: unknown];

/** All faults, the most significant first. */
export function wrongs(stage: Stage, kernel: Kernel, network = stage.network): Wrong[] {
  const found: Wrong[] = [];
  for (const it of stage.attached.values()) {
    const isExcused = it.id === EVE && stage.stateIsLost;
    if (network.guard && !isExcused) found.push(...port(it, kernel));
  }
  for (const it of stage.honest()) {
    if (network.guard) found.push(...known(it, kernel), ...gateways(it, network, kernel));
  }
  found.push(...querier(kernel), ...addresses(network, kernel));
  if (network.guard || network.rules) found.push(...routes(network, kernel));
  if (network.guard) found.push(...learnt(stage.macs, kernel));
  if (network.guard || network.rules) found.push(...neighbours(network, kernel));
  return found;
}

/** A guarded port is in its bridge, locked, and the only one with its MAC. */
function* port({ veth, mac, id }: StageAttachment, { links, entries }: Kernel): Iterable<Wrong> {
  const whose = id === EVE ? "the attacker's port" : "a port";
  const link = links.find(({ ifname }) => ifname === veth);
  if (link === undefined) return yield [`${whose} is gone`, veth];
  if (link.master !== BRIDGE) return yield [`${whose} is out of the bridge`, veth];
  if (!link.flags.includes("UP")) yield [`${whose} is down`, veth];
  const { locked, learning } = link.linkinfo.info_slave_data;
  if (!locked || learning) yield [`${whose} is not locked`, { veth, locked, learning }];
  const own = entries.filter((it) => it.mac === mac);
  const container = whose.replace("port", "container");
  if (own.some(({ ifname }) => ifname !== veth)) {
    yield [`the MAC of ${container} leads elsewhere`, own];
  } else if (own.length !== 1 || own[0]?.state !== "static") {
    yield [`the MAC of ${container} has no static entry`, own];
  }
}

/** The host's own neighbour entries for a guarded container. */
function* known({ ips, mac, id, ifname }: StageAttachment, kernel: Kernel): Iterable<Wrong> {
  const has6 = ips.some((it) => it.includes(":"));
  const linkLocal = has6 ? linkLocalOf(kernel.inside.get(id)?.links ?? [], ifname) : "";
  for (const ip of [...ips, linkLocal]) {
    const found = kernel.neighbours.filter(({ dst, lladdr }) => dst === ip && lladdr !== undefined);
    if (found.some(({ lladdr, dev }) => lladdr !== mac || dev !== BRIDGE)) {
      yield [`the host looks for a container's ${what(ip)} elsewhere`, found];
    } else if (ip !== linkLocal && !found.some(isPermanent)) {
      yield ["the host's permanent neighbour of a container is gone", { ip, found }];
    }
  }
}

const isPermanent = ({ state }: Json) => state.includes("PERMANENT");
const what = (ip: string) => ip.startsWith("fe80:") ? "link-local address" : "address";

/** A guarded container's own neighbour entries for its gateways. */
function* gateways(
  { id, ifname }: StageAttachment,
  { families }: Network,
  kernel: Kernel,
): Iterable<Wrong> {
  const bridge = kernel.links.find((it) => it.ifname === BRIDGE);
  const inside = (kernel.inside.get(id)?.neighbours ?? []).filter(({ dev }) => dev === ifname);
  for (const family of families) {
    const found = inside.filter(({ dst, lladdr }) => dst === GATEWAY[family] && lladdr);
    if (found.some(({ lladdr }) => lladdr !== bridge?.address)) {
      yield ["a container looks for its gateway elsewhere", { id, found }];
    } else if (!found.some(isPermanent)) {
      yield ["a container has no permanent neighbour for its gateway", { id, inside }];
    }
  }
  const linkLocal = families.includes(6) ? linkLocalOf(kernel.links, BRIDGE) : "";
  const other = inside.find(({ dst, lladdr }) =>
    dst === linkLocal && lladdr !== undefined && lladdr !== bridge?.address
  );
  if (other !== undefined) {
    yield ["a container looks for the bridge's link-local address elsewhere", { id, other }];
  }
}

const isPort = (dev = "") => /^a[vp][0-9a-f]{13}$/.test(dev);

/** A bridge that accepts a container as querier stops IPv6 for all containers once they no longer report. */
function* querier({ queriers }: Kernel): Iterable<Wrong> {
  if (queriers.length > 0) yield ["the bridge takes a container for a multicast querier", queriers];
}

/** Addresses that the host took from a router advertisement. */
function* addresses({ families, rules }: Network, { links }: Kernel): Iterable<Wrong> {
  for (const { ifname, addr_info } of links) {
    const bad = (addr_info ?? []).find(({ scope, dynamic }: Json) =>
      isPort(ifname) ? scope !== "link" : rules && dynamic
    );
    if (bad !== undefined) yield [`the host has a new address on ${place(ifname)}`, bad];
    if (ifname !== BRIDGE) continue;
    for (const family of families) {
      if (!addr_info.some(({ local }: Json) => local === GATEWAY[family])) {
        yield [`the bridge has no IPv${family} gateway`, addr_info];
      }
    }
  }
}

/** Routes that the host took from a frame. */
function* routes({ rules }: Network, kernel: Kernel): Iterable<Wrong> {
  for (const route of kernel.routes) {
    const { dst, dev, protocol, table, type = "unicast" } = route;
    const isKernels = table === "local" || type !== "unicast" ||
      /^(fe80::\/64|ff00::\/8)$/.test(dst);
    const isLearnt = protocol === "ra" || protocol === "redirect";
    if ((isPort(dev) && !isKernels) || (isLearnt && (rules || dev !== BRIDGE))) {
      yield [`the host has a new route on ${place(dev)}`, route];
    }
  }
}

const place = (dev: string) => isPort(dev) ? "a port" : dev;

/** The bridge learns nothing from a guarded port. */
function* learnt(macs: ReadonlySet<string>, { entries, neighbours }: Kernel): Iterable<Wrong> {
  const dynamic = entries.find(({ ifname, state }) => isPort(ifname) && state === "");
  if (dynamic !== undefined) yield ["the bridge learns from a guarded port", dynamic];
  const odd = neighbours.find(({ dev, lladdr }) =>
    dev === BRIDGE && lladdr !== undefined && !macs.has(lladdr)
  );
  if (odd !== undefined) yield ["the host has learnt a MAC that no container has", odd];
}

/** Neighbour entries of the host on interfaces, or for addresses, that should have none. */
function* neighbours(network: Network, kernel: Kernel): Iterable<Wrong> {
  for (const it of kernel.neighbours) {
    if (it.lladdr === undefined || it.dev === "uplink") continue;
    if (it.dev !== BRIDGE) {
      yield ["the host has a neighbour on a port", it];
    } else if (network.rules && !network.ungrouped && isForeign(it.dst, network)) {
      yield ["the host has a neighbour of a foreign address", it];
    }
  }
}

function isForeign(ip: string, { families }: Network): boolean {
  if (ip.includes(":")) return !/^fe80:/.test(ip) && !(families.includes(6) && /^fd88:/.test(ip));
  return !(families.includes(4) && ip.startsWith("10.86.0."));
}
