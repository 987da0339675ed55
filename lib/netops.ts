/** Every change to the kernel and every read of it, all by `ip`: bridge, veth, guard, the container's namespace. */
import { configure } from "./netops/container.ts";
import { ensureBridge, inspectBridge, settleMac } from "./netops/ensure_bridge.ts";
import { guard, pinInside } from "./netops/guard.ts";
import { flushNeighbours, hostLinks, removeLink, removeProven, SHOWN } from "./netops/host.ts";
import { cannotEnter, shownInside } from "./netops/inside.ts";
import type { RunIp } from "./netops/ip.ts";
import { portFaults, reattach } from "./netops/ports.ts";
import { cannotMakeVeth, forwarding, hostRoutes, ipVersion } from "./netops/probe.ts";
import { Processes } from "./netops/processes.ts";
import { attach } from "./netops/veth.ts";
import { hostLink, inspect, view } from "./netops/view.ts";

export { addAddress, type BridgeSpec, MOST_PORTS } from "./netops/bridge.ts";
export { type ContainerSpec, metricOf, type RouteSpec } from "./netops/container.ts";
export {
  checkIpCanLock,
  checkLockable,
  guardedIps,
  type GuardSpec,
  hasEntries,
  isTooOldToLock,
  MacTaken,
  type Pinned,
} from "./netops/guard.ts";
export { invalidNetns } from "./netops/inside.ts";
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
export type { Seen, SeenVeth } from "./netops/view.ts";

/** The operations on the kernel, described where they are defined; the first parameter of each is the `ip` to run. */
const OPERATIONS = {
  attach,
  ensureBridge,
  settleMac,
  configure,
  guard,
  pinInside,
  reattach,
  portFaults,
  flushNeighbours,
  detach: removeProven,
  remove: removeLink,
  link: hostLink,
  links: hostLinks,
  view,
  inspect,
  inspectBridge,
  ipVersion,
  cannotEnter,
  cannotMakeVeth,
  routes: hostRoutes,
  forwarding,
};

type Operations = typeof OPERATIONS;
type Bound<F> = F extends (run: RunIp, ...rest: infer Rest) => infer Outcome
  ? (...rest: Rest) => Outcome
  : never;

/** The operations on the kernel. Each throws IpFailed if `ip` fails and TryAgainLater if `ip` takes too long. */
export type Kernel = { readonly [Name in keyof Operations]: Bound<Operations[Name]> } & {
  /** Ends the processes that were started ahead and not used, and those that still run. */
  readonly close: () => Promise<void>;
};

/** The kernel of this host. Starts at once the `ip` that `command` needs first; `run` replaces the host's `ip` in tests. */
export function openKernel(command?: string, run?: RunIp): Kernel {
  const processes = new Processes();
  const startAhead = (options: readonly string[]) => {
    if (run === undefined) processes.start(options);
  };
  if (command === "ADD" || command === "CHECK" || command === "DEL") startAhead(SHOWN);
  const ip = run ?? processes.run;
  const operations = Object.fromEntries(
    Object.entries(OPERATIONS as Record<string, (ip: RunIp, ...rest: never[]) => unknown>)
      .map(([name, operation]) => [name, (...rest: never[]) => operation(ip, ...rest)]),
  ) as unknown as Omit<Kernel, "close">;
  return {
    ...operations,
    attach: async (spec, undo) => {
      const attaching = operations.attach(spec, undo);
      // This `ip` starts while the kernel creates the veth.
      startAhead(shownInside(spec.netns));
      return await attaching;
    },
    close: () => processes.end(),
  };
}
