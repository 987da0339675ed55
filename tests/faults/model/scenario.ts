import type { Ip } from "../../../lib/base/address.ts";
import { aliasOf, hostVethName } from "../../../lib/base/attachment.ts";
import { macOfAll } from "../../../lib/base/mac.ts";
import {
  type ContainerId,
  groupOf,
  type InterfaceName,
  type NetworkName,
} from "../../../lib/base/names.ts";
import type { Invocation, NetworkConfig } from "../../../lib/config.ts";
import { emptyState, recordedMac, type State } from "../../../lib/ipam.ts";
import { add, del, type Effects, gc } from "../../../lib/plugin.ts";
import { config } from "../../podnet.ts";
import type { Run, Scenario } from "./explore.ts";
import { type ModelKernel, PLAIN } from "./kernel.ts";

const NET = {
  cniVersion: "1.1.0",
  name: "podnet",
  type: "atomicni",
  bridge: "atomic0",
  subnet: "10.86.0.0/29",
  gateway: "10.86.0.1",
};

/** Two addresses: .2 and .3. */
export const SINGLE: NetworkConfig = config({
  ...NET,
  ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.3" },
});

/** Two pairs of addresses, and every port guarded. */
export const DUAL: NetworkConfig = config({
  ...NET,
  subnet6: "fd00::/64",
  gateway6: "fd00::1",
  macspoofchk: true,
  ipam: {
    ...{ rangeStart: "10.86.0.2", rangeEnd: "10.86.0.3" },
    ...{ rangeStart6: "fd00::2", rangeEnd6: "fd00::3" },
  },
});

/** A run on a network of the scenario. */
export type RunOnNetwork = (network: NetworkConfig) => Run;
type Add = (config: NetworkConfig, invocation: Invocation, effects: Effects) => Promise<unknown>;

function invocation(container: string): Invocation {
  return {
    containerId: container as ContainerId,
    ifname: "eth0" as InterfaceName,
    netns: `/run/netns/${container}`,
    args: { ip: undefined, mac: undefined, pod: undefined },
  };
}

const key = (container: string) => `${container}/eth0`;

const addQuietly: Add = (config, invocation, effects) => add(config, invocation, effects, () => {});

export function adding(name: string, container: string, how: Add = addQuietly): RunOnNetwork {
  return (network) => ({
    name,
    kind: "ADD",
    key: key(container),
    run: (effects) => how(network, invocation(container), effects),
  });
}

export function deleting(name: string, container: string, how: typeof del = del): RunOnNetwork {
  return (network) => ({
    name,
    kind: "DEL",
    key: key(container),
    run: (effects) => how(network, invocation(container), effects),
  });
}

export function collecting(name: string, keep?: readonly string[], how = gc): RunOnNetwork {
  const valid = keep?.map((containerId) => ({ containerId, ifname: "eth0" }));
  return (network) => ({
    name,
    kind: "GC",
    ...(keep && { keep: keep.map(key) }),
    run: (effects) => how(network, valid, effects),
  });
}

/** The parts of an attachment that exist at the start: all, or the leftovers of a killed run or a reboot. */
type Before =
  | "live"
  | "veth"
  | "stale lease"
  | "old namespace"
  | "old namespace veth"
  | "renamed veth";

export interface Parts {
  readonly network?: NetworkConfig;
  readonly before?: Readonly<Record<string, Before>>;
  readonly bridge?: boolean;
  readonly runs: readonly RunOnNetwork[];
  readonly faults?: number;
  readonly killsOnly?: boolean;
  readonly byLine?: boolean;
  /** The DELs afterwards. */
  readonly removing?: typeof del;
}

export async function scenario(parts: Parts): Promise<Scenario> {
  const { network = SINGLE, before = {}, bridge: hasBridge = true, faults = 1 } = parts;
  const { killsOnly = false, byLine = false, removing = del } = parts;
  const isNew = Object.keys(before).length === 0;
  const runs = parts.runs.map((it) => it(network)).map((run) => ({
    ...run,
    // A run that puts other ports back reads the state for their guards.
    isBlind: run.kind === "ADD" && (hasBridge || isNew),
  }));
  const containers = [
    ...new Set([...Object.keys(before), ...runs.flatMap((it) => it.key?.split("/")[0] ?? [])]),
  ].sort();
  const kernel: ModelKernel = { links: [], containers: [...containers, "old"], made: {} };
  if (hasBridge) {
    const gateways = network.sets.flat().map(({ gateway, subnet }) =>
      `${gateway}/${subnet.prefix}`
    );
    const own = { index: 2, netns: "", name: network.bridge, kind: "bridge" as const };
    const mac = "0a:58:0a:56:00:01";
    kernel.links.push({ ...structuredClone(PLAIN), ...own, mac, up: true, addresses: gateways });
  }
  const state = emptyState();
  const live: Record<string, readonly string[]> = {};
  for (const [n, [container, what]] of Object.entries(before).entries()) {
    const ips = network.sets.map(([range]) => range?.start.replace(/2$/, `${n + 2}`) as Ip);
    await put(kernel, state, network, { container, what, ips, n: n + 2 });
    if (what === "live") live[key(container)] = ips;
  }
  const after = containers.map((container, index) =>
    deleting(String.fromCharCode(107 + index), container, removing)(network)
  );
  return {
    kernel,
    state: isNew ? null : state,
    live,
    runs,
    after,
    faults,
    killsOnly,
    byLine,
    hasBridge,
    mayBeLate: new Set(runs.map((it) => it.key)).size === runs.length &&
      !runs.some((it) => it.kind === "ADD" && it.key !== undefined && it.key in live),
    families: network.sets.length,
    isGuarded: network.guarded,
  };
}

interface InitialAttachment {
  readonly container: string;
  readonly what: Before;
  readonly ips: readonly Ip[];
  readonly n: number;
}

/** An attachment in the initial state. */
async function put(
  kernel: ModelKernel,
  state: State,
  network: NetworkConfig,
  { container, what, ips, n }: InitialAttachment,
): Promise<void> {
  const hostMac = `fe:00:00:00:00:0${n}`;
  const mac = macOfAll(ips) ?? "";
  const recorded = recordedMac(ips, mac);
  const { guarded } = network;
  if (what !== "stale lease") await putVeth(kernel, network, { container, what, ips, n });
  if (guarded) {
    const bridge = kernel.links.find(({ kind }) => kind === "bridge");
    bridge?.neighbours.push(...ips.map((ip) => ({ ip, mac })));
    bridge?.neighbours.sort((a, b) => a.ip < b.ip ? -1 : 1);
  }
  if (what.endsWith("veth")) return;
  state.containerToIP[key(container)] = ips.length > 1 ? ips : ips[0] ?? "";
  for (const ip of ips) state.ipToContainer[ip] = key(container);
  state.leases[key(container)] = {
    since: "2026-01-01T00:00:00Z",
    hostMac,
    ...(recorded !== undefined && { mac: recorded }),
    ...(guarded && { guarded, bridge: network.bridge }),
  };
  state.lastReserved.splice(0, Infinity, ...ips);
  state.ranges = network.sets;
}

async function putVeth(
  kernel: ModelKernel,
  network: NetworkConfig,
  { container, what, ips, n }: InitialAttachment,
): Promise<void> {
  const attachment = { network: "podnet" as NetworkName, ...invocation(container) };
  const mac = macOfAll(ips) ?? "";
  const plain = { kind: "veth" as const, up: true };
  const hasBridge = kernel.links.some(({ kind }) => kind === "bridge");
  const isGuarded = network.guarded && hasBridge && what === "live";
  kernel.links.push(
    {
      ...structuredClone(PLAIN),
      ...plain,
      index: 10 * n,
      netns: "",
      name: await hostVethName(attachment),
      mac: `fe:00:00:00:00:0${n}`,
      alias: aliasOf(attachment, undefined),
      group: String(groupOf(attachment.network)),
      master: hasBridge ? network.bridge : "",
      peer: 10 * n + 1,
      learning: !isGuarded,
      locked: isGuarded,
      entries: isGuarded ? [mac] : [],
    },
    {
      ...structuredClone(PLAIN),
      ...plain,
      index: 10 * n + 1,
      netns: what.startsWith("old namespace") ? "old" : container,
      name: what === "renamed veth" ? "eth9" : "eth0",
      mac,
      peer: 10 * n,
      addresses: what === "live" ? ips.map((ip) => `${ip}/${ip.includes(":") ? 64 : 29}`) : [],
    },
  );
}
