import { type Ip, parseInterfaceAddress, parseIp } from "../base/address.ts";
import { CniError, orReport, quote } from "../base/errors.ts";
import { parseMac } from "../base/mac.ts";
import {
  type ContainerId,
  type InterfaceName,
  parseAnyInterfaceName,
  parseContainerId,
  parseInterfaceName,
  podName,
} from "../base/names.ts";
import { invalidNetns } from "../netops.ts";

export type Variable = (name: string) => string | undefined;

const CNI_COMMANDS = ["ADD", "DEL", "CHECK", "GC", "STATUS"] as const;
export type CniCommand = (typeof CNI_COMMANDS)[number];

/** The request's variables except the command; empty if the command does not need them (rule E3). */
export type Invocation = Readonly<ReturnType<typeof parseInvocation>>;

/** The arguments in `CNI_ARGS` that this plugin uses. */
export type CniArgs = Readonly<ReturnType<typeof parseCniArgs>>;

export function isCommand(text: string): text is CniCommand {
  return CNI_COMMANDS.some((command) => command === text);
}

/** Variable, the commands that need it, parser (SPEC §2). */
const TABLE: readonly {
  name: string;
  by: readonly CniCommand[];
  check?: (value: string) => unknown;
}[] = [
  { name: "CNI_CONTAINERID", by: ["ADD", "DEL", "CHECK"], check: parseContainerId },
  { name: "CNI_NETNS", by: ["ADD", "CHECK"] },
  { name: "CNI_IFNAME", by: ["ADD", "CHECK"], check: parseInterfaceName },
  // No interface has a name that an ADD refuses, and a DEL of a missing interface succeeds.
  { name: "CNI_IFNAME", by: ["DEL"], check: parseAnyInterfaceName },
  { name: "CNI_PATH", by: ["GC"] },
];

/**
 * Parses each variable that `command` needs (rules E1 to E6). Reports a wrong value first, else all missing variables at
 * once. Throws InvalidEnvironment; InvalidNetNS for a `CNI_NETNS` that can't be a path.
 */
export function parseInvocation(command: CniCommand, env: Variable) {
  const missing: string[] = [];
  for (const { name, by, check } of TABLE) {
    if (!by.includes(command)) continue;
    const value = env(name) ?? "";
    if (value === "") missing.push(name);
    else {
      orReport(() => check?.(value), (error) => {
        const remedy = `the container runtime sets ${name}; by hand, set it to ${error.wanted}`;
        return error.withName("InvalidEnvironment", name, value, remedy);
      });
    }
  }
  if (missing.length > 0) {
    throw new CniError(
      "InvalidEnvironment",
      `required env variables [${missing.join(",")}] missing`,
      `${command} needs ${missing.join(", ")}, set by the container runtime`,
    );
  }
  const netns = env("CNI_NETNS") ?? "";
  if (command === "ADD" || command === "CHECK") checkNetns(netns);
  return {
    containerId: (env("CNI_CONTAINERID") ?? "") as ContainerId,
    ifname: (env("CNI_IFNAME") ?? "") as InterfaceName,
    netns,
    // Nothing that a DEL releases depends on arguments (rule E19).
    args: parseCniArgs(command === "ADD" || command === "CHECK" ? env("CNI_ARGS") ?? "" : ""),
  };
}

/** An `ip` batch interprets quotes, `#`, `\\` and control characters, and has no escape for them. */
function checkNetns(path: string): void {
  // deno-lint-ignore no-control-regex
  const special = /["'#\\\u0000-\u001f]/.exec(path)?.[0];
  const found = !path.startsWith("/")
    ? "it is not an absolute path"
    : special === undefined
    ? undefined
    : `it has a ${quote(special)}, which ip can't be given`;
  if (found === undefined) return;
  throw invalidNetns(path, found, "a path such as /run/netns/NAME or /proc/PID/ns/net");
}

/** Keys that this plugin accepts without reading: two that Kubernetes runtimes send (rule E17), and `IgnoreUnknown` itself. */
const TOLERATED = ["K8S_POD_INFRA_CONTAINER_ID", "K8S_POD_UID", "IgnoreUnknown"];
/** Keys that request something, of which an attachment gets one. */
const REQUESTS = ["IP", "MAC"];
const ARGS_REMEDY =
  "CNI_ARGS is KEY=VALUE;KEY=VALUE, with the keys IP, MAC, IgnoreUnknown and K8S_POD_*; several addresses are requested by args.cni.ips";

/** Rules E14 to E18. Throws InvalidEnvironment for another form, and for unknown keys without IgnoreUnknown. */
export function parseCniArgs(text: string) {
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
  const args = takeKnown(pairs, text);
  const ignores = ignoresUnknown(pairs, text);
  const unknown = [...pairs].filter(([key]) => !TOLERATED.includes(key)).map((it) => it.join("="));
  if (unknown.length > 0 && !ignores) {
    throw malformed(text, "arguments of this plugin", `unknown args ${quote(unknown)}`);
  }
  return args;
}

/** Removes the known keys from `pairs` and returns them. */
function takeKnown(pairs: Map<string, string>, text: string) {
  const take = <T>(key: string, parse: (value: string) => T): T | undefined => {
    const value = pairs.get(key);
    pairs.delete(key);
    if (value === undefined || value === "") return undefined;
    return orReport(
      () => parse(value),
      ({ wanted, found }) => malformed(text, `${key}=${wanted}`, found),
    );
  };
  const namespace = take("K8S_POD_NAMESPACE", String);
  const name = take("K8S_POD_NAME", String);
  return {
    ip: take("IP", parseRequestedIp),
    mac: take("MAC", parseMac),
    // `namespace/name` of the Kubernetes pod.
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
  const message = `Cannot use CNI_ARGS ${quote(text)} as ${wanted}: ${found}`;
  return new CniError("InvalidEnvironment", message, ARGS_REMEDY);
}
