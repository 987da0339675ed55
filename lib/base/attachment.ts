import { Malformed } from "./errors.ts";
import {
  type ContainerId,
  type InterfaceName,
  type NetworkName,
  parseAnyInterfaceName,
  parseContainerId,
  parseInterfaceName,
  parseNetworkName,
} from "./names.ts";

/** Whose a lease is: an interface of a container. The Go original noted the container alone. */
export interface Owner {
  readonly containerId: ContainerId;
  readonly ifname: InterfaceName | undefined;
}

/** What a lease and a host veth belong to (SPEC §2, rule A2). */
export interface Attachment extends Owner {
  readonly network: NetworkName;
  readonly ifname: InterfaceName;
}

/** `container ID/interface`, as the state file and messages have an owner; the container ID alone for the Go original's. */
export function ownerKey({ containerId, ifname }: Owner): string {
  return ifname === undefined ? containerId : `${containerId}/${ifname}`;
}

/** The owner of a key of the state file; `undefined` where it is none. */
export function tryOwner(key: string): Owner | undefined {
  const slash = key.indexOf("/");
  try {
    const containerId = parseContainerId(slash < 0 ? key : key.slice(0, slash));
    const ifname = slash < 0 ? undefined : parseAnyInterfaceName(key.slice(slash + 1));
    return { containerId, ifname };
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

const HOST_VETH = /^av[0-9a-f]{13}$/;

export function isHostVethName(name: string): boolean {
  return HOST_VETH.test(name);
}

/**
 * Name of the host veth that belongs to an owner in a network: `av` + 13 hex digits of SHA-256 over network, container
 * ID and interface, none of which can hold a `/`; the Go original took SHA-1 over the container ID alone.
 */
export async function hostVethName(
  { network, containerId, ifname }: Owner & { readonly network: NetworkName },
): Promise<InterfaceName> {
  const [algorithm, text] = ifname === undefined
    ? ["SHA-1", containerId]
    : ["SHA-256", `${network}/${containerId}/${ifname}`];
  const hash = new Uint8Array(
    await crypto.subtle.digest(algorithm, new TextEncoder().encode(text)),
  );
  return `av${hash.toHex().slice(0, 13)}` as InterfaceName;
}

/** IFALIASZ without its terminating NUL, in bytes. */
const LONGEST_ALIAS = 255;

/**
 * What `ip link` shows behind `alias`: `[namespace/pod ]network/container ID/interface`. Where that is too long
 * the pod goes first; an attachment that is too long by itself is cut and can't be read back.
 */
export function aliasOf(
  { network, containerId, ifname }: Attachment,
  pod: string | undefined,
): string {
  const owner = `${network}/${containerId}/${ifname}`;
  const full = pod === undefined ? owner : `${pod} ${owner}`;
  const bytes = (text: string) => new TextEncoder().encode(text).length;
  if (bytes(full) <= LONGEST_ALIAS) return full;
  return bytes(owner) <= LONGEST_ALIAS
    ? owner
    : `${network}/${containerId}`.slice(0, LONGEST_ALIAS);
}

/** What of a link says whose host veth it is. */
export interface Named {
  readonly ifname: string;
  readonly alias: string;
}

/**
 * Whose host veth it is: what its alias says, where the name agrees. `undefined` for one that says nothing, a cut
 * alias, or a name that was given by somebody else.
 */
export async function attachmentOf({ ifname, alias }: Named): Promise<Attachment | undefined> {
  const named = isHostVethName(ifname) ? attachmentIn(alias) : undefined;
  return named !== undefined && await hostVethName(named) === ifname ? named : undefined;
}

/** What an alias says, whatever the interface is called: a host veth that was renamed keeps it. */
export function attachmentIn(alias: string): Attachment | undefined {
  const parts = alias.slice(alias.lastIndexOf(" ") + 1).split("/");
  if (parts.length !== 3) return undefined;
  try {
    return {
      network: parseNetworkName(parts[0]),
      containerId: parseContainerId(parts[1]),
      ifname: parseInterfaceName(parts[2]),
    };
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

/** Whether an alias says that the interface is this attachment's. */
export function isAliasOf(
  alias: string,
  owner: Owner & { readonly network: NetworkName },
): boolean {
  const said = attachmentIn(alias);
  return said?.network === owner.network && ownerKey(said) === ownerKey(owner);
}

/** `namespace/name` of the pod, where the alias has one. */
export function podIn(alias: string): string | undefined {
  const blank = alias.lastIndexOf(" ");
  return blank < 0 ? undefined : alias.slice(0, blank);
}

/** Whether it is the alias of an attachment of `network` that was too long to be written whole. */
export function isCutAlias(network: NetworkName, alias: string): boolean {
  return alias.length >= LONGEST_ALIAS - 16 && alias.startsWith(`${network}/`) &&
    attachmentIn(alias) === undefined;
}
