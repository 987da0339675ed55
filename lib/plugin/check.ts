import { hostVethName, ownerKey } from "../base/attachment.ts";
import { CniError } from "../base/errors.ts";
import type { InterfaceName } from "../base/names.ts";
import type { Invocation, NetworkConfig } from "../config.ts";
import { findLease, hostsOf, isImported, type Lease } from "../ipam.ts";
import type { Result } from "../result.ts";
import { differences } from "./compare.ts";
import type { Effects } from "./effects.ts";

/** CHECK: everything of ours in `prevResult`, all differences in one answer (rules K1 to K5). */
export async function check(
  config: NetworkConfig,
  { containerId, ifname, netns }: Invocation,
  { kernel, leases }: Effects,
): Promise<void> {
  const { prevResult, bridge, name, guarded } = config;
  if (prevResult === undefined) {
    throw new CniError("InvalidNetworkConfig", '"prevResult" is required', {
      details: "the runtime sends the result of the ADD along",
    });
  }
  const owner = { containerId, ifname };
  const naming = hostVethName({ network: name, ...owner }); // by another thread, meanwhile
  // Not before stdin is read: two of them that start leave no processor for that.
  kernel.willInspect(netns);
  const look = (host: InterfaceName) => kernel.inspect({ bridge, host, netns, ifname, guarded });
  const own = await naming;
  const looking = look(own);
  looking.catch(() => {}); // awaited below, or ended with the kernel
  // While the kernel is at work.
  await kernel.told();
  const { state } = leases.read();
  const lease = findLease(state, owner) ?? findLease(state, { containerId, ifname: undefined });
  const isOwn = lease === undefined || (!isImported(lease) && lease.owner.ifname !== undefined);
  const host = isOwn ? own : await hostOf(lease, config, prevResult);
  const seen = await (host === own ? looking : look(host));
  if (lease === undefined && seen.host === undefined) {
    throw new CniError(
      "UnknownContainer",
      `Cannot CHECK "${ownerKey(owner)}": network "${name}" knows no such attachment`,
      { details: "it was never added, or removed already; no DEL is needed" },
    );
  }
  const found = differences({ config, prevResult, host, ifname, netns, lease }, seen);
  if (found.length === 0) return;
  throw new CniError(
    "AttachmentDiffers",
    `Cannot confirm "${ownerKey(owner)}": ${found.join("; ")}`,
    { details: "remove the container and start it again, or set back what was changed" },
  );
}

/** The host veth of a lease: where it may be one of several, the one that `prevResult` has. */
async function hostOf(
  lease: Lease,
  { name }: NetworkConfig,
  { interfaces }: Result,
): Promise<InterfaceName> {
  const hosts = await hostsOf(lease, name);
  const listed = hosts.find((host) => interfaces.some((it) => it.name === host));
  return (listed ?? hosts[0]) as InterfaceName;
}
