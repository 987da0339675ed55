import {
  type Cidr,
  familyOf,
  formatCidr,
  type InterfaceAddress,
  type Ip,
  networkOf,
  sameNetwork,
} from "../base/address.ts";
import { CniError } from "../base/errors.ts";
import type { Mac } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import { addAddress } from "./bridge.ts";
import { pinCommand, type Pinned } from "./guard.ts";
import { batchInside, linksInside, shownInside } from "./inside.ts";
import { type Batch, dump, ipFailed, parseIpJson, type RunIp } from "./ip.ts";
import { LOCAL_TABLE, MAIN_TABLE, parseRoutes, type RouteFound } from "./links.ts";
import { isNamed } from "./host.ts";

/** A route of the container; without `via` its destination is on the link. */
export interface RouteSpec {
  readonly dst: Cidr;
  readonly via: Ip | undefined;
  readonly mtu?: number | undefined;
  readonly advmss?: number | undefined;
  readonly priority?: number | undefined;
  readonly table?: number | undefined;
  readonly scope?: number | undefined;
}

/** The configuration of the container's end of the veth. */
export interface ContainerSpec {
  readonly netns: string;
  readonly ifname: InterfaceName;
  /** Index of `ifname` in the container, so that a replacement made by another run is not configured. */
  readonly ifindex: number | undefined;
  readonly mac: Mac;
  readonly up: boolean;
  readonly addresses: readonly InterfaceAddress[];
  readonly routes: readonly RouteSpec[];
  /** The link-local address must be derived from the MAC. */
  readonly guarded: boolean;
  /** The gateways, with the MAC of the bridge. */
  readonly neighbours: readonly Pinned[];
}

/** Sets MAC, addresses and routes and sets the interface up, in one batch. Throws InvalidNetNS, IpFailed. */
export async function configure(
  run: RunIp,
  spec: ContainerSpec,
  batch: Batch = batchInside(run, spec.netns),
): Promise<void> {
  const { ifname, netns, ifindex } = spec;
  const ranks = spec.routes.some(mayOutrank);
  const commands = [...(ranks ? [LIST_IPV6_DEFAULTS] : []), ...containerCommands(spec)];
  const output = await batch(commands);
  if (output.success) {
    const others = ranks ? (parseIpJson(output)[0] ?? []).flatMap(parseRoutes) : [];
    const outranked = conflictWith(others.filter(({ isDynamic }) => !isDynamic), spec);
    if (outranked !== undefined) throw outranked;
    return;
  }
  const links = await linksInside(run, netns);
  const link = links.find(isNamed(ifname));
  // `ip` took `if3` as the name of another interface. That was the first command, so nothing changed yet.
  const isMistaken = ifindex !== undefined && ifname !== `if${ifindex}` &&
    links.some(isNamed(`if${ifindex}`));
  if (isMistaken && link?.ifindex === ifindex) {
    return await configure(run, { ...spec, ifindex: undefined });
  }
  if (link === undefined || (ifindex ?? link.ifindex) !== link.ifindex) {
    throw ipFailed(`configure "${ifname}", which is gone from "${netns}"`, output);
  }
  const list = [...shownInside(netns), "route", "show", "table", "all"];
  const routes = (await dump(run, "list the container's routes", list)).flatMap(parseRoutes);
  const failed = conflictWith(routes, spec) ??
    ipFailed(`configure "${ifname}" in "${netns}"`, output);
  const lacksIpv6 = spec.addresses.some(({ ip }) =>
    familyOf(ip) === 6 && !link.addresses.some((it) => it.ip === ip)
  );
  throw lacksIpv6
    ? failed.withDetails(
      "if IPv6 is switched off in the container: sysctl net.ipv6.conf.default.disable_ipv6=0 there (runtimes have a setting)",
    )
    : failed;
}

/** The error for a wanted route whose destination another interface already has; `undefined` if no route conflicts. */
function conflictWith(
  there: readonly RouteFound[],
  { ifname, routes }: ContainerSpec,
): CniError | undefined {
  const found = there.find((route) =>
    route.dev !== ifname && route.table === MAIN_TABLE &&
    routes.some(({ dst }) => formatCidr(dst) === route.dst)
  );
  if (found === undefined) return undefined;
  const leads = `${found.gw === undefined ? "" : `via ${found.gw} `}dev ${found.dev}`;
  return new CniError(
    "IpFailed",
    `Cannot add a route to "${found.dst}" for "${ifname}": one ${leads} is there already`,
    'for a second network of a container, set "ipam": {"routes": []}, or routes that the container lacks',
  );
}

function containerCommands(
  { ifname, ifindex, mac, up, addresses, routes, guarded, neighbours }: ContainerSpec,
): string[][] {
  const hasIpv6 = addresses.some(({ ip }) => familyOf(ip) === 6);
  return [
    // Fails if the interface of that index has another name by now. The later commands use the name.
    ...(ifindex === undefined ? [] : [["link", "set", "dev", `if${ifindex}`, "name", ifname]]),
    // Before `up`, because the kernel creates the link-local address then.
    ...(guarded && hasIpv6 ? [["link", "set", "dev", ifname, "addrgenmode", "eui64"]] : []),
    ["link", "set", "dev", ifname, "address", mac, ...(up ? ["up"] : [])],
    ...addresses.map((it) => addAddress(it, ifname)),
    ...routes.map((route, index) => {
      // A second next hop of ours is appended; a destination that another interface has is a conflict.
      const again = routes.slice(0, index).some((it) =>
        formatCidr(it.dst) === formatCidr(route.dst) &&
        (it.table || MAIN_TABLE) === (route.table || MAIN_TABLE) && metricOf(it) === metricOf(route)
      );
      const verb = again ? "append" : mayDuplicateKernelRoute(route, addresses) ? "prepend" : "add";
      return ["route", verb, ...routeArguments(route, ifname)];
    }),
    ...neighbours.map((it) => pinCommand(it, ifname)),
  ];
}

/** Whether the kernel may have made this route with the address: `add` would fail, and the reference uses `prepend`. */
function mayDuplicateKernelRoute(
  { dst, table }: RouteSpec,
  addresses: readonly InterfaceAddress[],
): boolean {
  return table === LOCAL_TABLE || formatCidr(dst) === "fe80::/64" ||
    addresses.some(({ ip, prefix }) => sameNetwork(networkOf(ip, prefix), dst));
}

/** Below 1024, the metric of routes from router advertisements, which may exist already. */
const IPV6_DEFAULT_METRIC = 512;

/** Lists the IPv6 default routes of each table. */
const LIST_IPV6_DEFAULTS = ["route", "show", "table", "all", "exact", "::/0"];

function isIpv6Default({ base, prefix }: Cidr): boolean {
  return familyOf(base) === 6 && prefix === 0;
}

/**
 * Whether the route is an IPv6 default route that could silently outrank an existing one. An IPv4 default route has the
 * metric of the existing one, so the kernel refuses it.
 */
function mayOutrank({ dst, priority, table }: RouteSpec): boolean {
  return isIpv6Default(dst) && priority === undefined && (table || MAIN_TABLE) === MAIN_TABLE;
}

/** The metric of a route; `undefined` means the kernel's default. */
export function metricOf({ dst, priority }: Pick<RouteSpec, "dst" | "priority">) {
  return priority ?? (isIpv6Default(dst) ? IPV6_DEFAULT_METRIC : undefined);
}

function routeArguments(route: RouteSpec, dev: string): string[] {
  const { dst, via, mtu, advmss, table, scope } = route;
  const option = (name: string, value: number | undefined) =>
    value === undefined ? [] : [name, String(value)];
  const isIpv6 = familyOf(dst.base) === 6;
  return [
    formatCidr(dst),
    ...(via === undefined ? [] : ["via", via]),
    ...["dev", dev],
    ...option("mtu", mtu),
    ...option("advmss", advmss),
    ...option("metric", metricOf(route)),
    ...option("table", table),
    // An IPv6 route has no scope.
    ...(isIpv6 ? [] : option("scope", scope)),
  ];
}
