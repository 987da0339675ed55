import { Malformed, quote } from "./errors.ts";

export type InterfaceName = string & { readonly __interface: true };
export type ContainerId = string & { readonly __container: true };
export type NetworkName = string & { readonly __network: true };

/** IFNAMSIZ without its terminating NUL. */
const LONGEST_INTERFACE_NAME = 15;
/** The names of a state file, its temporary file and its backup contain the network's name and must fit NAME_MAX (255). */
const LONGEST_NETWORK_NAME = 200;
const IDENTIFIER = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

const WANTED_INTERFACE =
  "an interface name (1 to 15 bytes; no white space, control character, / : or %)";

function reject(why: string): never {
  throw new Malformed(WANTED_INTERFACE, why);
}

/**
 * A name that the kernel and `ip -batch` take literally (rules E6, E7): the kernel expands a `%`, `ip` reads a leading
 * `-` as an option, a batch interprets quotes, `#` and `\`, and a terminal interprets control characters. Throws
 * `Malformed`.
 */
export function parseInterfaceName(text: unknown): InterfaceName {
  const name = parseAnyInterfaceName(text);
  if (name.includes("%")) reject("the kernel would replace the %");
  if (name.startsWith("-")) reject("it starts with -");
  if (name === "all" || name === "default") reject("the kernel keeps it for its settings");
  const special = /["'#\\]/.exec(name)?.[0];
  if (special !== undefined) reject(`it has a ${special}, which ip can't be given in a batch`);
  // deno-lint-ignore no-control-regex
  if (/[\u0000-\u001f\u007f-\u009f]/.test(name)) reject("it has a control character");
  return name;
}

/** An interface name as the specification allows it (rule E6): enough for a DEL, which creates no interface. */
export function parseAnyInterfaceName(text: unknown): InterfaceName {
  if (typeof text !== "string") return reject(`got ${quote(text)}`);
  const bytes = new TextEncoder().encode(text).length;
  if (bytes === 0) reject("it is empty");
  if (bytes > LONGEST_INTERFACE_NAME) reject(`interface name is too long, ${bytes} bytes`);
  if (text === "." || text === "..") reject("interface name is . or ..");
  if (/[/:\s\u0085]/.test(text)) reject("interface name contains / or : or whitespace characters");
  return text as InterfaceName;
}

/** SPEC §2: a letter or digit, then letters, digits, `_`, `.`, `-` (rule E4). Throws `Malformed`. */
export function parseContainerId(text: unknown): ContainerId {
  if (typeof text === "string" && IDENTIFIER.test(text)) return text as ContainerId;
  throw new Malformed("a container ID", "invalid characters in containerID");
}

/** The characters of a container ID (rule E5); at most 200, because the name becomes a file name. Throws `Malformed`. */
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

/**
 * The link group of a network's host veths, which packet filters match (`iifgroup`): 31 bits of the name's FNV-1a hash,
 * and never one of the low numbers that people choose.
 */
export function groupOf(network: NetworkName): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(network)) {
    hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  }
  return (hash & 0x7fffffff) | 0x10000;
}

/** `namespace/name` of a pod, without characters that a terminal or `ip` interprets. */
export function podName(namespace: string, name: string): string {
  return `${namespace}/${name}`.slice(0, 320).replaceAll(/[^A-Za-z0-9._/-]/g, "?");
}
