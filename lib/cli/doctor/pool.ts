import type { NetworkConfig } from "../../config.ts";
import { asCniError } from "../../errors.ts";
import { countFree, poolFull, SUBNET_CHANGED } from "../../ipam.ts";
import type { Ledger } from "../../ledger.ts";
import type { Pool } from "../../pool.ts";
import { contains, formatCidr, formatIpv4 } from "../../ipv4.ts";
import type { Link } from "../../links.ts";
import { attachmentOf, hostVethName, leaseKey } from "../../names.ts";
import { readState } from "../../statefile.ts";
import { attachments } from "../attachments.ts";
import { failure, type Finding, finding } from "./finding.ts";

/** Below this share of free addresses a pool is called short. */
const SHORT = 0.1;

/** How many addresses there are to give. */
export function poolSize(pool: Pool): number {
  return countFree([], pool);
}

/** The network's leases against its pool and against the veths that the host has. */
export async function examinePool(
  config: NetworkConfig,
  veths: ReadonlyMap<string, Link>,
): Promise<Finding[]> {
  let ledger: Ledger;
  try {
    const snapshot = await readState(config.dataDir, config.name);
    snapshot.file?.close();
    ledger = snapshot.ledger;
  } catch (error) {
    return [failure("state", asCniError(error))];
  }
  const rows = await attachments({ network: config.name, dataDir: config.dataDir, ledger }, veths);
  const outside = rows.filter(({ ip }) => !contains(config.subnet, ip));
  const stale = rows.filter(({ live }) => !live);
  const size = poolSize(config);
  const free = countFree(rows, config);
  const { start, end } = config.range;
  const numbers =
    `${formatIpv4(start)} - ${formatIpv4(end)}: ${size} addresses, ${rows.length} held, ` +
    `${stale.length} of them stale, ${free} free`;
  return [
    ...outside.slice(0, 1).map(({ address }) => ({
      ...finding(
        "error",
        "state",
        `it holds ${address}, which is not in ${formatCidr(config.subnet)}: the subnet was changed`,
        SUBNET_CHANGED,
      ),
      code: 104,
    })),
    poolFinding(config, numbers, free, stale.length, size),
    ...stale.slice(0, 1).map(() =>
      finding(
        "warning",
        "leases",
        `${stale.length} without a host veth, ${
          stale.slice(0, 3).map(({ address }) => address).join(", ")
        }${stale.length > 3 ? ", …" : ""}: an ADD that finds no free address takes them back`,
        "atomicni repair < CONFIGURATION takes them back now",
      )
    ),
    ...await leftoverVeths(config, ledger, veths),
  ];
}

function poolFinding(
  pool: Pool,
  numbers: string,
  free: number,
  stale: number,
  size: number,
): Finding {
  if (free + stale === 0) {
    const { code, details } = poolFull(pool);
    return { ...finding("error", "pool", `${numbers}: no address is left`, details), code };
  }
  const isShort = free + stale < size * SHORT;
  return finding(
    isShort ? "warning" : "ok",
    "pool",
    numbers,
    isShort ? "widen the range or the subnet before it is full" : "",
  );
}

/** Host veths that say they are this network's and have no lease. */
async function leftoverVeths(
  { name }: NetworkConfig,
  ledger: Ledger,
  veths: ReadonlyMap<string, Link>,
): Promise<Finding[]> {
  const found: Finding[] = [];
  for (const { ifname, alias } of veths.values()) {
    const owner = attachmentOf(alias);
    if (owner?.network !== name || await hostVethName(owner) !== ifname) continue;
    if (ledger.addressOf(leaseKey(owner)) !== undefined) continue;
    found.push(
      finding(
        "warning",
        "veths",
        `"${ifname}" of container "${owner.containerId}" has no lease: an ADD or DEL is at work, or was killed`,
        `if it stays: ip link del dev ${ifname}`,
      ),
    );
  }
  return found;
}
