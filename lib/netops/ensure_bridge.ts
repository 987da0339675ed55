import type { InterfaceAddress } from "../base/address.ts";
import { attachmentIn, isHostVethName } from "../base/attachment.ts";
import { CniError } from "../base/errors.ts";
import { isHostMac } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import type { Rollback } from "../rollback.ts";
import {
  addAddress,
  type BridgeChange,
  type BridgePlan,
  type BridgeSpec,
  checkMtu,
  checkName,
  checkPorts,
  deleteAddress,
  isSame,
  needsIpv6,
  planBridge,
  tooSmall,
} from "./bridge.ts";
import { hostLinks, isNamed } from "./host.ts";
import { ipFailed, type IpOutput, outputOf, runBatch, type RunIp } from "./ip.ts";
import type { Link } from "./links.ts";

/** A bridge, and the host veth that a run attaches to it. */
export interface BridgeUse {
  readonly bridge: BridgeSpec;
  readonly host: InterfaceName;
  /** The link group of the network's host veths, for packet filters. */
  readonly group: number;
}

/** How often to fix the bridge. If that is not enough, another program undoes the changes. */
const TRIES = 4;

/** Fixes the MAC of a bridge that got a port if it follows the MACs of its ports; `before` is the bridge without the port. */
export async function settleMac(
  run: RunIp,
  bridge: BridgeSpec,
  before: Link,
  ready: Link,
): Promise<Link> {
  // Without a fixed MAC a bridge takes the lowest MAC of its ports. Neighbours lose the bridge when that port leaves.
  if (isHostMac(before.mac)) {
    const links = await hostLinks(run);
    const now = links.find(isNamed(bridge.name));
    const isPorts = (link: Link) =>
      link.master === bridge.name && link.mac === now?.mac &&
      (isHostVethName(link.ifname) || attachmentIn(link.alias) !== undefined);
    const isFixed = now?.bridge.followsPorts === false && !links.some(isPorts);
    if (isFixed) return { ...ready, mac: now.mac };
  } else if (!before.bridge.followsPorts) return ready;
  // Always the MAC of the spec, because concurrent ADDs must set the same MAC.
  const output = await run(["link", "set", "dev", bridge.name, "address", bridge.mac]);
  if (!output.success) throw ipFailed(`fix the MAC of "${bridge.name}"`, output);
  return { ...ready, mac: bridge.mac };
}

/** Carries out the plan, and plans again until the bridge matches its spec. Throws BridgeUnusable, IpFailed. */
export async function ensureBridge(run: RunIp, use: BridgeUse, first: BridgePlan, undo: Rollback) {
  const spec = use.bridge;
  let plan = first;
  let hasLostGuards = false;
  for (let tries = 1;; tries++) {
    if (plan.kind === "ready") return { bridge: plan.bridge, hasLostGuards };
    if (plan.kind === "unusable") throw plan.error;
    const change = plan;
    hasLostGuards ||= change.hasLostGuards;
    if (change.replaced.length > 0) {
      // Pushed before the change, because a failed batch may have made part of it.
      undo.push(
        `restore the addresses of "${spec.name}"`,
        () => restoreAddresses(run, use, change),
      );
    }
    const output = await runBatch(run, [], change.commands);
    const bridge = (await hostLinks(run)).find(isNamed(spec.name));
    plan = planBridge(spec, bridge);
    // A concurrent run may make the same changes, so a failed command matters only if the bridge still differs.
    if (plan.kind === "change" && tries === TRIES) {
      throw (bridge && tooSmall(spec, bridge)) ?? bridgeFailed(spec, output);
    }
  }
}

type Addresses = readonly InterfaceAddress[];

/**
 * Restores the addresses that this run removed from the bridge, and removes those that it added, however far the run came.
 * A new address stays while another attachment of the network may use it as its gateway.
 */
async function restoreAddresses(
  run: RunIp,
  { bridge: { name }, host, group }: BridgeUse,
  { replaced, added }: BridgeChange,
): Promise<void> {
  const isNeeded = (links: readonly Link[]) =>
    links.some((it) => it.master === name && it.group === group && it.ifname !== host);
  const change = async (links: readonly Link[], wanted: Addresses, unwanted: Addresses) => {
    const found = links.find(isNamed(name))?.addresses;
    const has = (address: InterfaceAddress) => found?.some((it) => isSame(it, address)) === true;
    const commands = [
      ...unwanted.filter(has).map((it) => deleteAddress(it, name)),
      ...wanted.filter((it) => !has(it)).map((it) => addAddress(it, name)),
    ];
    if (found === undefined || commands.length === 0) return;
    await outputOf("restore the addresses of the bridge", runBatch(run, [], commands));
  };
  const links = await hostLinks(run);
  await change(links, replaced, isNeeded(links) ? [] : added);
  // Another ADD may have attached a container between the listing and the change.
  const now = await hostLinks(run);
  if (isNeeded(now)) await change(now, added, []);
}

/** Throws BridgeUnusable or IpFailed if an ADD could not make the bridge match its spec. `links`: all links of the host. */
export async function inspectBridge(
  run: RunIp,
  spec: BridgeSpec,
  links: readonly Link[],
): Promise<void> {
  checkName(spec.name, links);
  const bridge = links.find(isNamed(spec.name));
  const plan = planBridge(spec, bridge);
  if (plan.kind === "unusable") throw plan.error;
  checkPorts(spec.name, links);
  checkMtu(spec, links);
  if (bridge === undefined || !needsIpv6(spec, bridge)) return;
  // Without a port, the next port may change the MTU.
  const failed = links.some(({ master }) => master === spec.name)
    ? tooSmall(spec, bridge)
    : undefined;
  if (failed !== undefined) throw failed;
  // No interface accepts the address `::`, so nothing changes. An interface that is down or has no carrier shows IPv6 in no list.
  const { stderr } = await run(["addr", "add", "::/128", "dev", spec.name]);
  if (!/IPv6 is disabled|Permission denied/.test(stderr)) return;
  throw new CniError(
    "IpFailed",
    `Cannot make the bridge "${spec.name}": IPv6 is disabled on it`,
    enableIpv6(spec),
  );
}

function bridgeFailed(spec: BridgeSpec, output: IpOutput): CniError {
  const failed = ipFailed(`make the bridge "${spec.name}"`, output);
  return spec.pinsIpv6 || spec.gateways.some(({ ip }) => ip.includes(":"))
    ? failed.withDetails(`if IPv6 is switched off: ${enableIpv6(spec)}`)
    : failed;
}

function enableIpv6({ name }: BridgeSpec): string {
  return `sysctl -w net/ipv6/conf/${name}/disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0`;
}
