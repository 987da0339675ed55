import { CniError, Malformed, quote } from "./errors.ts";
import { type Ipv4, parseIpv4, tryIpv4 } from "./ipv4.ts";
import {
  type ContainerId,
  type InterfaceName,
  parseAnyInterfaceName,
  parseContainerId,
} from "./names.ts";

/** One lease file of host-local: whose address it is. */
export interface FoundLease {
  readonly ip: Ipv4;
  readonly containerId: ContainerId;
  /** Absent in the old format, which has the container ID alone. */
  readonly ifname?: InterfaceName;
}

/** host-local's folder of one network. */
export interface LeaseFolder {
  readonly leases: readonly FoundLease[];
  readonly lastReserved?: Ipv4;
}

const REMEDY =
  "the text is what `grep -H '' /var/lib/cni/networks/NETWORK/*` prints: FILE:LINE for each line of each file";
/** A line of such a text: a folder or none, a file's name, a line of it, which never has a colon. */
const LINE = /^(?:[^\0]*\/)?([^/]+):([^:]*)$/;
const FIRST_LINE = /^(?:[^\s\0:{"]*\/)?(?:\d+(?:\.\d+){3}|last_reserved_ip\.\d+|lock):/m;

/** A configuration and, behind it, the listing of a folder, as one stdin has them. */
export function splitImport(text: string): { configuration: string; listing: string } {
  const start = text.search(FIRST_LINE);
  return start < 0
    ? { configuration: text, listing: "" }
    : { configuration: text.slice(0, start), listing: text.slice(start) };
}

/**
 * The leases in `listing`, which is what `grep -H ''` prints of host-local's folder (rule H11): each file is named
 * by its address and holds the container ID, CR LF and the interface; older ones the container ID alone. Code 7.
 */
export function parseLeaseFolder(listing: string): LeaseFolder {
  const files = new Map<string, string[]>();
  for (const line of listing.split(/\r?\n/)) {
    if (line.trim() === "") continue;
    const [, name = "", content = ""] = LINE.exec(line) ?? refuse(line, "it is no FILE:LINE");
    files.set(name, [...files.get(name) ?? [], content.trim()]);
  }
  const leases: FoundLease[] = [];
  let lastReserved: Ipv4 | undefined;
  for (const [name, lines] of files) {
    const of = /^last_reserved_ip\.(\d+)$/.exec(name)?.[1];
    if (of === "0") lastReserved = tryIpv4(lines[0] ?? "");
    else if (of !== undefined) refuse(name, "the network has more than one range set");
    else if (name !== "lock") leases.push(parseLease(name, lines));
  }
  checkOwners(leases);
  return { leases, ...(lastReserved !== undefined && { lastReserved }) };
}

function parseLease(name: string, lines: readonly string[]): FoundLease {
  const [id = "", ifname = "", ...more] = lines;
  if (more.length > 0) refuse(name, `it has ${lines.length} lines, a lease has one or two`);
  try {
    return {
      ip: parseIpv4(name),
      containerId: parseContainerId(id),
      ...(ifname !== "" && { ifname: parseAnyInterfaceName(ifname) }),
    };
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    return refuse(name, `${quote(lines.join(" "))}: not ${error.wanted}: ${error.found}`);
  }
}

/** One attachment has one address here. */
function checkOwners(leases: readonly FoundLease[]): void {
  const owners = new Set<string>();
  for (const { containerId, ifname } of leases) {
    const owner = ifname === undefined ? containerId : `${containerId}/${ifname}`;
    if (owners.has(owner)) refuse(owner, "it has two addresses; this plugin gives one");
    owners.add(owner);
  }
}

function refuse(what: string, found: string): never {
  throw new CniError(7, `Cannot read ${quote(what)} as a lease of host-local: ${found}`, {
    details: REMEDY,
  });
}
