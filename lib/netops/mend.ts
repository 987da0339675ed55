import { attachmentIn, isHostVethName } from "../base/attachment.ts";
import type { CniError } from "../base/errors.ts";
import { isHostMac } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import type { Rollback } from "../rollback.ts";
import { restoreAddresses } from "./addresses.ts";
import { type BridgeChange, bridgeChange, type BridgeSpec } from "./bridge.ts";
import { hostLinks, named } from "./host.ts";
import { ipFailed, type IpOutput, runBatch, type RunIp } from "./ip.ts";
import type { Link } from "./links.ts";

/** What `attach` asks and tells while it works. */
export interface AttachHooks {
  readonly undo: Rollback;
  /** Throws where the bridge may not be touched; called before it is. */
  readonly beforeBridge: () => Promise<void>;
  /** Called once a bridge is up that was missing or down: other ports have lost it, or their neighbours on it. */
  readonly bridgeMade?: () => Promise<void>;
}

/** A bridge, and the veth for which it is looked after. */
export interface BridgeUse {
  readonly bridge: BridgeSpec;
  readonly host: InterfaceName;
  /** Of the network's host veths, for packet filters. */
  readonly group: number;
}

/** Looks and mends between tries; more would be a fight with somebody. */
export const TRIES = 4;

/** What a bridge has whose last port left. */
const NO_MAC = "00:00:00:00:00:00";

/** A veth has been put into it: is the bridge what it must be, and does its MAC stay? Returns it as it is then. */
export async function settleBridge(
  run: RunIp,
  use: BridgeUse,
  { before, after }: { readonly before: Link; readonly after: Link },
  hooks: AttachHooks,
): Promise<Link> {
  const { bridge } = use;
  const ready = await mendBridge(run, use, after, hooks);
  // Without a MAC of its own it takes the lowest of its ports', and neighbours lose it as ports come and go.
  const now = isHostMac(before.mac) ? await macNow(run, bridge.name) : undefined;
  if (now !== undefined && !now.isPorts) return { ...ready, mac: now.mac };
  if (now === undefined && !before.bridge.followsPorts) return ready;
  // Whatever it had: ADDs at the same time have to give it the same.
  const output = await run(["link", "set", "dev", bridge.name, "address", bridge.mac]);
  if (!output.success) throw ipFailed(`fix the MAC of "${bridge.name}"`, output);
  return { ...ready, mac: bridge.mac };
}

/** The bridge's MAC as it is now, and whether it is one of a host veth's. Another program may have given it such a one for good. */
async function macNow(run: RunIp, bridge: string): Promise<{ mac: string; isPorts: boolean }> {
  const links = await hostLinks(run);
  const found = links.find(named(bridge));
  const mac = found?.mac ?? NO_MAC;
  const isPorts = found === undefined || found.bridge.followsPorts ||
    links.some((link) =>
      link.master === bridge && link.mac === mac &&
      (isHostVethName(link.ifname) || attachmentIn(link.alias) !== undefined)
    );
  return { mac, isPorts };
}

/** Makes the bridge what the spec says; returns it. */
export async function mendBridge(
  run: RunIp,
  { bridge: spec, host, group }: BridgeUse,
  found: Link | undefined,
  { undo, beforeBridge, bridgeMade }: AttachHooks,
): Promise<Link> {
  let bridge = found;
  let output: IpOutput | undefined;
  for (let tries = 0;; tries++) {
    const { commands, replaced, added } = await changeFor(spec, bridge, beforeBridge);
    if (bridge !== undefined && commands.length === 0) return bridge;
    // Another run may do the same at this moment: what counts is the bridge in the end.
    if (tries === TRIES && output !== undefined) throw bridgeFailed(spec, output);
    await beforeBridge();
    if (replaced.length > 0) {
      const change = { bridge: spec.name, host, group, before: replaced, after: added };
      // Before it is done: a batch that fails halfway has done half of it.
      undo.push(`put back the addresses of "${spec.name}"`, () => restoreAddresses(run, change));
    }
    output = await runBatch(run, [], commands);
    // A bridge that is set down forgets its permanent neighbours.
    const hasLostGuards = bridge?.up !== true;
    bridge = (await hostLinks(run)).find(named(spec.name));
    // However the commands ended, and whoever made it.
    if (hasLostGuards && bridge !== undefined) await bridgeMade?.();
  }
}

/** What the state says counts more than what the bridge looks like: its remedy hurts nobody. */
async function changeFor(
  spec: BridgeSpec,
  bridge: Link | undefined,
  beforeBridge: () => Promise<void>,
): Promise<BridgeChange> {
  try {
    return bridgeChange(spec, bridge);
  } catch (error) {
    await beforeBridge();
    throw error;
  }
}

export function bridgeFailed({ name, gateways }: BridgeSpec, output: IpOutput): CniError {
  const failed = ipFailed(`make the bridge "${name}"`, output);
  return gateways.some(({ ip }) => ip.includes(":"))
    ? failed.withDetails(
      `where IPv6 is switched off: sysctl -w net/ipv6/conf/${name}/disable_ipv6=0, and net.ipv6.conf.default.disable_ipv6=0`,
    )
    : failed;
}
