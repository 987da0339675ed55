import { type Ip, parseInterfaceAddress, parseIp } from "../base/address.ts";
import { CniError, Malformed, quote } from "../base/errors.ts";
import { type Mac, parseMac } from "../base/mac.ts";
import { podName } from "../base/names.ts";

/** The arguments in `CNI_ARGS` that this plugin uses. */
export interface CniArgs {
  readonly ip: Ip | undefined;
  readonly mac: Mac | undefined;
  /** `namespace/name` of the Kubernetes pod. */
  readonly pod: string | undefined;
}

/** Keys that Kubernetes runtimes send and this plugin ignores (rule E17). */
const TOLERATED = ["K8S_POD_INFRA_CONTAINER_ID", "K8S_POD_UID"];
/** Keys that request something, of which an attachment gets one. */
const REQUESTS = ["IP", "MAC"];
const REMEDY =
  "CNI_ARGS is KEY=VALUE;KEY=VALUE, with the keys IP, MAC, IgnoreUnknown and K8S_POD_*; several addresses are requested by args.cni.ips";

/** Rules E14 to E18. Throws InvalidEnvironment for another form, and for unknown keys without IgnoreUnknown. */
export function parseCniArgs(text: string): CniArgs {
  const pairs = new Map<string, string>();
  for (const pair of text === "" ? [] : text.split(";")) {
    const parts = pair.split("=");
    const [key, value] = parts;
    if (key === undefined || key === "" || value === undefined || parts.length > 2) {
      throw malformed(text, "KEY=VALUE pairs", `${quote(pair)} is not one`);
    }
    const earlier = pairs.get(key);
    if (REQUESTS.includes(key) && earlier !== undefined && earlier !== value) {
      throw malformed(text, `one ${key}`, `it has ${quote(earlier)} and ${quote(value)}`);
    }
    pairs.set(key, value);
  }
  const args = read(pairs, text);
  const unknown = [...pairs.keys()].filter((key) => !TOLERATED.includes(key));
  if (unknown.length > 0 && !ignoresUnknown(pairs, text)) {
    const left = unknown.filter((key) => key !== "IgnoreUnknown").map((key) =>
      `${key}=${pairs.get(key)}`
    );
    if (left.length > 0) {
      throw malformed(text, "arguments of this plugin", `unknown args ${quote(left)}`);
    }
  }
  return args;
}

/** Removes the known keys from `pairs` and returns them. */
function read(pairs: Map<string, string>, text: string): CniArgs {
  const take = <T>(key: string, parse: (value: string) => T): T | undefined => {
    const value = pairs.get(key);
    pairs.delete(key);
    if (value === undefined || value === "") return undefined;
    try {
      return parse(value);
    } catch (error) {
      if (error instanceof Malformed) throw malformed(text, `${key}=${error.wanted}`, error.found);
      throw error;
    }
  };
  const namespace = take("K8S_POD_NAMESPACE", String);
  const name = take("K8S_POD_NAME", String);
  return {
    ip: take("IP", parseRequestedIp),
    mac: take("MAC", parseMac),
    pod: namespace === undefined || name === undefined ? undefined : podName(namespace, name),
  };
}

/** An address; a prefix length is ignored, because the subnet determines it. Throws `Malformed`. */
export function parseRequestedIp(value: unknown): Ip {
  return typeof value === "string" && value.includes("/")
    ? parseInterfaceAddress(value).ip
    : parseIp(value);
}

function ignoresUnknown(pairs: ReadonlyMap<string, string>, text: string): boolean {
  const value = pairs.get("IgnoreUnknown");
  if (value === undefined) return false;
  if (/^(1|true)$/i.test(value)) return true;
  if (/^(0|false)$/i.test(value)) return false;
  throw malformed(text, "IgnoreUnknown=1, true, 0 or false", `got ${quote(value)}`);
}

function malformed(text: string, wanted: string, found: string): CniError {
  return new CniError(
    "InvalidEnvironment",
    `Cannot use CNI_ARGS ${quote(text)} as ${wanted}: ${found}`,
    {
      details: REMEDY,
    },
  );
}
