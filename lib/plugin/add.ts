import type { Ip } from "../base/address.ts";
import { aliasOf, type Attachment, hostVethName } from "../base/attachment.ts";
import { CniError, isError } from "../base/errors.ts";
import { freshHostMac, layer2Mac, type Mac, macOfAll } from "../base/mac.ts";
import { groupOf, type InterfaceName } from "../base/names.ts";
import { waitForAll } from "../base/wait_for_all.ts";
import { type Invocation, type NetworkConfig, readResolvConf } from "../config.ts";
import { checkRequested, hasUsualMac, type LeaseRequest, type Mark, now } from "../ipam.ts";
import { type ContainerSpec, MacTaken, type VethSpec } from "../netops.ts";
import type { Result } from "../result.ts";
import { Rollback } from "../rollback.ts";
import { bridgeSpec, gatewayNeighbours } from "./bridge.ts";
import type { Effects } from "./effects.ts";
import { attachVeth, type MadeVeth } from "./ports.ts";
import { reserve } from "./reserve.ts";
import { inRanges, resultOf, routesOf } from "./result_of.ts";

/** The input of an ADD, except its effects. */
interface Job {
  readonly config: NetworkConfig;
  readonly invocation: Invocation;
  readonly attachment: Attachment;
  readonly host: InterfaceName;
  readonly hostMac: Mac;
  /** MACs of the bridge and its ports that a first attempt found taken. */
  readonly takenMacs: ReadonlySet<string>;
}

/** The most marks that an ADD inspects. With 64 concurrent ADDs, inspecting all marks takes 4 % of each ADD. */
const MOST_SWEPT = 8;

/** ADD (docs/architecture.md, "An ADD"). If anything throws, `deliver` included, its changes are rolled back. */
export async function add(
  config: NetworkConfig,
  invocation: Invocation,
  effects: Effects,
  deliver: (result: Result) => void,
): Promise<void> {
  const { containerId, ifname } = invocation;
  const attachment = { network: config.name, containerId, ifname };
  const hostMac = freshHostMac(config.sets.length > 0, config.requestedMac !== undefined);
  effects.stop.throwIfAborted();
  checkRequested(config.sets, config.requestedIps);
  const fromFile = config.resolvConf === undefined ? {} : readResolvConf(config.resolvConf);
  const dns = Object.keys(config.dns).length > 0 ? config.dns : fromFile;
  const host = await hostVethName(attachment);
  const job = { config: { ...config, dns }, invocation, attachment, host, hostMac };
  const mark = effects.marks.begin(host);
  const attempt = async (takenMacs: ReadonlySet<string>) => {
    const undo = new Rollback();
    try {
      deliver(await steps({ ...job, takenMacs }, effects, undo, mark));
    } catch (error) {
      throw await undo.run(error);
    }
  };
  try {
    effects.marks.sweep(MOST_SWEPT);
    await attempt(new Set()).catch(async (error) => {
      // The attempt was rolled back. Without a request, the MAC is derived from the address: another address has another MAC.
      if (!(error instanceof MacTaken) || config.requestedMac !== undefined) throw error;
      await attempt(error.fixed);
    });
  } finally {
    mark.end();
  }
}

async function steps(job: Job, effects: Effects, undo: Rollback, mark: Mark): Promise<Result> {
  const { config, host } = job;
  const { kernel, stop } = effects;
  const attached = await attachVeth(vethSpec(job), config, effects, undo).catch((error) => {
    // The mark stays for a later DEL, which waits for the veth that an abandoned `ip` may still make. It also stays if the veth
    // is from a killed ADD. Without the mark, the missing lease of that veth would look like a damaged state.
    const isOlder = mark.followsKilled && isError(error, "InterfaceExists");
    if (isOlder || isError(error, "TryAgainLater")) mark.keep();
    throw error;
  });
  stop.throwIfAborted();
  checkBridgeMac(config, attached);
  const request = leaseRequest(job, attached);
  const lease = config.sets.length === 0
    ? undefined
    : await reserve({ config, request, host, mark }, effects, undo);
  stop.throwIfAborted();
  const ips = lease?.ips ?? [];
  const mac = config.requestedMac ?? macOfAll(ips) ?? layer2Mac(job.hostMac);
  await waitForAll(
    kernel.configure(containerSpec(job, attached, ips, mac), attached.inside),
    config.guarded
      ? kernel.guard({ bridge: config.bridge, host, mac, ips }, undo)
      : Promise.resolve(),
  );
  // If an address does not always have the same MAC, the host may have an old neighbour entry. The guard replaces it.
  const isUsual = lease === undefined ? config.requestedMac === undefined : hasUsualMac(lease);
  if (!isUsual && !config.guarded) await kernel.flushNeighbours(config.bridge, ips);
  stop.throwIfAborted();
  return resultOf(config, job.invocation, attached, ips, mac);
}

/** Throws AddressUnavailable if a container without addresses requests the bridge's MAC. `allocate` checks all others. */
function checkBridgeMac({ bridge, requestedMac, sets }: NetworkConfig, attached: MadeVeth): void {
  if (sets.length > 0 || requestedMac !== attached.bridge.mac) return;
  throw new CniError(
    "AddressUnavailable",
    `Cannot allocate "${requestedMac}" as requested: the bridge "${bridge}" has it`,
    "request another MAC, or none",
  );
}

function vethSpec({ config, invocation, attachment, host, hostMac }: Job): VethSpec {
  const { netns, ifname, args } = invocation;
  return {
    ...config,
    ...{ host, hostMac, netns, ifname },
    bridge: bridgeSpec(config),
    alias: aliasOf(attachment, args.pod),
    group: groupOf(config.name),
  };
}

function leaseRequest(
  { config, invocation, attachment, hostMac, takenMacs }: Job,
  { bridge }: MadeVeth,
): LeaseRequest {
  const { pod } = invocation.args;
  return { ...config, attachment, hostMac, pod, takenMacs, since: now(), bridgeMac: bridge.mac };
}

function containerSpec(
  { config, invocation }: Job,
  { host, bridge }: MadeVeth,
  ips: readonly Ip[],
  mac: Mac,
): ContainerSpec {
  const { netns, ifname } = invocation;
  return {
    ...{ netns, ifname, mac },
    ifindex: host.peerIndex,
    up: config.containerUp,
    addresses: inRanges(config, ips),
    routes: routesOf(config, ips),
    guarded: config.guarded,
    neighbours: config.guarded ? gatewayNeighbours(config, bridge.mac) : [],
  };
}
