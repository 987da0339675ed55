/** Results and errors: the documents of each version, and a runtime's `prevResult`. */
import { parseInterfaceAddress } from "./base/address.ts";
import { CniError } from "./base/errors.ts";
import {
  defined,
  Fields,
  type JsonObject,
  parseInteger,
  parseString,
  parseStrings,
} from "./base/fields.ts";
import { isAtLeast, shapeOf, SPEC_VERSIONS, type SpecVersion } from "./base/spec.ts";

/** A result in the newest version's shape; printing converts it to an older one (rule R3). */
export interface Result {
  readonly interfaces: readonly Interface[];
  readonly ips: readonly Address[];
  readonly routes: readonly ResultRoute[];
  readonly dns: Dns;
}

export type Interface = Readonly<ReturnType<typeof parseInterface>>;
type Address = Readonly<ReturnType<typeof parseAddress>>;
type ResultRoute = Readonly<ReturnType<typeof parseRoute>>;
export type Dns = Readonly<ReturnType<typeof parseDns>>;
export type Document = Readonly<Record<string, unknown>>;

/**
 * `prevResult` in the newest version's shape. Its own `cniVersion`, if present, must have the configuration's shape (rule
 * S5). Keys that the specification does not name are dropped (rule R13).
 */
export function parsePrevResult(raw: JsonObject, configVersion: SpecVersion): Result {
  const fields = new Fields(raw, "prevResult.");
  const version = fields.optional("cniVersion", parseString) ?? "";
  const known = SPEC_VERSIONS.find((it) => it === (version === "" ? configVersion : version));
  if (known === undefined || shapeOf(known) !== shapeOf(configVersion)) {
    return fields.reject(
      "cniVersion",
      `a version like the configuration's ${configVersion}`,
      "its results have another shape",
    );
  }
  const dns = parseDns(fields);
  if (shapeOf(known) === "0.1") return { ...parseOldest(fields), dns };
  const interfaces = fields.objects("interfaces", "an object", parseInterface) ?? [];
  const ips = fields.objects("ips", "an object", parseAddress) ?? [];
  ips.forEach((ip, index) => {
    if (ip.interface !== undefined && ip.interface >= interfaces.length) {
      throw new CniError(
        "InvalidNetworkConfig",
        `Cannot use prevResult.ips[${index}].interface ${ip.interface} as an index: there are ${interfaces.length} interfaces`,
        "an earlier plugin of the chain made it: look at what that one returns",
      );
    }
  });
  return { interfaces, ips, routes: fields.objects("routes", "an object", parseRoute) ?? [], dns };
}

/** 0.1.0 and 0.2.0: an object for each family, no interfaces. */
function parseOldest(fields: Fields): Omit<Result, "dns"> {
  const ips: Address[] = [];
  const routes: ResultRoute[] = [];
  for (const key of ["ip4", "ip6"]) {
    if (!fields.has(key)) continue;
    const side = fields.object(key);
    const address = side.required("ip", parseAnyCidr);
    ips.push({ address, ...defined({ gateway: optionalText(side, "gateway") }) });
    routes.push(...side.objects("routes", "an object", parseRoute) ?? []);
  }
  return { interfaces: [], ips, routes };
}

/** A network interface; an interface of the host has no sandbox (rule R5). */
function parseInterface(fields: Fields) {
  return {
    name: fields.required("name", parseString),
    ...defined({
      mac: optionalText(fields, "mac"),
      mtu: optionalPositive(fields, "mtu"),
      sandbox: optionalText(fields, "sandbox"),
      socketPath: optionalText(fields, "socketPath"),
      pciID: optionalText(fields, "pciID"),
    }),
  };
}

/** An address of either family, with prefix length; `interface` is an index in the result's interfaces. */
function parseAddress(fields: Fields) {
  return {
    address: fields.required("address", parseAnyCidr),
    ...defined({
      gateway: optionalText(fields, "gateway"),
      interface: optionalNumber(fields, "interface"),
    }),
  };
}

function parseRoute(fields: Fields) {
  return {
    dst: fields.required("dst", parseAnyCidr),
    ...defined({
      gw: optionalText(fields, "gw"),
      mtu: optionalPositive(fields, "mtu"),
      advmss: optionalPositive(fields, "advmss"),
      priority: optionalPositive(fields, "priority"),
      table: optionalNumber(fields, "table"),
      scope: optionalNumber(fields, "scope"),
    }),
  };
}

function optionalText(fields: Fields, key: string): string | undefined {
  return fields.unlessEmpty(key, parseString);
}

function optionalNumber(fields: Fields, key: string): number | undefined {
  return fields.optional(key, parseInteger(0, 2 ** 32 - 1));
}

/** As `optionalNumber`; 0 counts as absent (rule R7). */
function optionalPositive(fields: Fields, key: string): number | undefined {
  return optionalNumber(fields, key) || undefined;
}

/** An address with prefix length, in the given spelling: a runtime refuses a result with another one (rule R8). */
function parseAnyCidr(value: unknown): string {
  const text = parseString(value);
  parseInterfaceAddress(text);
  return text;
}

/** The `dns` object of a configuration or a result (SPEC §5). */
export function parseDns(fields: Fields) {
  const dns = fields.object("dns");
  return defined({
    nameservers: dns.optional("nameservers", parseStrings),
    domain: dns.optional("domain", parseString),
    search: dns.optional("search", parseStrings),
    options: dns.optional("options", parseStrings),
  });
}

/** The success document of an ADD in the request's version (SPEC §5, rules R3 to R8). */
export function resultDocument(cniVersion: SpecVersion, result: Result): Document {
  if (shapeOf(cniVersion) === "0.1") return oldest(cniVersion, result);
  const newest = isAtLeast(cniVersion, "1.1.0");
  const versioned = shapeOf(cniVersion) === "0.3";
  return {
    cniVersion,
    ...filled(
      "interfaces",
      result.interfaces.map((it) => newest ? it : pick(it, ["name", "mac", "sandbox"])),
    ),
    ...filled(
      "ips",
      result.ips.map((ip) => versioned ? { version: familyDigit(ip.address), ...ip } : ip),
    ),
    ...filled("routes", result.routes.map((route) => newest ? route : pick(route, ["dst", "gw"]))),
    ...(versioned || Object.keys(result.dns).length > 0 ? { dns: result.dns } : {}),
  };
}

/** 0.1.0 and 0.2.0: the first address of each family, its routes inside, no interfaces (rule R4). */
function oldest(cniVersion: SpecVersion, result: Result): Document {
  const side = (version: "4" | "6") => {
    const first = result.ips.find(({ address }) => familyDigit(address) === version);
    if (first === undefined) return undefined;
    const routes = result.routes.filter(({ dst }) => familyDigit(dst) === version);
    return {
      ip: first.address,
      ...(first.gateway !== undefined && { gateway: first.gateway }),
      ...filled("routes", routes.map((route) => pick(route, ["dst", "gw"]))),
    };
  };
  const ip4 = side("4");
  const ip6 = side("6");
  return { cniVersion, ...(ip4 && { ip4 }), ...(ip6 && { ip6 }), dns: result.dns };
}

/** Empty lists are left out (rule R7). */
function filled(key: string, list: readonly unknown[]): Document {
  return list.length > 0 ? { [key]: list } : {};
}

function pick(from: object, keys: readonly string[]): Document {
  return Object.fromEntries(Object.entries(from).filter(([key]) => keys.includes(key)));
}

function familyDigit(address: string): "4" | "6" {
  return address.includes(":") ? "6" : "4";
}

/** The error document (SPEC §5 "Error", rules X1 to X4). */
export function errorDocument(cniVersion: string, { code, message, details }: CniError): Document {
  return { cniVersion, code, msg: message, details };
}
