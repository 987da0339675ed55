import { join } from "@std/path/posix";
import { asCniError, CniError, Malformed } from "../errors.ts";
import { ipFailed, parseIpJson, runIp } from "../ip.ts";
import { hostsOf, list, vethOf } from "../ipam.ts";
import { formatIpv4, type Ipv4 } from "../ipv4.ts";
import type { LeaseNote, Ledger } from "../ledger.ts";
import { type Link, parseLink } from "../links.ts";
import { attachmentOf, leaseKey, macOf, type NetworkName, parseNetworkName } from "../names.ts";
import { STATE_FOLDER } from "../scope.ts";
import { readState } from "../statefile.ts";
import { UsageError } from "./command.ts";
import { didYouMean } from "./nearest.ts";

/** One network of the state folder. */
export interface Held {
  readonly network: NetworkName;
  readonly dataDir: string;
  readonly ledger: Ledger;
}

/** Every network that can be read, and an error for each that can't. */
export interface Networks {
  readonly held: readonly Held[];
  readonly errors: readonly CniError[];
}

/** A lease with what the kernel says of it. */
export interface Attached {
  readonly network: NetworkName;
  readonly containerId: string;
  /** Empty where the Go original gave the lease. */
  readonly ifname: string;
  readonly pod?: string;
  readonly ip: Ipv4;
  readonly address: string;
  /** The container's; absent where another program gave the lease. */
  readonly mac?: string;
  readonly veth: string;
  /** UTC; absent where the Go original gave the lease. */
  readonly since?: string;
  /** The host veth is there; without it the address is free for whoever needs it. Absent where ip can't tell. */
  readonly live?: boolean;
  readonly link?: Link;
}

/** Reads each `*.json` in the state folder and the folders below; nothing is locked and nothing is changed. */
export async function readNetworks(): Promise<Networks> {
  const held: Held[] = [];
  const errors: CniError[] = [];
  for (const { network, dataDir } of stateFiles(STATE_FOLDER)) {
    try {
      const { ledger, file } = await readState(dataDir, network);
      file?.close();
      held.push({ network, dataDir, ledger });
    } catch (error) {
      errors.push(asCniError(error));
    }
  }
  held.sort((a, b) => compareText(a.network, b.network) || compareText(a.dataDir, b.dataDir));
  return { held, errors };
}

/** Those of that name, or all without one; what `command` says where there is none and everything could be read. */
export function named(
  { held, errors }: Networks,
  name: string | undefined,
  command: string,
): Held[] {
  const found = held.filter(({ network }) => name === undefined || network === name);
  if (name === undefined || found.length > 0 || errors.length > 0) return found;
  throw new UsageError(
    `Cannot show "${name}": no network of that name has a state file`,
    didYouMean(name, held.map(({ network }) => network)) || `see all: atomicni ${command}`,
  );
}

function stateFiles(folder: string): { network: NetworkName; dataDir: string }[] {
  const found: { network: NetworkName; dataDir: string }[] = [];
  try {
    for (const { name, isDirectory } of Deno.readDirSync(folder)) {
      // No network begins with a dot; what else has such a name is not ours to look at.
      if (name.startsWith(".")) continue;
      if (isDirectory) found.push(...stateFiles(join(folder, name)));
      // What is no file by that name (a link, a FIFO) is told by whoever reads it.
      else if (name.endsWith(".json")) {
        const network = networkNamed(name.slice(0, -".json".length));
        if (network !== undefined) found.push({ network, dataDir: folder });
      }
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return found;
    const denied = error instanceof Deno.errors.PermissionDenied;
    throw new CniError(5, `Cannot list "${folder}": ${(error as Error).message}`, {
      details: denied ? "it is root's alone: run this as root" : `see what it is: ls -ld ${folder}`,
      cause: error,
    });
  }
  return found;
}

function networkNamed(text: string): NetworkName | undefined {
  try {
    return parseNetworkName(text);
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** Every network that can be read, and the host's veths as far as ip shows them. */
export interface Survey extends Networks {
  readonly veths?: ReadonlyMap<string, Link>;
}

/** What is known at this moment; what can't be read is among the errors, and the rest is told all the same. */
export async function survey(...options: string[]): Promise<Survey> {
  const networks = await readNetworks();
  try {
    return { ...networks, veths: await hostVeths(...options) };
  } catch (error) {
    return { ...networks, errors: [...networks.errors, asCniError(error)] };
  }
}

/** The host's veths by name, whoever made them, from one `ip`; `options` stand in front of it. */
async function hostVeths(...options: string[]): Promise<Map<string, Link>> {
  const output = await runIp([...options, "-j", "link", "show", "type", "veth"]);
  if (!output.success) throw ipFailed("list the host's veths", output);
  const links = (parseIpJson(output)[0] ?? []).map(parseLink);
  return new Map(links.map((link) => [link.ifname, link]));
}

/** The network's leases beside the veths they belong to, in the order of their addresses. */
export async function attachments(
  { network, ledger }: Held,
  veths: ReadonlyMap<string, Link> | undefined,
): Promise<Attached[]> {
  const byOwner = new Map<string, Link>();
  for (const link of veths?.values() ?? []) {
    const owner = attachmentOf(link.alias);
    if (owner?.network === network) byOwner.set(leaseKey(owner), link);
  }
  const rows = await Promise.all(
    list(ledger).map(async ({ key, ip, note }): Promise<Attached> => {
      // Its alias says whose it is; only where it does not, the name has to be worked out.
      const known = byOwner.get(key);
      const hosts = known !== undefined
        ? [known.ifname]
        : hostsOf({ key, ip, ...(note && { note }) }) ?? [await vethOf(key, network)];
      const link = known ?? hosts.map((host) => veths?.get(host)).find((it) => it !== undefined);
      const slash = key.indexOf("/");
      return {
        network,
        containerId: slash < 0 ? key : key.slice(0, slash),
        ifname: slash < 0 ? "" : key.slice(slash + 1),
        ...(note?.pod !== undefined && { pod: note.pod }),
        ip,
        address: formatIpv4(ip),
        ...macNoted(ip, note),
        veth: link?.ifname ?? hosts.join(" or "),
        ...(note !== undefined && { since: note.since }),
        ...(veths !== undefined && { live: link !== undefined }),
        ...(link !== undefined && { link }),
      };
    }),
  );
  return rows.sort((a, b) => a.ip - b.ip);
}

/** The container's MAC; of a lease that was taken over only its maker knew it. */
function macNoted(ip: Ipv4, note: LeaseNote | undefined): { mac?: string } {
  if (note?.mac !== undefined) return { mac: note.mac };
  return note === undefined || note.hosts !== undefined ? {} : { mac: macOf(ip) };
}

function compareText(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}
