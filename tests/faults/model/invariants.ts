import { macOfAll } from "../../../lib/base/mac.ts";
import type { Ip } from "../../../lib/base/address.ts";
import type { ModelKernel, ModelLink } from "./kernel.ts";
import { KERNELS, STATES, type World } from "./world.ts";

/** The parameters of the invariants. */
export interface Rules {
  /** How many addresses an attachment has. */
  readonly families: number;
  /** Whether live attachments are guarded. */
  readonly isGuarded: boolean;
  /** Whether the bridge exists from the start, so that every live attachment is always in it. */
  readonly hasBridge: boolean;
}

/** Checks the invariants (docs/architecture.md, SECURITY.md). Returns the broken invariant, or `undefined`. */
export function broken(
  world: World,
  { families, isGuarded, hasBridge }: Rules,
): string | undefined {
  const state = STATES.at(world.state);
  const kernel = KERNELS.at(world.kernel);
  const holders = new Map<string, string>();
  for (const { netns, addresses } of kernel.links) {
    if (netns === "") continue;
    for (const address of addresses) {
      const ip = address.split("/")[0] ?? "";
      const other = holders.get(ip);
      if (other !== undefined) return `${ip} is in two containers, ${other} and ${netns}`;
      holders.set(ip, netns);
      const owner = state?.ipToContainer[ip];
      if (owner !== `${netns}/eth0`) return `${netns} has ${ip}, the lease of ${owner ?? "nobody"}`;
    }
  }
  for (const [owner, ips] of Object.entries(state?.containerToIP ?? {})) {
    const count = [ips].flat().length;
    if (count !== families) return `the lease of ${owner} has ${count} of ${families} addresses`;
  }
  for (const key in world.live) {
    const container = key.split("/")[0] ?? "";
    for (const ip of world.live[key] ?? []) {
      if (holders.get(ip) !== container) return `the live ${key} lost ${ip}`;
    }
    const wrong = hasBridge && isGuarded ? unguarded(kernel, container, world.live[key] ?? []) : "";
    if (wrong !== "") return `the live ${key}: ${wrong}`;
  }
  return undefined;
}

/** Checks that the live attachments are in the bridge, after all runs have ended and an ADD has succeeded. */
export function detached({ kernel, live }: World, { isGuarded }: Rules): string | undefined {
  for (const key in live) {
    const container = key.split("/")[0] ?? "";
    const port = portOf(KERNELS.at(kernel), container);
    if (port === undefined || port.master === "") return `the live ${key} is in no bridge`;
    const wrong = isGuarded ? unguarded(KERNELS.at(kernel), container, live[key] ?? []) : "";
    if (wrong !== "") return `the live ${key}: ${wrong}`;
  }
  return undefined;
}

function portOf({ links }: ModelKernel, container: string): ModelLink | undefined {
  const inside = links.find(({ netns, name }) => netns === container && name === "eth0");
  return links.find(({ index, netns }) => netns === "" && index === inside?.peer);
}

/** The faults in the guard of a container; empty if there is no fault. */
function unguarded(kernel: ModelKernel, container: string, ips: readonly string[]): string {
  const port = portOf(kernel, container);
  const mac = macOfAll(ips as Ip[]) ?? "";
  if (port === undefined) return "it has no port";
  if (!port.locked || port.learning) return "its port is open";
  if (!port.entries.includes(mac)) return "it is cut off: its port is locked, its MAC unknown";
  const bridge = kernel.links.find(({ netns, name }) => netns === "" && name === port.master);
  const lacks = ips.find((ip) =>
    !bridge?.neighbours.some((neighbour) => neighbour.ip === ip && neighbour.mac === mac)
  );
  return lacks === undefined ? "" : `the bridge does not know ${lacks} for good`;
}

/** The remaining veths, leases, neighbours and marks. */
export function leftOver({ kernel, state, marks }: World): string | undefined {
  const { links } = KERNELS.at(kernel);
  const veth = links.find(({ kind }) => kind === "veth");
  if (veth !== undefined) return `the veth ${veth.name} is left`;
  const [owner] = Object.keys(STATES.at(state)?.containerToIP ?? {});
  if (owner !== undefined) return `the lease of ${owner} is left`;
  const [neighbour] = links.flatMap(({ neighbours }) => neighbours);
  if (neighbour !== undefined) return `the permanent neighbour ${neighbour.ip} is left`;
  const [host] = Object.keys(marks);
  return host === undefined ? undefined : `the mark of ${host} is left`;
}

/** A failed ADD without a report of a failed undo has left nothing. */
export function leftBy({ kernel, state, marks }: World, name: string): string | undefined {
  const mine = name.charCodeAt(0).toString(16);
  const mac = `fe:${[mine, mine, mine, mine, mine].join(":")}`;
  const { links } = KERNELS.at(kernel);
  if (links.some((link) => link.kind === "veth" && link.mac === mac)) {
    return `${name} failed and left its veth`;
  }
  const { leases = {}, ipToContainer = {} } = STATES.at(state) ?? {};
  if (Object.values(leases).some(({ hostMac }) => hostMac === mac)) {
    return `${name} failed and left its lease`;
  }
  if (Object.values(marks).includes(name)) return `${name} failed and left its mark`;
  const stray = links.filter(({ netns }) => netns === "").flatMap(({ neighbours }) => neighbours)
    .find(({ ip }) => !ip.startsWith("fe80:") && ipToContainer[ip] === undefined);
  return stray && `${name} failed, and ${stray.ip} is a permanent neighbour without an owner`;
}
