import { macOfAll } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import { containerMac, type Lease } from "../ipam.ts";
import { guardedIps } from "../netops.ts";
import type { Effects } from "./effects.ts";

/**
 * Takes the neighbours of a lease from its bridge, before its addresses are free: an address gets the MAC that belongs to it
 * next time, so who had another, or was guarded, must not be remembered. Success where there is no bridge.
 */
export async function forgetNeighboursOf(
  lease: Lease,
  configured: string | undefined,
  { kernel }: Pick<Effects, "kernel">,
): Promise<true> {
  const { ips, record } = lease;
  const bridge = (record?.bridge ?? configured) as InterfaceName | undefined;
  const mac = containerMac(lease);
  const isKnown = (mac !== undefined && mac !== macOfAll(ips)) || record?.guarded === true;
  if (!isKnown || bridge === undefined) return true;
  await kernel.forgetNeighbours(bridge, mac === undefined ? ips : guardedIps(ips, mac));
  return true;
}

/** The same for a lease that is taken back for another's sake, who must not fail for it. */
export async function tryToForget(
  lease: Lease,
  configured: string | undefined,
  effects: Pick<Effects, "kernel" | "warn">,
): Promise<void> {
  try {
    await forgetNeighboursOf(lease, configured, effects);
  } catch (error) {
    effects.warn((error as Error).message);
  }
}
