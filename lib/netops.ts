/** Every change to the kernel and every read of it, all by `ip`: bridge, veth, guard, the container's namespace. */
import type { Ip } from "./base/address.ts";
import type { InterfaceName } from "./base/names.ts";
import { bridgeChange, type BridgeSpec, checkMtu, checkPorts, lacksIpv6 } from "./netops/bridge.ts";
import { configure, type ContainerSpec } from "./netops/container.ts";
import { guard, guardedIps, type GuardSpec, pinInside, type Pinned } from "./netops/guard.ts";
import { checkIpCanLock, checkLockable, isTooOldToLock } from "./netops/guardable.ts";
import {
  flushNeighbours,
  hostLink,
  hostLinks,
  isNamed,
  removeLink,
  removeProven,
  SHOWN,
} from "./netops/host.ts";
import { cannotEnterAny, shownInside } from "./netops/inside.ts";
import { type AttachmentSpec, inspect, type Seen } from "./netops/inspect.ts";
import { outputOf, type RunIp } from "./netops/ip.ts";
import type { Link, RouteFound } from "./netops/links.ts";
import { type PortFault, portFaults, type PortSpec, reattach } from "./netops/ports.ts";
import { attach, type Attempt, type VethSpec } from "./netops/veth.ts";
import {
  bridgeFailed,
  type BridgeUse,
  ensureBridge,
  type EnsuredBridge,
  settleMac,
} from "./netops/ensure_bridge.ts";
import { Processes } from "./netops/processes.ts";
import {
  cannotHaveIpv6,
  cannotMakeVeth,
  type Forwarding,
  forwarding,
  hostRoutes,
  type NoVeth,
} from "./netops/probe.ts";
import { type SeenVeth, view } from "./netops/view.ts";
import type { Rollback } from "./rollback.ts";

export type { BridgeSpec } from "./netops/bridge.ts";
export { isSame } from "./netops/addresses.ts";
export { MOST_PORTS } from "./netops/bridge.ts";
export { type ContainerSpec, metricOf } from "./netops/container.ts";
export type { GuardSpec, Pinned } from "./netops/guard.ts";
export type { Seen } from "./netops/inspect.ts";
export type { RunIp } from "./netops/ip.ts";
export {
  type Link,
  type LinkAddress,
  LOCAL_TABLE,
  MAIN_TABLE,
  type RouteFound,
} from "./netops/links.ts";
export type { PortFault, PortSpec } from "./netops/ports.ts";
export type { VethSpec } from "./netops/veth.ts";
export type { SeenVeth } from "./netops/view.ts";

/** The operations on the kernel. Each throws IpFailed if `ip` fails and TryAgainLater if `ip` takes too long. */
export interface Kernel {
  /** Tries to create the veth. InvalidNetNS, InterfaceExists, BridgeUnusable. */
  attach(spec: VethSpec, undo: Rollback): Promise<Attempt>;
  /** Changes the bridge `found` to match the spec, or creates it. BridgeUnusable. */
  ensureBridge(
    use: BridgeUse,
    found: Link | undefined,
    undo: Rollback,
  ): Promise<EnsuredBridge>;
  /** Fixes the MAC of a bridge if it follows the MACs of its ports; `before` is the bridge without the new port. */
  settleMac(spec: BridgeSpec, before: Link, ready: Link): Promise<Link>;
  /** Sets MAC, addresses and routes inside the container, and sets the interface up. InvalidNetNS. */
  configure(spec: ContainerSpec): Promise<void>;
  /** Binds the port to the MAC of the attachment, and its addresses to that MAC on the bridge (SECURITY.md). */
  guard(spec: GuardSpec, undo: Rollback): Promise<void>;
  /** Restores a container's permanent neighbours; returns whether one was missing or wrong. */
  pinInside(netns: string, ifname: InterfaceName, wanted: readonly Pinned[]): Promise<boolean>;
  /** Puts ports into the bridge, closed until each has its guard; returns the remaining differences from their specs. */
  reattach(bridge: InterfaceName, ports: readonly PortSpec[]): Promise<PortFault[]>;
  /** Compares ports with their specs; returns the differences. */
  portFaults(bridge: InterfaceName, ports: readonly PortSpec[]): Promise<PortFault[]>;
  /** Flushes the neighbours `ips` on the bridge; succeeds if the bridge does not exist. */
  flushNeighbours(bridge: InterfaceName, ips: readonly Ip[]): Promise<void>;
  /** Removes the host veth of that name if it has that MAC; returns whether it did. */
  detach(host: string, mac: string): Promise<boolean>;
  /** Removes this host veth by index and name; a replacement that another run created stays. */
  remove(host: Link): Promise<void>;
  /** The interface of that name. */
  link(ifname: string): Promise<Link | undefined>;
  /** Every interface of the host. */
  links(): Promise<Link[]>;
  /** Every veth of the host. Includes the other end of those that `needsInspection` selects; also searches the namespace at `netns`. */
  view(needsInspection: (link: Link) => boolean, netns?: string): Promise<SeenVeth[]>;
  /** Starts the `ip` that `inspect` will use in that namespace, or without one that `flushNeighbours` will use. */
  startAhead(netns?: string): void;
  /** Reads everything that CHECK compares. InvalidNetNS if the namespace can't be entered. */
  inspect(spec: AttachmentSpec): Promise<Seen>;
  /** Throws BridgeUnusable or IpFailed if an ADD could not make the bridge match its spec. */
  inspectBridge(spec: BridgeSpec, links?: readonly Link[]): Promise<void>;
  /** The output of `ip -V`. */
  version(): Promise<string>;
  /** The complaint of `ip` if it can't enter any namespace; otherwise `undefined`. */
  cannotEnter(): Promise<string | undefined>;
  /** The reason why the host can't create a veth; `undefined` if it can. */
  cannotMakeVeth(): Promise<NoVeth | undefined>;
  /** The host's routes in its main tables. */
  routes(): Promise<RouteFound[]>;
  forwarding(bridge: InterfaceName): Promise<Forwarding>;
  /** Resolves when every running `ip` has received all its commands. Work done after that does not delay `ip`. */
  commandsSent(): Promise<void>;
  /** Ends the processes that were started ahead and not used, and those that still run. */
  close(): Promise<void>;
}

/** The kernel of this host. Starts at once the `ip` that `command` needs first; `run` replaces the host's `ip` in tests. */
export function openKernel(command?: string, run?: RunIp): Kernel {
  const processes = new Processes();
  const ip = run ?? processes.run;
  const startAhead = (options: readonly string[]) => {
    if (run === undefined) processes.start(options);
  };
  if (command === "ADD" || command === "CHECK" || command === "DEL") startAhead(SHOWN);
  return {
    attach: async (spec, undo) => {
      const attaching = attach(ip, spec, undo);
      // This `ip` starts while the kernel creates the veth.
      startAhead(shownInside(spec.netns));
      return await attaching;
    },
    ensureBridge: (use, found, undo) => ensureBridge(ip, use, found, undo),
    settleMac: (spec, before, ready) => settleMac(ip, spec, before, ready),
    configure: (spec) => configure(ip, spec),
    guard: (spec, undo) => guard(ip, spec, undo),
    pinInside: (netns, ifname, wanted) => pinInside(ip, netns, ifname, wanted),
    reattach: (bridge, ports) => reattach(ip, bridge, ports),
    portFaults: (bridge, ports) => portFaults(ip, bridge, ports),
    flushNeighbours: (bridge, ips) => flushNeighbours(ip, bridge, ips),
    detach: (host, mac) => removeProven(ip, host, mac),
    remove: (host) => removeLink(ip, host),
    link: (ifname) => hostLink(ip, ifname),
    links: () => hostLinks(ip),
    view: (needsInspection, netns) => view(ip, needsInspection, netns),
    startAhead: (netns) => startAhead(netns === undefined ? [] : shownInside(netns)),
    inspect: (spec) => inspect(ip, spec),
    inspectBridge: async (spec, known) => {
      const links = known ?? await hostLinks(ip);
      const bridge = links.find(isNamed(spec.name));
      bridgeChange(spec, bridge);
      checkPorts(spec.name, links);
      checkMtu(spec, links);
      if (bridge === undefined || !lacksIpv6(spec, bridge)) return;
      const said = await cannotHaveIpv6(ip, spec.name);
      if (said !== undefined) throw bridgeFailed(spec, said);
    },
    version: async () => (await outputOf("read the version of ip", ip(["-V"]))).stdout.trim(),
    cannotEnter: () => cannotEnterAny(ip),
    cannotMakeVeth: () => cannotMakeVeth(ip),
    routes: () => hostRoutes(ip),
    forwarding: (bridge) => forwarding(ip, bridge),
    commandsSent: () => processes.fed(),
    close: () => processes.end(),
  };
}

export { checkIpCanLock, checkLockable, guardedIps, isTooOldToLock };
