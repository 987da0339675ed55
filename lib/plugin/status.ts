import { asCniError, CniError, unlessError } from "../base/errors.ts";
import { type NetworkConfig, readResolvConf } from "../config.ts";
import { checkFit, checkFolder, chooseIps, dropLeases, listLeases, type State } from "../ipam.ts";
import { checkIpCanLock, checkLockable, type Link } from "../netops.ts";
import { staleLeases } from "../ownership.ts";
import { checkNotShared, checkSoleCarrier } from "./alone.ts";
import { bridgeSpec } from "./bridge.ts";
import type { Effects } from "./effects.ts";
import { checkConsistent, confirm, knownLeases, observe } from "./observe.ts";

/** STATUS: throws PluginNotAvailable if an ADD would fail now (rules T1, T2). */
export async function status(config: NetworkConfig, effects: Effects): Promise<void> {
  try {
    const links = await checkServable(config, effects);
    checkNotShared(config, links);
    checkSoleCarrier(config, links);
  } catch (error) {
    const { message, details, kind } = asCniError(error);
    if (kind === "Bug") throw error;
    throw new CniError("PluginNotAvailable", `Cannot serve an ADD: ${message}`, details);
  }
}

/** Throws the error of the next ADD, if it shows without making interfaces. Returns every link of the host. */
export async function checkServable(
  config: NetworkConfig,
  effects: Effects,
): Promise<readonly Link[]> {
  const { kernel, leases } = effects;
  checkFolder(config.dataDir);
  leases.checkWritable(config.sets.length > 0);
  if (config.resolvConf !== undefined) readResolvConf(config.resolvConf);
  const links = await kernel.links();
  await checkIp(kernel);
  const state = config.sets.length === 0 ? undefined : await consistentState(config, effects);
  if (state !== undefined) checkFit(state, config, config.name, false);
  const spec = bridgeSpec(config);
  await kernel.inspectBridge(spec, links);
  if (config.guarded) {
    // A port of the bridge shows whether kernel and `ip` can lock it; without a port, only the version of `ip` is known.
    const port = links.find(({ master, kind }) => master === config.bridge && kind === "veth");
    if (port === undefined) checkIpCanLock(await kernel.ipVersion());
    else checkLockable(port);
  }
  if (state === undefined) return links;
  const bridgeMac = links.find(({ ifname }) => ifname === config.bridge)?.mac ?? spec.mac;
  await checkFree(state, { ...config, bridgeMac }, effects);
  return links;
}

/** A copy of the state. Throws StateDamaged if an ADD could not allocate from it. */
async function consistentState(config: NetworkConfig, effects: Effects): Promise<State> {
  // Only a reader with the lock can decide that the state is damaged.
  const found = unlessError(["StateDamaged"], () => effects.leases.read());
  if (found?.provenance === "written") return structuredClone(found.state);
  const before = await observe(config, knownLeases(effects), effects);
  return await effects.leases.examine(async (now) => {
    const moment = await confirm(before, now, effects.kernel);
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
  const { claims } = await observe(pool, listLeases(state), effects);
  dropLeases(state, staleLeases(claims));
  choose();
}

/** Throws InvalidNetNS if `ip` can't enter namespaces, and IpFailed if it can't make a veth. */
async function checkIp(kernel: Effects["kernel"]): Promise<void> {
  const closed = await kernel.cannotEnter();
  if (closed !== undefined) {
    throw new CniError(
      "InvalidNetNS",
      `Cannot enter network namespaces: ${closed}`,
      "make the folder that ip starts from (mkdir -p /run/netns), and run with CAP_SYS_ADMIN",
    );
  }
  const none = await kernel.cannotMakeVeth();
  if (none === undefined) return;
  throw new CniError(
    "IpFailed",
    `Cannot make a veth: ${none.said}`,
    none.isForbidden
      ? "run it as root with CAP_NET_ADMIN, in the namespace of the host"
      : "the kernel has no veth: load its module (modprobe veth) or use a kernel that has it",
  );
}
