import { type Ip, parseIp, tryIp } from "../../base/address.ts";
import { ownerKey } from "../../base/attachment.ts";
import { CniError, orReport, quote } from "../../base/errors.ts";
import { parseAnyInterfaceName, parseContainerId } from "../../base/names.ts";
import type { Lease } from "../../ipam.ts";

/** A lease in host-local's folder: one file for each range set. The old format has only the container ID. */
export type FoundLease = Pick<Lease, "owner" | "ips">;

export interface LeaseFolder {
  readonly leases: readonly FoundLease[];
  /** The last allocated address of each range set. */
  readonly lastReserved: readonly Ip[];
}

const LISTING_REMEDY =
  "the text is what `grep -H '' /var/lib/cni/networks/NETWORK/*` prints: FILE:LINE for each line of each file";
/** A line of a lease in the listing: an optional folder, the file's name, and text without a colon. */
const LINE = /^(?:[^\0]*\/)?([^/]+):([^:]*)$/;
/** A line of a `last_reserved_ip` file in the listing, with the number of its set and an address. */
const RESERVED_LINE = /^(?:[^\0]*\/)?last_reserved_ip\.(\d+):(.*)$/;
/** It follows the configuration, whose last line may have no end. */
const FIRST_LINE =
  /(?<=^|\})(?:[^\s\0{}[\]"]*\/)?(?:\d+(?:\.\d+){3}|[0-9a-fA-F]*:[0-9a-fA-F:]+|last_reserved_ip\.\d+|lock):/m;

/** Splits stdin into the configuration and the listing of the folder that follows it. */
export function splitImport(text: string): { configuration: string; listing: string } {
  const start = text.search(FIRST_LINE);
  return start < 0
    ? { configuration: text, listing: "" }
    : { configuration: text.slice(0, start), listing: text.slice(start) };
}

/**
 * Parses the output of `grep -H ''` for host-local's folder (rule H11). The name of a file is its address. The file holds
 * the container ID, CR LF and the interface; in the old format only the container ID. Throws InvalidNetworkConfig.
 */
export function parseLeaseFolder(listing: string): LeaseFolder {
  const files = new Map<string, string[]>();
  const last: (Ip | undefined)[] = [];
  for (const line of listing.split(/\r?\n/)) {
    if (line.trim() === "") continue;
    const [, set, reserved = ""] = RESERVED_LINE.exec(line) ?? [];
    if (set !== undefined) {
      last[Number(set)] ??= tryIp(reserved.trim());
      continue;
    }
    const [, name = "", content = ""] = LINE.exec(line) ?? refuseLease(line, "it is not FILE:LINE");
    if (name !== "lock") files.set(name, [...files.get(name) ?? [], content.trim()]);
  }
  const leases = new Map<string, FoundLease>();
  for (const [name, lines] of files) {
    const { owner, ips } = parseLease(name, lines);
    const key = ownerKey(owner);
    leases.set(key, { owner, ips: [...leases.get(key)?.ips ?? [], ...ips] });
  }
  checkOneFormat([...leases.values()]);
  return { leases: [...leases.values()], lastReserved: last.filter((ip) => ip !== undefined) };
}

function parseLease(name: string, lines: readonly string[]): FoundLease {
  const [id = "", ifname = "", ...more] = lines;
  if (more.length > 0) refuseLease(name, `it has ${lines.length} lines, a lease has one or two`);
  return orReport(
    () => ({
      owner: {
        containerId: parseContainerId(id),
        ifname: ifname === "" ? undefined : parseAnyInterfaceName(ifname),
      },
      ips: [parseIp(name)],
    }),
    ({ message }) => refuseLease(name, `${quote(lines.join(" "))}: ${message}`),
  );
}

/** Throws if a container has leases with and without an interface: both may be the same attachment. */
function checkOneFormat(leases: readonly FoundLease[]): void {
  for (const { owner: { containerId, ifname } } of leases) {
    const other = ifname === undefined &&
      leases.find(({ owner }) => owner.containerId === containerId && owner.ifname !== undefined);
    if (!other) continue;
    const found = `the lease of ${other.ips[0]} names its interface, and another lease does not`;
    refuseLease(containerId, found);
  }
}

function refuseLease(what: string, found: string): never {
  throw new CniError(
    "InvalidNetworkConfig",
    `Cannot read ${quote(what)} as a lease of host-local: ${found}`,
    LISTING_REMEDY,
  );
}
