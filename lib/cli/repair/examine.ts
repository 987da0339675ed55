import { formatCidr } from "../../base/address.ts";
import { ownerKey } from "../../base/attachment.ts";
import { asCniError, CniError } from "../../base/errors.ts";
import { isInSubnets, subnetsOf } from "../../base/range.ts";
import type { NetworkConfig } from "../../config.ts";
import { checkOwners, containerMac, isForeign, type Lease, SUBNET_CHANGED } from "../../ipam.ts";
import type { Claim, HostVeth } from "../../ownership.ts";
import type { Moment } from "../../plugin.ts";
import { firstThree } from "../first_three.ts";
import {
  leaseBehind,
  namingCommand,
  type Taken,
  unleasedOf,
  unownedVethFinding,
} from "./evidence.ts";
import { type RepairFinding, wrong } from "./finding.ts";

/** A lease and its host veth, if that is known. */
export interface Placed<L = Lease> {
  readonly lease: L;
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
  /** The host veths of a network without addresses, which need no lease. */
  readonly unleased: readonly Placed<undefined>[];
  readonly findings: readonly RepairFinding[];
  /** A kept lease is in another subnet than the configuration. */
  readonly isOutside: boolean;
}

/**
 * Compares the state with the kernel. A lease stays unless the kernel contradicts it. The addresses in a container count
 * only if its host veth has no lease. Nothing is guessed. No container may have `bridgeMac`, the MAC of the bridge.
 */
export async function examine(
  config: NetworkConfig,
  moment: Moment,
  bridgeMac: string | undefined,
): Promise<Examination> {
  const { provenance, claims } = moment;
  const isInDoubt = provenance !== "written";
  const dropped = new Set(
    claims.flatMap(({ kind, lease }) =>
      lease !== undefined && (kind === "stale" || kind === "superseded") ? [lease] : []
    ),
  );
  const kept = claims.flatMap(({ kind, lease, veths: [veth] }): Placed[] =>
    lease === undefined || dropped.has(lease)
      ? []
      : [{ lease, veth: kind === "live" ? veth : undefined }]
  );
  const findings = claims.flatMap((it) => it.kind === "undecided" ? undecided(it, isInDoubt) : []);
  const without = claims.filter(({ kind }) => kind === "superseded" || kind === "unleased");
  const found: Placed[] = [];
  if (config.sets.length > 0) {
    const taken = await takenBy(config, kept, without, bridgeMac);
    for (const container of taken.unleased) {
      const result = leaseBehind(config, container, taken);
      if ("level" in result) findings.push(result);
      else found.push({ lease: result, veth: container.veth });
    }
    for (const veth of claims.flatMap(({ kind, veths }) => kind === "unowned" ? veths : [])) {
      findings.push(...unownedVethFinding(config, veth, taken, isInDoubt));
    }
  }
  const outside = outsideFindings(config, kept);
  return {
    damage: damageOf(config, moment),
    kept,
    found,
    dropped: [...dropped],
    unleased: config.sets.length > 0
      ? []
      : without.map(({ veths: [veth] }) => ({ lease: undefined, veth })),
    findings: [...findings, ...outside],
    isOutside: outside.length > 0,
  };
}

function damageOf(
  { name, sets }: NetworkConfig,
  { state, provenance }: Moment,
): string | undefined {
  // A network that allocates no addresses needs no file.
  if (sets.length === 0) return undefined;
  if (provenance instanceof CniError) return provenance.message;
  if (provenance === "missing") return "it does not exist";
  try {
    checkOwners(state, name);
    return undefined;
  } catch (error) {
    return asCniError(error).message;
  }
}

/** Reports a lease without one certain host veth. It stays held, so only a state in doubt can't be written. */
function undecided({ lease, veths }: Claim, isInDoubt: boolean): RepairFinding[] {
  if (lease === undefined) return [];
  // A host veth with the lease's MAC is not inspected.
  const hidden = veths.find(({ inside, link }) =>
    inside === undefined && link.mac !== lease.record?.hostMac
  );
  const names = veths.map(({ link }) => link.ifname).join(" or ");
  const why = veths.length > 1
    ? "more than one host veth matches its lease"
    : "the MAC differs from the lease, and the other end can't be inspected";
  return [{
    level: isInDoubt && !isForeign(lease) ? "unverified" : "note",
    found: `"${ownerKey(lease.owner)}" may have ${names}: ${why}`,
    remedy: `${
      hidden === undefined ? "" : namingCommand(hidden)
    }remove that container and add it again, and repair again`,
  }];
}

/** Collects the users of addresses and MACs: leases, the bridge, and containers without a lease. */
async function takenBy(
  config: NetworkConfig,
  kept: readonly Placed[],
  without: readonly Claim[],
  bridgeMac: string | undefined,
): Promise<Taken> {
  const leases = kept.map(({ lease }) => ({ ...lease, key: ownerKey(lease.owner) }));
  const macs = new Map<string, string>();
  for (const lease of leases) {
    const mac = containerMac(lease);
    if (mac !== undefined) macs.set(mac, `"${lease.key}"`);
  }
  if (bridgeMac !== undefined) macs.set(bridgeMac, `the bridge "${config.bridge}"`);
  return {
    holders: new Map(leases.flatMap(({ ips, key }) => ips.map((ip) => [ip, key]))),
    macs,
    unleased: await unleasedOf(config, without),
  };
}

/** Reports leases in another subnet. While containers hold them, an ADD allocates nothing and repair can't help. */
function outsideFindings(
  { name, sets }: NetworkConfig,
  kept: readonly Placed[],
): RepairFinding[] {
  const outside = kept.map(({ lease }) => lease).filter(({ ips, record }) =>
    record?.ranges === undefined && ips.some((ip) => !isInSubnets(sets, ip))
  );
  if (outside.length === 0) return [];
  const count = outside.length === 1 ? "1 lease is" : `${outside.length} leases are`;
  const some = firstThree(
    outside.map(({ owner, ips }) => `${ips.join(" and ")} of "${ownerKey(owner)}"`),
  );
  const found = `${count} outside of ${subnetsOf(sets).map(formatCidr).join(", ")}: ${some}; ` +
    "repair does not write leases of a changed subnet";
  return [wrong(found, `${SUBNET_CHANGED}; see all: atomicni list ${name}`)];
}
