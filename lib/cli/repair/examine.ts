import { formatCidr } from "../../base/address.ts";
import { ownerKey } from "../../base/attachment.ts";
import { asCniError, CniError } from "../../base/errors.ts";
import { allocatingRange, isInSubnets, subnetsOf } from "../../base/range.ts";
import type { NetworkConfig } from "../../config.ts";
import { checkOwners, isForeign, type Lease, SUBNET_CHANGED } from "../../ipam.ts";
import type { Claim, HostVeth } from "../../ownership.ts";
import type { Moment } from "../../plugin.ts";
import { counted, firstThree } from "../wording.ts";
import {
  addressesIn,
  collectTaken,
  makeLease,
  namingCommand,
  type RepairFinding,
  type Taken,
  unverified,
  wrong,
} from "./make_lease.ts";
import type { Placed } from "./restore.ts";

/** The comparison of the state file with the kernel. */
export interface Examination {
  readonly damage: string | undefined;
  /** Leases that stay (`kept`), are new from the kernel (`found`), or have no host veth any longer (`dropped`). */
  readonly kept: readonly Lease[];
  readonly found: readonly Lease[];
  readonly dropped: readonly Lease[];
  /** The host veths to restore. A lease in `found` counts only if the state can be written. */
  readonly ports: readonly Placed[];
  readonly findings: readonly RepairFinding[];
  /** The file needs no change. */
  readonly isConsistent: boolean;
  /** The file must not be written. */
  readonly isStuck: boolean;
  /** A kept lease is in another subnet than the configuration. */
  readonly isOutside: boolean;
}

/**
 * Compares the state with the kernel. A lease stays unless the kernel contradicts it. The addresses in a container count
 * only if its host veth has no lease. Nothing is guessed. No container may have `bridgeMac`, the MAC of the bridge.
 */
export async function examine(
  config: NetworkConfig,
  { state, provenance, claims, view }: Moment,
  bridgeMac: string | undefined,
): Promise<Examination> {
  const { name, sets } = config;
  const of = (...kinds: Claim["kind"][]) => claims.filter(({ kind }) => kinds.includes(kind));
  const leasesOf = (...kinds: Claim["kind"][]) => of(...kinds).flatMap(({ lease }) => lease ?? []);
  const vethsOf = (some: readonly Claim[]) => some.flatMap(({ veths }) => veths);
  const isInDoubt = provenance !== "written";
  const [kept, dropped] = [leasesOf("live", "undecided"), leasesOf("stale", "superseded")];
  const unleased = of("superseded", "unleased");
  const findings = of("undecided").flatMap((it) => undecided(it, isInDoubt));
  const found: (Placed & { readonly lease: Lease })[] = [];
  if (sets.length > 0) {
    const taken = await collectTaken(config, kept, unleased, bridgeMac, view);
    for (const container of taken.unleased) {
      const result = makeLease(container, taken);
      if ("level" in result) findings.push(result);
      else found.push({ lease: result, link: container.veth.link });
    }
    for (const veth of vethsOf(of("unowned"))) {
      findings.push(...unownedVeth(veth, taken, isInDoubt));
    }
  }
  const outside = outsideFindings(config, kept);
  // A network that allocates no addresses needs no file.
  const damage = sets.length === 0
    ? undefined
    : damageOf(provenance, () => checkOwners(state, name));
  const isStuck = findings.some(({ level }) => level === "unverified");
  return {
    damage,
    kept,
    found: found.map(({ lease }) => lease),
    dropped,
    ports: [
      ...of("live").flatMap(({ lease, veths }) => veths.map(({ link }) => ({ lease, link }))),
      ...(isStuck ? [] : found),
      // The host veths of a network without addresses need no lease.
      ...vethsOf(sets.length > 0 ? [] : unleased).map(({ link }) => ({ lease: undefined, link })),
    ],
    findings: [...findings, ...outside],
    isConsistent: damage === undefined && found.length === 0 && dropped.length === 0,
    isStuck,
    isOutside: outside.length > 0,
  };
}

function damageOf(provenance: Moment["provenance"], check: () => void): string | undefined {
  if (provenance instanceof CniError) return provenance.message;
  if (provenance === "missing") return "it does not exist";
  try {
    check();
    return undefined;
  } catch (error) {
    return asCniError(error).message;
  }
}

/** Reports a lease without one certain host veth. It stays held, so only a state in doubt can't be written. */
function undecided({ lease, veths }: Claim, isInDoubt: boolean): RepairFinding[] {
  // Without a veth, it is the lease of an ADD that came while repair looked.
  if (lease === undefined || veths.length === 0) return [];
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

/** Reports a veth on the bridge without an owner, if its container has or may have an address that could be allocated. */
function unownedVeth(veth: HostVeth, taken: Taken, isInDoubt: boolean): RepairFinding[] {
  const { config, holders } = taken;
  const { link: { ifname }, inside } = veth;
  const held = addressesIn(config, veth).filter((ip) =>
    allocatingRange(config.sets.flat(), ip) !== undefined && !holders.has(ip)
  );
  if (held.length === 0 && (inside !== undefined || !isInDoubt)) return [];
  const found = held.length > 0
    ? `${held.join(", ")} is behind ${ifname}, whose owner is unknown`
    : `${ifname} on ${config.bridge} has no known owner, and its other end can't be inspected`;
  const remedy = `${
    namingCommand(veth)
  }remove ${ifname}, or keep its address out of the network's range, and repair again`;
  return [unverified(found, remedy)];
}

/** Reports leases in another subnet. While containers hold them, an ADD allocates nothing and repair can't help. */
function outsideFindings({ name, sets }: NetworkConfig, kept: readonly Lease[]): RepairFinding[] {
  const outside = kept.filter(({ ips, record }) =>
    record?.ranges === undefined && ips.some((ip) => !isInSubnets(sets, ip))
  );
  if (outside.length === 0) return [];
  const are = `${counted(outside.length, "lease")} ${outside.length === 1 ? "is" : "are"}`;
  const some = firstThree(
    outside.map(({ owner, ips }) => `${ips.join(" and ")} of "${ownerKey(owner)}"`),
  );
  const found = `${are} outside of ${subnetsOf(sets).map(formatCidr).join(", ")}: ${some}; ` +
    "repair does not write leases of a changed subnet";
  return [wrong(found, `${SUBNET_CHANGED}; see all: atomicni list ${name}`)];
}
