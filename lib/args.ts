import { CniError, Malformed, quote } from "./errors.ts";
import { type Ipv4, parseInterfaceAddress, parseIpv4 } from "./ipv4.ts";
import { type Mac, parseMac, podName } from "./names.ts";

/** What of `CNI_ARGS` this plugin acts on. */
export interface CniArgs {
  readonly ip?: Ipv4;
  readonly mac?: Mac;
  /** `namespace/name` of the Kubernetes pod. */
  readonly pod?: string;
}

/** Keys that Kubernetes runtimes send and nothing here depends on (rule E17). */
const TOLERATED = ["K8S_POD_INFRA_CONTAINER_ID", "K8S_POD_UID"];
const REMEDY =
  "CNI_ARGS is KEY=VALUE;KEY=VALUE, with the keys IP, MAC, IgnoreUnknown and K8S_POD_*";

/** Rules E14 to E18. Code 4 for anything that is not of the form, and for unknown keys without IgnoreUnknown. */
export function parseCniArgs(text: string): CniArgs {
  if (text === "") return {};
  const pairs = new Map<string, string>();
  for (const pair of text.split(";")) {
    const parts = pair.split("=");
    const [key, value] = parts;
    if (key === undefined || key === "" || value === undefined || parts.length > 2) {
      throw malformed(text, "KEY=VALUE pairs", `${quote(pair)} is not one`);
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

/** Takes the known keys out of `pairs`. */
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
  const ip = take("IP", parseRequestedIp);
  const mac = take("MAC", parseMac);
  const namespace = take("K8S_POD_NAMESPACE", String);
  const name = take("K8S_POD_NAME", String);
  return {
    ...(ip !== undefined && { ip }),
    ...(mac !== undefined && { mac }),
    ...(namespace !== undefined && name !== undefined && { pod: podName(namespace, name) }),
  };
}

/** `10.1.2.3`, with or without a prefix length, which is the subnet's anyway. Throws `Malformed`. */
export function parseRequestedIp(value: unknown): Ipv4 {
  return typeof value === "string" && value.includes("/")
    ? parseInterfaceAddress(value).ip
    : parseIpv4(value);
}

function ignoresUnknown(pairs: ReadonlyMap<string, string>, text: string): boolean {
  const value = pairs.get("IgnoreUnknown");
  if (value === undefined) return false;
  if (/^(1|true)$/i.test(value)) return true;
  if (/^(0|false)$/i.test(value)) return false;
  throw malformed(text, "IgnoreUnknown=1, true, 0 or false", `got ${quote(value)}`);
}

function malformed(text: string, wanted: string, found: string): CniError {
  return new CniError(4, `Cannot use CNI_ARGS ${quote(text)} as ${wanted}: ${found}`, {
    details: REMEDY,
  });
}
