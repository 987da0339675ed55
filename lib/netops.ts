/** Every change to the kernel and every read of it, all by `ip`: bridge, veth, guard, the container's namespace. */
import { configure } from "./netops/container.ts";
import { ensureBridge, inspectBridge, settleMac } from "./netops/ensure_bridge.ts";
import { guard, pinInside } from "./netops/guard.ts";
import { flushNeighbours, hostLinks, removeLink, removeProven, SHOWN } from "./netops/host.ts";
import { cannotEnter, shownInside } from "./netops/inside.ts";
import type { Batch, RunIp } from "./netops/ip.ts";
import { portFaults, reattach } from "./netops/ports.ts";
import { cannotMakeVeth, forwarding, hostRoutes, ipVersion } from "./netops/probe.ts";
import { Processes } from "./netops/processes.ts";
import { attach, type Attempt, type VethSpec } from "./netops/veth.ts";
import { type AttachmentSpec, hostLink, inspect, view } from "./netops/view.ts";
import type { Rollback } from "./rollback.ts";

export { addAddress, type BridgeSpec, MOST_PORTS, planBridge } from "./netops/bridge.ts";
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
export type { Batch, RunIp } from "./netops/ip.ts";
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

/**
 * The operations on the kernel, described where they are defined. Each throws IpFailed if `ip` fails and TryAgainLater if `ip`
 * takes too long. `close` ends the processes that were started ahead and not used, and those that still run.
 */
export type Kernel = Readonly<ReturnType<typeof openKernel>>;

/** The kernel of this host. Starts at once the `ip` that `command` needs first; `run` replaces the host's `ip` in tests. */
export function openKernel(command?: string, run?: RunIp) {
  const processes = new Processes();
  const ip = run ?? processes.run;
  const isAhead = run === undefined && ["ADD", "CHECK", "DEL"].includes(command ?? "");
  const first = isAhead ? processes.ahead(SHOWN) : undefined;
  const on = <Rest extends readonly unknown[], Outcome>(
    operation: (run: RunIp, ...rest: Rest) => Outcome,
  ) =>
  (...rest: Rest): Outcome => operation(ip, ...rest);
  return {
    /** `inside`, for `configure`: an `ip` in the namespace that starts while the kernel creates the veth. */
    attach: async (
      spec: VethSpec,
      undo: Rollback,
    ): Promise<Attempt & { readonly inside?: Batch | undefined }> => {
      const attaching = attach(ip, spec, undo, first);
      const inside = isAhead ? processes.ahead(shownInside(spec.netns)) : undefined;
      return { ...await attaching, inside };
    },
    ensureBridge: on(ensureBridge),
    settleMac: on(settleMac),
    configure: on(configure),
    guard: on(guard),
    pinInside: on(pinInside),
    reattach: on(reattach),
    portFaults: on(portFaults),
    flushNeighbours: on(flushNeighbours),
    detach: (host: string, mac: string) => removeProven(ip, host, mac, first),
    remove: on(removeLink),
    link: on(hostLink),
    links: on(hostLinks),
    view: on(view),
    inspect: (spec: AttachmentSpec) => inspect(ip, spec, first),
    inspectBridge: on(inspectBridge),
    ipVersion: on(ipVersion),
    cannotEnter: on(cannotEnter),
    cannotMakeVeth: on(cannotMakeVeth),
    routes: on(hostRoutes),
    forwarding: on(forwarding),
    close: () => processes.end(),
  };
}
