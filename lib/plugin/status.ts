import { formatCidr, formatInterfaceAddress, networkOf } from "../base/address.ts";
import { asCniError, CniError, ifThere, quote, unlessError } from "../base/errors.ts";
import { formatSet, overlapping, subnetsOf } from "../base/range.ts";
import { type NetworkConfig, readResolvConf } from "../config.ts";
import {
  AddMarks,
  checkFit,
  checkFolder,
  chooseIps,
  dropLease,
  listLeases,
  readNetworks,
  type State,
  statePath,
} from "../ipam.ts";
import { checkIpCanLock, checkLockable, type Link } from "../netops.ts";
import { bridgeSpec } from "./bridge.ts";
import type { Effects } from "./effects.ts";
import { checkConsistent } from "./consistent.ts";
import { claimsOf, examineClaims } from "./look.ts";

/** STATUS: throws PluginNotAvailable if an ADD would fail now (rules T1, T2). */
export async function status(config: NetworkConfig, effects: Effects): Promise<void> {
  try {
    await checkServable(config, effects);
    await checkNotShared(config, effects);
    checkSoleCarrier(config, await effects.kernel.links());
  } catch (error) {
    const { message, details, kind } = asCniError(error);
    if (kind === "Bug") throw error;
    throw new CniError("PluginNotAvailable", `Cannot serve an ADD: ${message}`, {
      details,
      cause: error,
    });
  }
}

/** Throws the error of the next ADD, if it shows without making interfaces. */
export async function checkServable(config: NetworkConfig, effects: Effects): Promise<void> {
  const { kernel, leases } = effects;
  checkFolder(config.dataDir);
  leases.checkWritable(config.sets.length > 0);
  if (config.resolvConf !== undefined) readResolvConf(config.resolvConf);
  const links = await withFilesOfAdd(config.dataDir, () => kernel.links());
  await checkIp(kernel);
  const state = config.sets.length === 0 ? undefined : await consistentState(config, effects);
  if (state !== undefined) checkFit(state, config, config.name, false);
  const spec = bridgeSpec(config);
  await kernel.inspectBridge(spec, links);
  if (config.guarded) await checkGuard(config, kernel, links);
  if (state === undefined) return;
  const bridgeMac = links.find(({ ifname }) => ifname === config.bridge)?.mac ?? spec.mac;
  await checkFree(state, { ...config, bridgeMac }, effects);
}

/** How many more descriptors an ADD has open than a STATUS, at the maximum of each: signals, mark, lock and state. */
const FURTHER = 4;

/** Runs `work` with as many descriptors open as an ADD has. Throws IOFailure if the process has too few (`ulimit -n`). */
async function withFilesOfAdd<T>(folder: string, work: () => Promise<T>): Promise<T> {
  const files: Deno.FsFile[] = [];
  try {
    // The first ADD makes the folder.
    ifThere("open files for an ADD in", `${folder}/`, () => {
      while (files.length < FURTHER) files.push(Deno.openSync(folder, { read: true }));
    });
    return await work();
  } finally {
    files.forEach((file) => file.close());
  }
}

/** A copy of the state. Throws StateDamaged if an ADD could not allocate from it. */
async function consistentState(config: NetworkConfig, effects: Effects): Promise<State> {
  // Only a reader with the lock can decide that the state is damaged.
  const found = unlessError(["StateDamaged"], () => effects.leases.read());
  if (found?.provenance === "written") return structuredClone(found.state);
  return await examineClaims(config, effects, (moment) => {
    checkConsistent(moment, config, [...config.configuredSets, ...config.sets]);
    return structuredClone(moment.state);
  });
}

/** Throws PoolExhausted if an ADD would get no address even after the stale leases are reclaimed. */
async function checkFree(
  state: State,
  pool: NetworkConfig & { readonly bridgeMac: string },
  effects: Effects,
): Promise<void> {
  const choose = () => chooseIps(state, pool);
  if (unlessError(["PoolExhausted"], choose) !== undefined) return;
  for (const { kind, lease } of await claimsOf(pool, listLeases(state), effects)) {
    if (kind === "stale" && lease !== undefined) dropLease(state, lease);
  }
  choose();
}

/** Throws InvalidNetNS if `ip` can't enter namespaces, and IpFailed if it can't make a veth. */
async function checkIp(kernel: Effects["kernel"]): Promise<void> {
  const closed = await kernel.cannotEnter();
  if (closed !== undefined) {
    throw new CniError("InvalidNetNS", `Cannot enter network namespaces: ${closed}`, {
      details:
        "make the folder that ip starts from (mkdir -p /run/netns), and run with CAP_SYS_ADMIN",
    });
  }
  const none = await kernel.cannotMakeVeth();
  if (none === undefined) return;
  throw new CniError("IpFailed", `Cannot make a veth: ${none.said}`, {
    details: none.isForbidden
      ? "run it as root with CAP_NET_ADMIN, in the namespace of the host"
      : "the kernel has no veth: load its module (modprobe veth) or use a kernel that has it",
  });
}

/** Throws if kernel or `ip` can't lock a port. A port of the bridge shows both; without a port, only the version of `ip` is known. */
async function checkGuard(
  { bridge }: NetworkConfig,
  kernel: Effects["kernel"],
  links: readonly Link[],
): Promise<void> {
  const port = links.find(({ master, kind }) => master === bridge && kind === "veth");
  if (port === undefined) checkIpCanLock(await kernel.version());
  else checkLockable(port);
}

/** Throws InvalidNetworkConfig if a live container of another network may have these addresses: an ADD does not see it. */
export async function checkNotShared(config: NetworkConfig, effects: Effects): Promise<void> {
  for (const { network, dataDir, state } of readNetworks().held) {
    if (network === config.name && dataDir === config.dataDir) continue;
    const given = state.ranges?.flat() ?? [];
    const shared = config.configuredSets.flat().find((range) =>
      given.some((it) => overlapping(range, it))
    );
    const leases = listLeases(state);
    if (shared === undefined || leases.length === 0) continue;
    const marks = new AddMarks(dataDir, network);
    const found = await claimsOf({ name: network, bridge: undefined }, leases, {
      kernel: effects.kernel,
      marks,
    });
    // A lease without a host veth does not use its address.
    if (!found.some(({ kind, lease }) => lease !== undefined && kind !== "stale")) continue;
    throw new CniError(
      "InvalidNetworkConfig",
      `Cannot use ${
        formatSet([shared])
      } for network "${config.name}" alone: network "${network}" allocates it too, and has live containers (${
        statePath(dataDir, network)
      })`,
      {
        details: "two containers would get one address: set a separate subnet for each network, " +
          "or parts of one subnet that do not overlap (rangeStart, rangeEnd)",
      },
    );
  }
}

/**
 * Throws InvalidNetworkConfig if another interface has an address in a subnet of the bridge. That interface may be the bridge of
 * another plugin (`cni0` of flannel or of the reference). An ADD would succeed and allocate addresses of its containers.
 */
export function checkSoleCarrier(config: NetworkConfig, links: readonly Link[]): void {
  if (!config.gatewayOnBridge) return;
  const subnets = subnetsOf(config.sets).map(formatCidr);
  for (const { ifname, addresses } of links) {
    if (ifname === config.bridge) continue;
    const found = addresses.find(({ ip, prefix }) =>
      subnets.includes(formatCidr(networkOf(ip, prefix)))
    );
    if (found === undefined) continue;
    throw new CniError(
      "InvalidNetworkConfig",
      `Cannot use ${
        formatCidr(networkOf(found.ip, found.prefix))
      } for network "${config.name}" alone: ${quote(ifname)} carries it too (${
        formatInterfaceAddress(found)
      })`,
      {
        details:
          "containers of another plugin may have its addresses: choose another subnet, or move them " +
          `over and remove that interface (ip link del dev ${ifname})`,
      },
    );
  }
}
