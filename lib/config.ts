import { isAbsolute, normalize } from "@std/path/posix";
import { type Addressing, type PortFlags, readAddressing, readPortFlags } from "./addressing.ts";
import { type CniArgs, parseCniArgs, parseRequestedIp } from "./args.ts";
import { CniError, Malformed, quote } from "./errors.ts";
import { Fields, isObject, parseObject, parseString, parseStrings } from "./fields.ts";
import { formatIpv4, type Ipv4 } from "./ipv4.ts";
import {
  type ContainerId,
  type InterfaceName,
  type Mac,
  type NetworkName,
  parseAnyInterfaceName,
  parseContainerId,
  parseInterfaceName,
  parseMac,
  parseNetworkName,
} from "./names.ts";
import { parseDns, parsePrevResult } from "./previous.ts";
import type { Dns, Result } from "./result.ts";
import { STATE_FOLDER } from "./scope.ts";
import { negotiate, type SpecVersion } from "./spec.ts";

/** An absolute path to a network namespace, as `CNI_NETNS` had it. */
export type NetnsPath = string & { readonly __netns: true };
export type Variable = (name: string) => string | undefined;

const COMMANDS = ["ADD", "DEL", "CHECK", "GC", "STATUS"] as const;
export type Command = (typeof COMMANDS)[number];

/** What the environment asks for, beside the command; each as far as the command needs it (rule E3). */
export interface Invocation {
  readonly containerId: ContainerId;
  readonly ifname: InterfaceName;
  readonly netns: NetnsPath;
  readonly args: CniArgs;
}

/** All that DEL and GC need of a configuration. */
export interface Network {
  readonly name: NetworkName;
  /** Where its state is. */
  readonly dataDir: string;
  readonly bridge?: InterfaceName;
}

export interface NetworkConfig extends Addressing, PortFlags {
  readonly name: NetworkName;
  readonly dataDir: string;
  readonly cniVersion: SpecVersion;
  readonly dns: Dns;
  /** A file below the state folder whose servers count where `dns` is empty. */
  readonly resolvConf?: string;
  readonly requestedIp?: Ipv4;
  readonly requestedMac?: Mac;
  readonly prevResult?: Result;
}

/** One attachment a GC keeps. */
export interface Valid {
  readonly containerId: string;
  readonly ifname: string;
}

export function isCommand(text: string): text is Command {
  return COMMANDS.some((command) => command === text);
}

/** Name, needed for which commands, validator (checklist §1.1). */
const TABLE: readonly {
  name: string;
  by: readonly string[];
  check?: (value: string) => unknown;
  as: string;
}[] = [
  {
    name: "CNI_CONTAINERID",
    by: ["ADD", "DEL", "CHECK"],
    check: parseContainerId,
    as: "a container ID",
  },
  { name: "CNI_NETNS", by: ["ADD", "CHECK"], as: "a network namespace" },
  {
    name: "CNI_IFNAME",
    by: ["ADD", "CHECK"],
    check: parseInterfaceName,
    as: "an interface name",
  },
  // A name that only an ADD refuses has been given to nothing, and a DEL of nothing succeeds.
  { name: "CNI_IFNAME", by: ["DEL"], check: parseAnyInterfaceName, as: "an interface name" },
  { name: "CNI_PATH", by: ["GC"], as: "plugin folders" },
];

/**
 * Every variable `command` needs, checked (rules E1 to E6). A value that is wrong is reported before one that is
 * missing; all that are missing at once. Code 4; 8 for a `CNI_NETNS` that can't be a path.
 */
export function parseInvocation(command: Command, env: Variable): Invocation {
  const missing: string[] = [];
  for (const { name, by, check } of TABLE) {
    if (!by.includes(command)) continue;
    const value = env(name) ?? "";
    if (value === "") missing.push(name);
    else if (check !== undefined) checkVariable(name, value, check);
  }
  if (missing.length > 0) {
    throw new CniError(4, `required env variables [${missing.join(",")}] missing`, {
      details: `${command} needs ${missing.join(", ")}, set by the container runtime`,
    });
  }
  const netns = env("CNI_NETNS") ?? "";
  if ((command === "ADD" || command === "CHECK") && !/^\/[^\0]*$/.test(netns)) {
    throw new CniError(
      8,
      `Cannot use CNI_NETNS ${quote(netns)} as a network namespace: it is no absolute path`,
      {
        details: "a path such as /run/netns/NAME or /proc/PID/ns/net",
      },
    );
  }
  return {
    containerId: (env("CNI_CONTAINERID") ?? "") as ContainerId,
    ifname: (env("CNI_IFNAME") ?? "") as InterfaceName,
    netns: netns as NetnsPath,
    // Nothing that a DEL releases depends on arguments (rule E19).
    args: command === "ADD" || command === "CHECK" ? parseCniArgs(env("CNI_ARGS") ?? "") : {},
  };
}

function checkVariable(name: string, value: string, check: (value: string) => unknown): void {
  try {
    check(value);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    const remedy = `the container runtime sets ${name}; by hand, set it to ${error.wanted}`;
    throw error.named(4, name, value, remedy);
  }
}

/** The object on stdin, with its name looked at (rules S1, S2, E5). Code 6 for what is no such object, 7 for the name. */
export function parseStdin(text: string): Fields {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const found = text.trim() === "" ? "it is empty" : (error as Error).message;
    throw noConfiguration(text, found, error);
  }
  // Go's decoder takes null for an object without keys, and so does every runtime's test suite.
  if (value !== null && !isObject(value)) {
    throw noConfiguration(text, "it is no JSON object");
  }
  const root = new Fields(value ?? {});
  for (const key of ["name", "cniVersion"]) {
    if (root.has(key) && typeof root.raw[key] !== "string") {
      throw new CniError(6, `Cannot read ${key} ${quote(root.raw[key])} as a string: it is none`, {
        details: `put the value of ${key} in double quotes`,
      });
    }
  }
  parseName(root);
  return root;
}

function noConfiguration(text: string, found: string, cause?: unknown): CniError {
  const start = quote(text.slice(0, 60));
  return new CniError(6, `Cannot read stdin ${start} as a network configuration: ${found}`, {
    details: "one JSON object without comments; atomicni doctor < CONFIGURATION finds the place",
    cause,
  });
}

/** The configuration's version as one `command` can be asked in: see `negotiate`. */
export function parseVersion(root: Fields, command: Command): SpecVersion {
  return negotiate(root.optional("cniVersion", parseString) ?? "", command);
}

function parseName(root: Fields): NetworkName {
  try {
    return parseNetworkName(root.raw["name"] ?? undefined);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw new CniError(7, error.found, {
      details: `"name" is ${
        quote(root.raw["name"])
      }; a letter or digit, then letters, digits, _ . -`,
      cause: error,
    });
  }
}

/**
 * Name, folder and bridge of the network. For what frees resources: a bad rest of the configuration doesn't stop it,
 * and what an ADD would have refused can't have been used by one.
 */
export function parseNetwork(root: Fields): Network {
  const bridge = unlessRefused(() => root.optional("bridge", parseInterfaceName));
  return {
    name: parseName(root),
    dataDir: unlessRefused(() => parseDataDir(root)) ?? STATE_FOLDER,
    ...(bridge !== undefined && { bridge }),
  };
}

function unlessRefused<T>(parse: () => T): T | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}

/** The whole configuration, for ADD, CHECK and STATUS. Code 7, or 2 for a key this plugin can't do. */
export function parseConfig(root: Fields, cniVersion: SpecVersion, args: CniArgs): NetworkConfig {
  const addressing = readAddressing(root);
  const requestedIp = readRequestedIp(root, args);
  const requestedMac = readRequestedMac(root, args);
  const resolvConf = readResolvConfPath(root);
  const previous = root.optional("prevResult", parseObject);
  return {
    name: parseName(root),
    dataDir: parseDataDir(root),
    cniVersion,
    ...addressing,
    ...readPortFlags(root),
    dns: readDns(root),
    ...(resolvConf !== undefined && { resolvConf }),
    ...(requestedIp !== undefined && { requestedIp }),
    ...(requestedMac !== undefined && { requestedMac }),
    ...(previous !== undefined && { prevResult: parsePrevResult(previous, cniVersion) }),
  };
}

/** `ipam.dataDir`: the state folder or one below it, after `..` is folded (DESIGN §4). */
function parseDataDir(root: Fields): string {
  const ipam = root.object("ipam");
  const remedy =
    `leave it out, or name ${STATE_FOLDER} or a folder below it: nothing else is in the permission scope`;
  const given = ipam.optional("dataDir", parseString, remedy) ?? "";
  if (given === "") return STATE_FOLDER;
  const folder = insideStateFolder(given);
  if (folder !== undefined) return folder;
  const code = ipam.raw["type"] === "host-local" ? 2 : 7;
  throw new CniError(
    code,
    `Cannot use ipam.dataDir ${quote(given)} as a state folder: it is outside ${STATE_FOLDER}`,
    {
      details: remedy,
    },
  );
}

/** `path` with `..` folded, if it is the state folder or below it: the permission scope ends there. */
function insideStateFolder(path: string): string | undefined {
  const folded = normalize(path).replace(/(.)\/$/, "$1");
  const inside = folded === STATE_FOLDER || folded.startsWith(`${STATE_FOLDER}/`);
  return isAbsolute(folded) && inside && !path.includes("\0") ? folded : undefined;
}

/** `ipam.resolvConf` of host-local (rule H8). Code 2 for a file out of reach. */
function readResolvConfPath(root: Fields): string | undefined {
  const given = root.object("ipam").optional("resolvConf", parseString) ?? "";
  if (given === "") return undefined;
  const path = insideStateFolder(given);
  if (path !== undefined) return path;
  throw new CniError(
    2,
    `Cannot use ipam.resolvConf ${quote(given)} as a file to read: it is outside ${STATE_FOLDER}`,
    { details: `write the servers under "dns", or put a copy below ${STATE_FOLDER}` },
  );
}

/** What the runtime gives (capability `dns`, with names of its own), else the configuration's (rules B18, C4). */
function readDns(root: Fields): Dns {
  const given = root.object("runtimeConfig").object("dns");
  const servers = given.optional("servers", parseStrings) ?? [];
  const searches = given.optional("searches", parseStrings) ?? [];
  const options = given.optional("options", parseStrings) ?? [];
  if (servers.length + searches.length + options.length === 0) return parseDns(root);
  return {
    ...(servers.length > 0 && { nameservers: servers }),
    ...(searches.length > 0 && { search: searches }),
    ...(options.length > 0 && { options }),
  };
}

/** Rule C3, after CONVENTIONS: `runtimeConfig.ips`, then `args.cni.ips`, then `IP` of CNI_ARGS. One at most. */
function readRequestedIp(root: Fields, args: CniArgs): Ipv4 | undefined {
  for (const fields of [root.object("runtimeConfig"), conventionalArgs(root)]) {
    const ips = new Set(fields.list("ips", parseRequestedIp));
    if (ips.size > 1) {
      const found = `this plugin gives one address, asked for were ${
        [...ips].map(formatIpv4).join(", ")
      }`;
      fields.reject("ips", "the address asked for", found, "ask for one address");
    }
    for (const ip of ips) return ip;
  }
  return args.ip;
}

/** Rule C2: `runtimeConfig.mac`, then `args.cni.mac`, then `MAC` of CNI_ARGS. */
function readRequestedMac(root: Fields, args: CniArgs): Mac | undefined {
  return root.object("runtimeConfig").optional("mac", parseMac) ??
    conventionalArgs(root).optional("mac", parseMac) ?? args.mac;
}

function conventionalArgs(root: Fields): Fields {
  return root.object("args").object("cni");
}

/**
 * The attachments a GC keeps (rules G1, S6): `cni.dev/valid-attachments`, else `cni.dev/attachments`. `null` keeps
 * none; `undefined` where there is no list.
 */
export function parseValid(root: Fields): readonly Valid[] | undefined {
  const key = ["cni.dev/valid-attachments", "cni.dev/attachments"].find((it) =>
    Object.hasOwn(root.raw, it)
  );
  if (key === undefined) return undefined;
  return root.list(key, (value) => {
    if (!isObject(value)) throw new Malformed("an attachment", "it is no object");
    const { containerID, ifname } = value;
    return { containerId: parseString(containerID), ifname: parseString(ifname) };
  }) ?? [];
}
