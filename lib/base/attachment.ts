import { unlessMalformed } from "./errors.ts";
import {
  type ContainerId,
  type InterfaceName,
  type NetworkName,
  parseAnyInterfaceName,
  parseContainerId,
  parseInterfaceName,
  parseNetworkName,
} from "./names.ts";

/** The owner of a lease: an interface of a container. The Go original recorded only the container. */
export interface Owner {
  readonly containerId: ContainerId;
  readonly ifname: InterfaceName | undefined;
}

/** The owner of a lease and a host veth, with its network (SPEC §2, rule A2). */
export interface Attachment extends Owner {
  readonly network: NetworkName;
  readonly ifname: InterfaceName;
}

/** `container ID/interface`, as in the state file and in messages; for an owner of the Go original the container ID only. */
export function ownerKey({ containerId, ifname }: Owner): string {
  return ifname === undefined ? containerId : `${containerId}/${ifname}`;
}

/** The owner that a key of the state file names; `undefined` if the key does not name one. */
export function tryOwner(key: string): Owner | undefined {
  const slash = key.indexOf("/");
  return unlessMalformed(() => ({
    containerId: parseContainerId(slash < 0 ? key : key.slice(0, slash)),
    ifname: slash < 0 ? undefined : parseAnyInterfaceName(key.slice(slash + 1)),
  }));
}

export function isHostVethName(name: string): boolean {
  return /^av[0-9a-f]{13}$/.test(name);
}

/**
 * The name of an attachment's host veth: `av` + 13 hex digits of SHA-256 over network, container ID and interface, none
 * of which can contain a `/`. For an owner of the Go original: SHA-1 over the container ID.
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

/** Whether an interface of that name can be the attachment's host veth: the name is the hash of the attachment. */
export async function isHostVethOf(attachment: Attachment, ifname: string): Promise<boolean> {
  return isHostVethName(ifname) && await hostVethName(attachment) === ifname;
}

/** The longest alias, in bytes: IFALIASZ without the terminating NUL. */
const LONGEST_ALIAS = 255;

/**
 * The host veth's alias: `[namespace/pod ]network/container ID/interface`. If it is too long, the pod is left out; an
 * attachment that is still too long is cut, and can't be parsed again.
 */
export function aliasOf(
  { network, containerId, ifname }: Attachment,
  pod: string | undefined,
): string {
  const owner = `${network}/${containerId}/${ifname}`;
  const full = pod === undefined ? owner : `${pod} ${owner}`;
  const isShort = (text: string) => new TextEncoder().encode(text).length <= LONGEST_ALIAS;
  return [full, owner].find(isShort) ?? `${network}/${containerId}`.slice(0, LONGEST_ALIAS);
}

/** The attachment that an alias names, whatever the name of the interface: a renamed host veth keeps its alias. */
export function attachmentIn(alias: string): Attachment | undefined {
  const parts = alias.slice(alias.lastIndexOf(" ") + 1).split("/");
  if (parts.length !== 3) return undefined;
  return unlessMalformed(() => ({
    network: parseNetworkName(parts[0]),
    containerId: parseContainerId(parts[1]),
    ifname: parseInterfaceName(parts[2]),
  }));
}

/** Whether an alias names this attachment. */
export function isAliasOf(
  alias: string,
  owner: Owner & { readonly network: NetworkName },
): boolean {
  const said = attachmentIn(alias);
  return said?.network === owner.network && ownerKey(said) === ownerKey(owner);
}

/** The pod in an alias, as `namespace/name`; `undefined` if the alias has none. */
export function podIn(alias: string): string | undefined {
  const blank = alias.lastIndexOf(" ");
  return blank < 0 ? undefined : alias.slice(0, blank);
}

/** Whether `alias` is the cut alias of an attachment of `network`. */
export function isCutAlias(network: NetworkName, alias: string): boolean {
  return alias.length >= LONGEST_ALIAS - 16 && alias.startsWith(`${network}/`) &&
    attachmentIn(alias) === undefined;
}
