/** Parses text into values: the environment, CNI_ARGS, the two dialects of a configuration, prevResult, resolv.conf. */
import type { Ip } from "./base/address.ts";
import { CniError, unlessError } from "./base/errors.ts";
import { defined, type Fields, parseObject, parseString, parseStrings } from "./base/fields.ts";
import { parseMac } from "./base/mac.ts";
import { parseInterfaceName } from "./base/names.ts";
import { familyOfSet, type RangeSet } from "./base/range.ts";
import { STATE_FOLDER } from "./base/scope.ts";
import { shapeOf, type SpecVersion } from "./base/spec.ts";
import { readAddressing, readPortFlags } from "./config/dialects.ts";
import { parseName } from "./config/document.ts";
import { type CniArgs, parseRequestedIp } from "./config/environment.ts";
import { parseDataDir, parseResolvConfPath } from "./config/folder.ts";
import { type Dns, parseDns, parsePrevResult, type Result } from "./result.ts";

export { parseDocument, parseVersion } from "./config/document.ts";
export {
  type CniCommand,
  type Invocation,
  isCommand,
  parseCniArgs,
  parseInvocation,
  type Variable,
} from "./config/environment.ts";
export { readResolvConf } from "./config/folder.ts";
export type { Route } from "./config/routes.ts";

/** The part of a configuration that DEL and GC need. */
export type Network = Readonly<ReturnType<typeof parseNetwork>>;

/** The whole configuration, for ADD, CHECK and STATUS. */
export type NetworkConfig = Readonly<ReturnType<typeof parseConfig>>;

/** One attachment that a GC keeps, as the runtime listed it. */
export type Valid = Readonly<NonNullable<ReturnType<typeof parseValid>>[number]>;

const REFUSED = ["InvalidNetworkConfig", "UnsupportedField"] as const;

/** For DEL and GC, which errors of other keys don't stop. A value that an ADD refuses counts as absent: no ADD has used it. */
export function parseNetwork(root: Fields) {
  return {
    name: parseName(root),
    dataDir: unlessError(REFUSED, () => parseDataDir(root)) ?? STATE_FOLDER,
    bridge: unlessError(REFUSED, () => root.optional("bridge", parseInterfaceName)),
  };
}

/** Throws InvalidNetworkConfig, UnsupportedField. */
export function parseConfig(root: Fields, cniVersion: SpecVersion, args: CniArgs) {
  const addressing = readAddressing(root);
  const previous = root.optional("prevResult", parseObject);
  const prevResult = previous && parsePrevResult(previous, cniVersion);
  if (shapeOf(cniVersion) === "0.1") checkOldShape(addressing.sets, prevResult, cniVersion);
  const runtime = root.object("runtimeConfig");
  const conventional = root.object("args").object("cni");
  return {
    name: parseName(root),
    dataDir: parseDataDir(root),
    cniVersion,
    ...addressing,
    ...readPortFlags(root, addressing.sets),
    dns: readDns(root),
    /** A file below the state folder; its servers are used if `dns` is empty. */
    resolvConf: parseResolvConfPath(root),
    requestedIps: readRequestedIps([runtime, conventional], args),
    // Rule C2, after CONVENTIONS.
    requestedMac: runtime.unlessEmpty("mac", parseMac) ??
      conventional.unlessEmpty("mac", parseMac) ?? args.mac,
    prevResult,
  };
}

/** Results of 0.1.0 and 0.2.0 have one address of each family, and at least one (rules R4, H13). */
function checkOldShape(
  sets: readonly RangeSet[],
  prevResult: Result | undefined,
  cniVersion: SpecVersion,
): void {
  const own = sets.map(familyOfSet);
  const earlier = (prevResult?.ips ?? []).map(({ address }) => address.includes(":") ? 6 : 4);
  const both = own.find((family) => family !== undefined && earlier.includes(family));
  const found = own.length === 0
    ? "cannot convert: no valid IP addresses"
    : new Set(own).size < own.length
    ? `CNI version ${cniVersion} does not support more than 1 address per family`
    : both !== undefined
    ? `CNI version ${cniVersion} has room for one IPv${both} address: prevResult has one, and this network gives another`
    : undefined;
  if (found === undefined) return;
  throw new CniError(
    "InvalidNetworkConfig",
    found,
    "set cniVersion to 0.3.1 or newer, whose results can have that",
  );
}

/** The runtime's settings (capability `dns`, with its own key names), else the configuration's (rules B18, C4). */
function readDns(root: Fields): Dns {
  const given = root.object("runtimeConfig").object("dns");
  const list = (key: string) => {
    const values = given.optional(key, parseStrings);
    return values?.length === 0 ? undefined : values;
  };
  const dns = defined({
    nameservers: list("servers"),
    search: list("searches"),
    options: list("options"),
  });
  return Object.keys(dns).length > 0 ? dns : parseDns(root);
}

/** Rule C3, after CONVENTIONS: `runtimeConfig.ips`, else `args.cni.ips`, else `IP` of CNI_ARGS; each address once. */
function readRequestedIps(requests: readonly Fields[], args: CniArgs): readonly Ip[] {
  for (const fields of requests) {
    const ips = new Set(fields.list("ips", parseRequestedIp));
    if (ips.size > 0) return [...ips];
  }
  return args.ip === undefined ? [] : [args.ip];
}

/**
 * The attachments that a GC keeps (rules G1, S6): `cni.dev/valid-attachments`, else `cni.dev/attachments`. `null` keeps
 * none; `undefined` if the configuration has no list.
 */
export function parseValid(root: Fields) {
  const key = ["cni.dev/valid-attachments", "cni.dev/attachments"].find((it) =>
    root.spelling(it) !== undefined
  );
  if (key === undefined) return undefined;
  return root.objects(key, "an attachment", (fields) => ({
    containerId: fields.required("containerID", parseString),
    ifname: fields.required("ifname", parseString),
  })) ?? [];
}
