import { ownerKey } from "../base/attachment.ts";
import { CniError } from "../base/errors.ts";
import type { InterfaceName } from "../base/names.ts";
import type { Invocation, NetworkConfig } from "../config.ts";
import { findLease, hostsOf } from "../ipam.ts";
import { differences } from "./compare.ts";
import type { Effects } from "./effects.ts";

/** CHECK: compares this network's part of `prevResult` with the kernel and reports all differences at once (rules K1 to K5). */
export async function check(
  config: NetworkConfig,
  { containerId, ifname, netns }: Invocation,
  { kernel, leases }: Effects,
): Promise<void> {
  const { prevResult, bridge, name, guarded } = config;
  if (prevResult === undefined) {
    throw new CniError(
      "InvalidNetworkConfig",
      '"prevResult" is required',
      "the runtime has to pass the result of the ADD",
    );
  }
  const owner = { containerId, ifname };
  const { state } = leases.read();
  const lease = findLease(state, owner) ?? findLease(state, { containerId, ifname: undefined });
  const hosts = await hostsOf(lease ?? { owner, ips: [], record: undefined }, name);
  // An imported lease may have several candidates.
  const listed = hosts.find((host) => prevResult.interfaces.some((it) => it.name === host));
  const host = (listed ?? hosts[0]) as InterfaceName;
  const seen = await kernel.inspect({ bridge, host, netns, ifname, guarded });
  if (lease === undefined && seen.host === undefined) {
    throw new CniError(
      "UnknownContainer",
      `Cannot CHECK "${ownerKey(owner)}": network "${name}" knows no such attachment`,
      "it was never added, or removed already; no DEL is needed",
    );
  }
  const found = differences({ config, prevResult, host, ifname, netns, lease }, seen);
  if (found.length === 0) return;
  throw new CniError(
    "AttachmentDiffers",
    `Cannot confirm "${ownerKey(owner)}": ${found.join("; ")}`,
    "remove the container and start it again, or undo the changes",
  );
}
