import { parseInterfaceAddress } from "../base/address.ts";
import { CniError } from "../base/errors.ts";
import {
  defined,
  Fields,
  type JsonObject,
  parseInteger,
  parseString,
  parseStrings,
} from "../base/fields.ts";
import { shapeOf, SPEC_VERSIONS, type SpecVersion } from "../base/spec.ts";
import type { Address, Dns, Interface, Result, ResultRoute } from "../result.ts";

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
  if (shapeOf(known) === "0.1") return { ...oldest(fields), dns };
  const interfaces = fields.objects("interfaces", "an object", parseInterface) ?? [];
  const ips = fields.objects("ips", "an object", parseAddress) ?? [];
  ips.forEach((ip, index) => {
    if (ip.interface !== undefined && ip.interface >= interfaces.length) {
      throw new CniError(
        "InvalidNetworkConfig",
        `Cannot use prevResult.ips[${index}].interface ${ip.interface} as an index: there are ${interfaces.length} interfaces`,
        { details: "an earlier plugin of the chain made it: look at what that one returns" },
      );
    }
  });
  return { interfaces, ips, routes: fields.objects("routes", "an object", parseRoute) ?? [], dns };
}

function oldest(fields: Fields): Omit<Result, "dns"> {
  const ips: Address[] = [];
  const routes: ResultRoute[] = [];
  for (const key of ["ip4", "ip6"]) {
    if (!fields.has(key)) continue;
    const side = fields.object(key);
    const address = side.required("ip", parseAnyCidr);
    ips.push({ address, ...defined({ gateway: text(side, "gateway") }) });
    routes.push(...side.objects("routes", "an object", parseRoute) ?? []);
  }
  return { interfaces: [], ips, routes };
}

function parseInterface(fields: Fields): Interface {
  return {
    name: fields.required("name", parseString),
    ...defined({
      mac: text(fields, "mac"),
      mtu: positive(fields, "mtu"),
      sandbox: text(fields, "sandbox"),
      socketPath: text(fields, "socketPath"),
      pciID: text(fields, "pciID"),
    }),
  };
}

function parseAddress(fields: Fields): Address {
  return {
    address: fields.required("address", parseAnyCidr),
    ...defined({ gateway: text(fields, "gateway"), interface: number(fields, "interface") }),
  };
}

function parseRoute(fields: Fields): ResultRoute {
  return {
    dst: fields.required("dst", parseAnyCidr),
    ...defined({
      gw: text(fields, "gw"),
      mtu: positive(fields, "mtu"),
      advmss: positive(fields, "advmss"),
      priority: positive(fields, "priority"),
      table: number(fields, "table"),
      scope: number(fields, "scope"),
    }),
  };
}

function text(fields: Fields, key: string): string | undefined {
  return fields.unlessEmpty(key, parseString);
}

function number(fields: Fields, key: string): number | undefined {
  return fields.optional(key, parseInteger(0, 2 ** 32 - 1));
}

/** As `number`; 0 counts as absent (rule R7). */
function positive(fields: Fields, key: string): number | undefined {
  return number(fields, key) || undefined;
}

/** An address with prefix length, in the given spelling: a runtime refuses a result with another one (rule R8). */
function parseAnyCidr(value: unknown): string {
  const text = parseString(value);
  parseInterfaceAddress(text);
  return text;
}

/** The `dns` object of a configuration or a result (SPEC §5). */
export function parseDns(fields: Fields): Dns {
  const dns = fields.object("dns");
  return defined({
    nameservers: dns.optional("nameservers", parseStrings),
    domain: dns.optional("domain", parseString),
    search: dns.optional("search", parseStrings),
    options: dns.optional("options", parseStrings),
  });
}
