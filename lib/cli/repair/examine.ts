import type { Ip } from "../../base/address.ts";
import { ownerKey } from "../../base/attachment.ts";
import { asCniError, CniError } from "../../base/errors.ts";
import type { NetworkConfig } from "../../config.ts";
import { checkOwners, containerMac, isForeign, type Lease } from "../../ipam.ts";
import type { Claim, HostVeth } from "../../ownership.ts";
import type { Moment } from "../../plugin.ts";
import {
  addressesIn,
  leaseBehind,
  namingCommand,
  outsideFinding,
  ownerOf,
  type RepairFinding,
  type Taken,
  unownedVethFinding,
} from "./evidence.ts";

/** A lease and its host veth, if that is known. */
export interface Placed {
  readonly lease: Lease;
  readonly veth: HostVeth | undefined;
}

/** The comparison of the state file with the kernel. */
export interface Examination {
  /** The damage of the file; `undefined` if there is none. */
  readonly damage: string | undefined;
  /** Leases that stay (`kept`), are new from the kernel (`found`), or have no host veth any longer (`dropped`). */
  readonly kept: readonly Placed[];
  readonly found: readonly Placed[];
  readonly dropped: readonly Lease[];
  /** The claims of a network without addresses, which need no lease. */
  readonly unleased: readonly Claim[];
  readonly findings: readonly RepairFinding[];
}

/**
 * Compares the state with the kernel. A lease stays unless the kernel contradicts it. The addresses in a container count
 * only if its host veth has no lease. Nothing is guessed. No container may have `bridgeMac`, the MAC of the bridge.
 */
export async function examine(
  config: NetworkConfig,
  { state, provenance, claims }: Moment,
  bridgeMac: string | undefined,
): Promise<Examination> {
  const isInDoubt = provenance !== "written";
  const kept: Placed[] = [];
  const dropped: Lease[] = [];
  const findings: RepairFinding[] = [];
  const without: Claim[] = [];
  const strangers: HostVeth[] = [];
  for (const claim of claims) {
    const { kind, lease, veths: [veth] } = claim;
    if (kind === "stale" && lease !== undefined) dropped.push(lease);
    else if (kind === "superseded" && lease !== undefined) {
      dropped.push(lease);
      without.push(claim);
    } else if (lease !== undefined) {
      kept.push({ lease, veth: kind === "live" ? veth : undefined });
      if (kind === "undecided") findings.push(undecided(claim, isInDoubt && !isForeign(lease)));
    } else if (kind === "unleased") without.push(claim);
    else if (kind === "unowned" && veth !== undefined) strangers.push(veth);
  }
  const found: Placed[] = [];
  if (config.sets.length > 0) {
    const taken = await takenBy(config, kept, without, bridgeMac);
    for (const claim of without) {
      const result = await leaseBehind(config, claim, taken);
      if ("level" in result) findings.push(result);
      else found.push({ lease: result, veth: claim.veths[0] });
    }
    for (const veth of strangers) {
      findings.push(
        ...[unownedVethFinding(config, veth, taken, isInDoubt)].flatMap((it) => it ?? []),
      );
    }
  }
  const outside = outsideFinding(config, kept.map(({ lease }) => lease));
  return {
    damage: config.sets.length > 0 ? damageOf(config, { state, provenance }) : undefined,
    kept,
    found,
    dropped,
    unleased: config.sets.length > 0 ? [] : without,
    findings: findings.concat(outside ?? []),
  };
}

function damageOf(
  { name }: NetworkConfig,
  { state, provenance }: Pick<Moment, "state" | "provenance">,
): string | undefined {
  if (provenance instanceof CniError) return provenance.message;
  // A network that allocates no addresses needs no file.
  if (provenance === "missing") return "it does not exist";
  try {
    checkOwners(state, name);
    return undefined;
  } catch (error) {
    return asCniError(error).message;
  }
}

/** Reports a lease without one certain host veth. It stays held, so only a state in doubt can't be written. */
function undecided({ lease, veths }: Claim, isUnverified: boolean): RepairFinding {
  // A host veth with the lease's MAC is not inspected.
  const hidden = veths.find(({ inside, link }) =>
    inside === undefined && link.mac !== lease?.record?.hostMac
  );
  const owner = lease === undefined ? "" : ownerKey(lease.owner);
  const names = veths.map(({ link }) => link.ifname).join(" or ");
  const why = veths.length > 1
    ? "more than one host veth matches its lease"
    : "the MAC differs from the lease, and the other end can't be inspected";
  return {
    level: isUnverified ? "unverified" : "note",
    found: `"${owner}" may have ${names}: ${why}`,
    remedy: `${
      hidden === undefined ? "" : namingCommand(hidden)
    }remove that container and add it again, and repair again`,
  };
}

/** Collects the users of addresses and MACs: first leases, then containers without a lease. */
async function takenBy(
  config: NetworkConfig,
  kept: readonly Placed[],
  without: readonly Claim[],
  bridgeMac: string | undefined,
): Promise<Taken> {
  const holders = new Map<Ip, string>();
  const macs = new Map<string, string>();
  for (const { lease } of kept) {
    const key = ownerKey(lease.owner);
    lease.ips.forEach((ip) => holders.set(ip, key));
    const mac = containerMac(lease);
    if (mac !== undefined) macs.set(mac, `"${key}"`);
  }
  if (bridgeMac !== undefined) macs.set(bridgeMac, `the bridge "${config.bridge}"`);
  const others = await Promise.all(
    without.flatMap(({ veths }) => veths).map(async (veth, index) => {
      const claim = without[index];
      const owner = claim && await ownerOf(config, claim);
      return { veth, name: owner === undefined ? veth.link.ifname : ownerKey(owner) };
    }),
  );
  const rival = (veth: HostVeth, has: (other: HostVeth) => boolean) =>
    others.find((it) => it.veth !== veth && has(it.veth))?.name;
  return {
    leaseOf: (ip) => holders.get(ip),
    macUser: (mac, veth) => {
      const other = rival(veth, ({ inside }) => inside?.peer.mac === mac);
      return macs.get(mac) ?? (other && `"${other}"`);
    },
    rivalOf: (ip, veth) => rival(veth, (other) => addressesIn(config, other).includes(ip)),
  };
}
