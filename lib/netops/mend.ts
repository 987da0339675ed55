import { attachmentIn, isHostVethName } from "../base/attachment.ts";
import type { CniError } from "../base/errors.ts";
import { isHostMac } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import type { Rollback } from "../rollback.ts";
import { restoreAddresses } from "./addresses.ts";
import { bridgeChange, type BridgeSpec } from "./bridge.ts";
import { hostLinks, named } from "./host.ts";
import { ipFailed, type IpOutput, runBatch, type RunIp } from "./ip.ts";
import type { Link } from "./links.ts";

/** A bridge, and the veth for which it is looked after. */
export interface BridgeUse {
  readonly bridge: BridgeSpec;
  readonly host: InterfaceName;
  /** Of the network's host veths, for packet filters. */
  readonly group: number;
}

/** Looks and fixes between tries; more would be a fight with somebody. */
const TRIES = 4;

/** What a bridge has whose last port left. */
const NO_MAC = "00:00:00:00:00:00";

/** Fixes the MAC of a bridge that got a port, if it would follow its ports; `before` is the bridge without the port. */
export async function settleMac(
  run: RunIp,
  bridge: BridgeSpec,
  before: Link,
  ready: Link,
): Promise<Link> {
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

/** Whether the bridge is what the spec says. */
export function isReady(spec: BridgeSpec, bridge: Link): boolean {
  try {
    return bridgeChange(spec, bridge).commands.length === 0;
  } catch {
    return false; // ensureBridge says why
  }
}

/** A bridge as it is in the end. */
export interface EnsuredBridge {
  readonly bridge: Link;
  /** It was missing or down: its former ports have lost it, or their permanent neighbours on it. */
  readonly hasLostGuards: boolean;
}

/** Makes the bridge what the spec says. BridgeUnusable if it can't be that. */
export async function ensureBridge(
  run: RunIp,
  { bridge: spec, host, group }: BridgeUse,
  found: Link | undefined,
  undo: Rollback,
): Promise<EnsuredBridge> {
  let bridge = found;
  let output: IpOutput | undefined;
  for (let tries = 0;; tries++) {
    const { commands, replaced, added } = bridgeChange(spec, bridge);
    if (bridge !== undefined && commands.length === 0) {
      return { bridge, hasLostGuards: found?.up !== true };
    }
    // Another run may do the same at this moment: what counts is the bridge in the end.
    if (tries === TRIES && output !== undefined) throw bridgeFailed(spec, output);
    if (replaced.length > 0) {
      const change = { bridge: spec.name, host, group, before: replaced, after: added };
      // Before it is done: a batch that fails halfway has done half of it.
      undo.push(`put back the addresses of "${spec.name}"`, () => restoreAddresses(run, change));
    }
    output = await runBatch(run, [], commands);
    bridge = (await hostLinks(run)).find(named(spec.name));
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
