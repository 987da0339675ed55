import { Malformed, quote } from "./errors.ts";
import type { Ipv4 } from "./ipv4.ts";

export type InterfaceName = string & { readonly __interface: true };
export type ContainerId = string & { readonly __container: true };
export type NetworkName = string & { readonly __network: true };
/** Six bytes, lower case, colons: `0a:58:0a:58:00:02`. */
export type Mac = string & { readonly __mac: true };

/** What a lease and a host veth belong to (SPEC §2, rule A2). */
export interface Attachment {
  readonly network: NetworkName;
  readonly containerId: ContainerId;
  readonly ifname: InterfaceName;
}

/** IFNAMSIZ without its terminating NUL. */
const LONGEST_INTERFACE_NAME = 15;
/** A state file, its temporary and its backup carry the network's name and must fit NAME_MAX (255). */
const LONGEST_NETWORK_NAME = 200;
const IDENTIFIER = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

const WANTED_INTERFACE =
  "an interface name (1 to 15 bytes; no white space, control character, / : or %)";

/**
 * A name the kernel takes and takes literally (rules E6, E7): `%` would be expanded by it, a leading `-` reads
 * as an option, a control character reaches somebody's terminal. Throws `Malformed`.
 */
export function parseInterfaceName(text: unknown): InterfaceName {
  const name = parseAnyInterfaceName(text);
  const reject = (why: string): never => {
    throw new Malformed(WANTED_INTERFACE, why);
  };
  if (name.includes("%")) reject("the kernel would replace the %");
  if (name.startsWith("-")) reject("it starts with -");
  // deno-lint-ignore no-control-regex
  if (/[\u0000-\u001f\u007f-\u009f]/u.test(name)) reject("it has a control character");
  return name;
}

/** What the specification calls an interface name (rule E6): enough for a DEL, which asks the kernel for none. */
export function parseAnyInterfaceName(text: unknown): InterfaceName {
  const reject = (why: string): never => {
    throw new Malformed(WANTED_INTERFACE, why);
  };
  if (typeof text !== "string") return reject(`got ${quote(text)}`);
  const bytes = new TextEncoder().encode(text).length;
  if (bytes === 0) reject("it is empty");
  if (bytes > LONGEST_INTERFACE_NAME) reject(`interface name is too long, ${bytes} bytes`);
  if (text === "." || text === "..") reject("interface name is . or ..");
  if (/[/:\s\u0085]/u.test(text)) reject("interface name contains / or : or whitespace characters");
  return text as InterfaceName;
}

/** SPEC §2: a letter or digit, then letters, digits, `_`, `.`, `-` (rule E4). Throws `Malformed`. */
export function parseContainerId(text: unknown): ContainerId {
  if (typeof text === "string" && IDENTIFIER.test(text)) return text as ContainerId;
  throw new Malformed("a container ID", "invalid characters in containerID");
}

/** Same characters as a container ID (rule E5); at most 200, for it becomes a file's name. Throws `Malformed`. */
export function parseNetworkName(text: unknown): NetworkName {
  if (text === undefined || text === "") {
    throw new Malformed("a network name", "missing network name");
  }
  if (typeof text !== "string" || !IDENTIFIER.test(text)) {
    throw new Malformed("a network name", "invalid characters found in network name");
  }
  if (text.length > LONGEST_NETWORK_NAME) {
    throw new Malformed(
      "a network name",
      `it has ${text.length} characters, more than ${LONGEST_NETWORK_NAME}`,
    );
  }
  return text as NetworkName;
}

/** A unicast MAC address in any letter case. Throws `Malformed`. */
export function parseMac(text: unknown): Mac {
  const wanted = "a MAC address (six bytes, 0a:58:0a:58:00:02)";
  if (typeof text !== "string") throw new Malformed(wanted, `got ${quote(text)}`);
  const mac = text.toLowerCase();
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) {
    throw new Malformed(wanted, "it is not of that form");
  }
  if (parseInt(mac.slice(0, 2), 16) & 1) throw new Malformed(wanted, "it is a multicast address");
  if (mac === "00:00:00:00:00:00") throw new Malformed(wanted, "it is all zeros");
  return mac as Mac;
}

/** The MAC of whoever has `ip`: a re-used address keeps its MAC, so no neighbour cache goes stale. */
export function macOf(ip: Ipv4): Mac {
  return joinBytes([0x0a, 0x58, ip >>> 24, (ip >>> 16) & 255, (ip >>> 8) & 255, ip & 255]);
}

/** A MAC that nobody else has, for one run to know its own host veth by. */
export function freshMac(): Mac {
  // A bridge without a fixed MAC takes the lowest of its ports': fe is higher than any vendor's.
  return joinBytes([0xfe, ...crypto.getRandomValues(new Uint8Array(5))]);
}

function joinBytes(bytes: readonly number[]): Mac {
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":") as Mac;
}

/** Key of an attachment's lease in its network's state file. */
export function leaseKey({ containerId, ifname }: Attachment): string {
  return `${containerId}/${ifname}`;
}

const HOST_VETH = /^av[0-9a-f]{13}$/;

export function isHostVethName(name: string): boolean {
  return HOST_VETH.test(name);
}

/** `av` + 13 hex digits of SHA-256 over network, container ID and interface; none of the three can hold a `/`. */
export async function hostVethName(
  { network, containerId, ifname }: Attachment,
): Promise<InterfaceName> {
  return await vethNameFrom("SHA-256", `${network}/${containerId}/${ifname}`);
}

/** The name that the Go original gave: `av` + 13 hex digits of SHA-1 over the container ID alone. */
export async function legacyVethName(containerId: string): Promise<InterfaceName> {
  return await vethNameFrom("SHA-1", containerId);
}

async function vethNameFrom(algorithm: string, text: string): Promise<InterfaceName> {
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

/** Whose host veth it is, by its alias; `undefined` where the alias is not of `aliasOf`'s form. */
export function attachmentOf(alias: string): Attachment | undefined {
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

/** `namespace/name` of a pod, free of anything a terminal or `ip` could misread. */
export function podName(namespace: string, name: string): string {
  return `${namespace}/${name}`.slice(0, 320).replaceAll(/[^A-Za-z0-9._/-]/g, "?");
}
