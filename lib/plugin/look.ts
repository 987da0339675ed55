import type { Lease } from "../ipam.ts";
import { type Claim, claims, type HostView, isInDoubt, type Subject } from "../ownership.ts";
import type { Effects } from "./effects.ts";

/**
 * What the kernel shows for the claims of these leases. `netns` is the path of a namespace to inspect besides those below
 * /run/netns. IpFailed, IOFailure.
 */
export async function viewFor(
  subject: Subject,
  leases: readonly Lease[],
  { kernel, marks }: Pick<Effects, "kernel" | "marks">,
  netns?: string,
): Promise<HostView> {
  const seen = await kernel.view(isInDoubt(subject, leases), netns);
  // After the view: an ADD that ended since then has its lease.
  const adds = new Map(marks.hosts().map((host) => [host, marks.of(host)]));
  return seen.map((veth) => ({ ...veth, add: adds.get(veth.link.ifname) ?? "none" }));
}

/** The claims of these leases and of the veths without one, at this moment. */
export async function claimsOf(
  subject: Subject,
  leases: readonly Lease[],
  effects: Pick<Effects, "kernel" | "marks">,
  netns?: string,
): Promise<Claim[]> {
  return await claims(subject, leases, await viewFor(subject, leases, effects, netns));
}
