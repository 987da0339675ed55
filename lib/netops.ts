/** What is done to the kernel, all of it by `ip`: bridge, veth, guard, the container's side, and what is read back. */
import type { Ip } from "./base/address.ts";
import type { InterfaceName } from "./base/names.ts";
import { bridgeChange, type BridgeSpec, checkMtu, checkPorts, lacksIpv6 } from "./netops/bridge.ts";
import { configure, type ContainerSpec } from "./netops/container.ts";
import { guard, guardedIps, type GuardSpec, pinInside, type Pinned } from "./netops/guard.ts";
import { isTooOldToLock, mustBeGuardable, mustKnowLocked } from "./netops/guardable.ts";
import {
  forgetNeighbours,
  hostLink,
  hostLinks,
  hostVeths,
  named,
  removeLink,
  removeNamed,
  SHOWN,
} from "./netops/host.ts";
import { cannotEnterAny, enter, type Inside, shownInside } from "./netops/inside.ts";
import { type AttachmentSpec, inspect, type Seen } from "./netops/inspect.ts";
import { must, type RunIp } from "./netops/ip.ts";
import type { Link, RouteFound } from "./netops/links.ts";
import { type PortFault, portFaults, type PortSpec, reattach } from "./netops/ports.ts";
import { attach, type Attempt, type VethSpec } from "./netops/veth.ts";
import {
  bridgeFailed,
  type BridgeUse,
  ensureBridge,
  type EnsuredBridge,
  settleMac,
} from "./netops/mend.ts";
import { Processes } from "./netops/processes.ts";
import {
  cannotHaveIpv6,
  cannotMakeVeth,
  type Forwarding,
  forwarding,
  hostRoutes,
  type NoVeth,
} from "./netops/probe.ts";
import { inspectPeers, type SeenVeth, view } from "./netops/view.ts";
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

/** What is done to the kernel. Each throws IpFailed where `ip` fails and TryAgainLater where it takes too long. */
export interface Kernel {
  /** Tries to make the veth. InvalidNetNS, InterfaceExists, BridgeUnusable. */
  attach(spec: VethSpec, undo: Rollback): Promise<Attempt>;
  /** Makes the bridge of the spec out of `found`, or from nothing. BridgeUnusable. */
  ensureBridge(
    use: BridgeUse,
    found: Link | undefined,
    undo: Rollback,
  ): Promise<EnsuredBridge>;
  /** Fixes the MAC of a bridge that would follow its ports; `before` is the bridge without the new port. */
  settleMac(spec: BridgeSpec, before: Link, ready: Link): Promise<Link>;
  /** MAC, up, addresses and routes inside the container. InvalidNetNS. */
  configure(spec: ContainerSpec): Promise<void>;
  /** Lets nobody but the attachment speak from its port, and nobody else for it (SECURITY.md). */
  guard(spec: GuardSpec, undo: Rollback): Promise<void>;
  /** Puts a container's permanent neighbours back; says whether one was gone or wrong. */
  pinInside(netns: string, ifname: InterfaceName, wanted: readonly Pinned[]): Promise<boolean>;
  /** Puts ports into the bridge, closed until each has its guard; returns what is wrong with each in the end. */
  reattach(bridge: InterfaceName, ports: readonly PortSpec[]): Promise<PortFault[]>;
  /** Compares ports with their specs; returns the differences. */
  portFaults(bridge: InterfaceName, ports: readonly PortSpec[]): Promise<PortFault[]>;
  /** Makes the host ask anew for the MACs behind `ips`; success where there is no such bridge. */
  forgetNeighbours(bridge: InterfaceName, ips: readonly Ip[]): Promise<void>;
  /** Removes a host veth; says whether there was one. */
  detach(host: string): Promise<boolean>;
  /** Removes this very host veth; one that another run has put in its place stays. */
  remove(host: Link): Promise<void>;
  /** The interface of that name. */
  link(ifname: string): Promise<Link | undefined>;
  /** Every interface of the host. */
  links(): Promise<Link[]>;
  /** Every veth of the host, by name, whoever made it; without addresses. */
  veths(): Promise<Map<string, Link>>;
  /** What is behind each of these host veths, by name; left out where its namespace can't be found. */
  lookInside(hosts: readonly Link[]): Promise<Map<string, Inside>>;
  /** Every veth of the host; those that `isInDoubt` selects with the other end, also if that is in the namespace at `netns`. */
  view(isInDoubt: (link: Link) => boolean, netns?: string): Promise<SeenVeth[]>;
  /** Starts what `inspect` will run in that namespace. */
  willInspect(netns: string): void;
  /** InvalidNetNS where the namespace can't be entered. */
  inspect(spec: AttachmentSpec): Promise<Seen>;
  /** BridgeUnusable, IpFailed where the bridge could not be made what is configured. */
  inspectBridge(spec: BridgeSpec, links?: readonly Link[]): Promise<void>;
  /** What `ip -V` says of itself. */
  version(): Promise<string>;
  /** What `ip` says where it can enter no namespace; `undefined` where it can. */
  cannotEnter(): Promise<string | undefined>;
  /** Why no veth can be made; `undefined` where one can. */
  cannotMakeVeth(): Promise<NoVeth | undefined>;
  /** The host's routes in its main tables. */
  routes(): Promise<RouteFound[]>;
  forwarding(bridge: InterfaceName): Promise<Forwarding>;
  /** Resolves when `ip` has been told all that was asked for so far: what is done from then on keeps it waiting no more. */
  told(): Promise<void>;
  /** Ends what was started ahead and not needed, or is not waited for any more. */
  close(): Promise<void>;
}

/** The kernel of this host. What `command` will run first is started at once; `run` stands in for the host's `ip`. */
export function openKernel(command?: string, run?: RunIp): Kernel {
  const processes = new Processes();
  const ip = run ?? processes.run;
  const prepare = (options: readonly string[]) => {
    if (run === undefined) processes.start(options);
  };
  if (command === "ADD" || command === "CHECK") prepare(SHOWN);
  if (command === "DEL") [SHOWN, []].forEach(prepare);
  return {
    attach: async (spec, undo) => {
      const attaching = attach(ip, spec, undo);
      // It starts while the kernel is at work on the veth.
      prepare(enter(spec.netns));
      return await attaching;
    },
    ensureBridge: (use, found, undo) => ensureBridge(ip, use, found, undo),
    settleMac: (spec, before, ready) => settleMac(ip, spec, before, ready),
    configure: (spec) => configure(ip, spec),
    guard: (spec, undo) => guard(ip, spec, undo),
    pinInside: (netns, ifname, wanted) => pinInside(ip, netns, ifname, wanted),
    reattach: (bridge, ports) => reattach(ip, bridge, ports),
    portFaults: (bridge, ports) => portFaults(ip, bridge, ports),
    forgetNeighbours: (bridge, ips) => forgetNeighbours(ip, bridge, ips),
    detach: (host) => removeNamed(ip, host),
    remove: (host) => removeLink(ip, host),
    link: (ifname) => hostLink(ip, ifname),
    links: () => hostLinks(ip),
    veths: () => hostVeths(ip),
    lookInside: (hosts) => inspectPeers(ip, hosts),
    view: (isInDoubt, netns) => view(ip, isInDoubt, netns),
    willInspect: (netns) => prepare(shownInside(netns)),
    inspect: (spec) => inspect(ip, spec),
    inspectBridge: async (spec, known) => {
      const links = known ?? await hostLinks(ip);
      const bridge = links.find(named(spec.name));
      bridgeChange(spec, bridge);
      checkPorts(spec.name, links);
      checkMtu(spec, links);
      if (bridge === undefined || !lacksIpv6(spec, bridge)) return;
      const said = await cannotHaveIpv6(ip, spec.name);
      if (said !== undefined) throw bridgeFailed(spec, said);
    },
    version: async () => (await must("ask ip for its version", ip(["-V"]))).stdout.trim(),
    cannotEnter: () => cannotEnterAny(ip),
    cannotMakeVeth: () => cannotMakeVeth(ip),
    routes: () => hostRoutes(ip),
    forwarding: (bridge) => forwarding(ip, bridge),
    told: () => processes.fed(),
    close: () => processes.end(),
  };
}

export { guardedIps, isTooOldToLock, mustBeGuardable, mustKnowLocked };
