import { asCniError, CniError } from "../base/errors.ts";
import { formatSet, inRange, type RangeSet } from "../base/range.ts";
import { type NetworkConfig, readResolvConf } from "../config.ts";
import { countFree, poolFull, readNetworks } from "../ipam.ts";
import { type Link, mustBeGuardable, mustKnowLocked } from "../netops.ts";
import { bridgeSpec } from "./bridge.ts";
import { withFilesOfAdd } from "./descriptors.ts";
import type { Effects } from "./effects.ts";
import { evidenceOf } from "./evidence.ts";

/** STATUS: could an ADD be served now? Whatever stands in its way is PluginNotAvailable (rules T1, T2). */
export async function status(config: NetworkConfig, effects: Effects): Promise<void> {
  try {
    await mustServe(config, effects);
    mustNotShare(config);
  } catch (error) {
    const { message, details, kind } = asCniError(error);
    if (kind === "Bug") throw error;
    throw new CniError("PluginNotAvailable", `Cannot serve an ADD: ${message}`, {
      details,
      cause: error,
    });
  }
}

/** Throws what the next ADD would fail with, as far as that shows without making anything. */
export async function mustServe(config: NetworkConfig, effects: Effects): Promise<void> {
  const { kernel, leases } = effects;
  const evidence = evidenceOf(config, effects);
  leases.mustBeReadable();
  leases.mustBeWritable(config.sets.length > 0);
  if (config.resolvConf !== undefined) readResolvConf(config.resolvConf);
  const links = await withFilesOfAdd(config.dataDir, () => kernel.links());
  await mustBeAble(kernel);
  const isAnew = config.sets.length > 0 && await leases.wouldBeginAnew(evidence);
  if (!isAnew) leases.mustFit(config.sets);
  await kernel.inspectBridge(bridgeSpec(config), links);
  if (config.guarded) await mustGuard(config, kernel, links);
  if (config.sets.length === 0) return;
  if (!isAnew) await leases.mustBeWhole(evidence);
  const free = isAnew
    ? config.sets.map((set) => countFree(set, []))
    : await leases.free(config.sets, () => kernel.veths());
  const full = free.findIndex((count) => count <= 0n);
  if (full >= 0) throw poolFull(config.sets[full] ?? []);
}

/** Throws what `ip` can do for no attachment here. */
async function mustBeAble(kernel: Effects["kernel"]): Promise<void> {
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
      : "the kernel has no veth: load its module (modprobe veth) or take a kernel that has it",
  });
}

/** Any port of the bridge shows whether kernel and `ip` know how to lock one; without one, only `ip` says how old it is. */
async function mustGuard(
  { bridge }: NetworkConfig,
  kernel: Effects["kernel"],
  links: readonly Link[],
): Promise<void> {
  const port = links.find(({ master, kind }) => master === bridge && kind === "veth");
  if (port === undefined) mustKnowLocked(await kernel.version());
  else mustBeGuardable(port);
}

/** Two networks that give the same addresses give one to two containers: neither's ADD can see the other's leases. */
export function mustNotShare(config: NetworkConfig): void {
  for (const { network, dataDir, state } of readNetworks().held) {
    if (network === config.name && dataDir === config.dataDir) continue;
    const shared = state.ranges?.flatMap((set) => overlapping(config.sets, set)).at(0);
    if (shared === undefined || Object.keys(state.ipToContainer).length === 0) continue;
    throw new CniError(
      "InvalidNetworkConfig",
      `Cannot give ${
        formatSet([shared])
      } for network "${config.name}" alone: network "${network}" gives it too${
        network === config.name ? ` (its state in ${dataDir})` : ""
      }`,
      {
        details: "two containers would get one address: give each network a subnet of its own, " +
          "or parts of one that do not overlap (rangeStart, rangeEnd)",
      },
    );
  }
}

function overlapping(sets: readonly RangeSet[], other: RangeSet): RangeSet[number][] {
  return sets.flat().filter((range) =>
    other.some((it) =>
      inRange(range, it.start) || inRange(range, it.end) || inRange(it, range.start)
    )
  );
}
