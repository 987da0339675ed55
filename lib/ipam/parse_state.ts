import { type Ip, isIp, parseCidr, parseIp } from "../base/address.ts";
import { Malformed, quote } from "../base/errors.ts";
import { isObject, type JsonObject } from "../base/fields.ts";
import type { RangeSet } from "../base/range.ts";
import { damaged, mapIn, NewerSchema, SCHEMA } from "./damage.ts";
import { linesIn } from "./lines.ts";
import type { State } from "./state.ts";

/** Parses the state and checks its maps against each other (docs/architecture.md, "The state"). Throws StateDamaged. */
export function parseState(bytes: Uint8Array<ArrayBuffer>, path: string): State {
  if (bytes.length === 0) throw damaged(path, "it is empty");
  let text: string;
  let value: unknown;
  try {
    text = decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    throw damaged(path, error instanceof Error ? error.message : "it is not JSON");
  }
  if (!isObject(value)) throw damaged(path, "it is not a JSON object");
  const { schema } = value;
  if (typeof schema === "number" && schema > SCHEMA) throw new NewerSchema(path, schema);
  const found = schema === SCHEMA ? value : readOlder(value, path);
  return {
    ...crossCheck(found, path),
    lastReserved: readLast(found["lastReserved"] ?? "", path),
    ...checkRecords(found, path),
    ranges: readRanges(found["ranges"], path),
    lines: found === value ? linesIn(text, bytes) : undefined,
  };
}

/**
 * Throws if the bytes are not UTF-8. The tolerant decoder comes first: a fatal one takes three times as long and makes strings
 * of twice the size, which counts with 65,000 leases.
 */
function decode(bytes: Uint8Array<ArrayBuffer>): string {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  if (!text.includes("\ufffd")) return text;
  return new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(bytes);
}

/** Returns the two maps if they have the same owners and addresses. Throws StateDamaged if not. */
function crossCheck(
  { containerToIP, ipToContainer }: JsonObject,
  path: string,
): Pick<State, "containerToIP" | "ipToContainer"> {
  const owners = mapIn("containerToIP", containerToIP, path);
  const addresses = mapIn("ipToContainer", ipToContainer, path);
  if (!agree(owners, addresses)) throw damaged(path, difference(owners, addresses));
  return {
    containerToIP: owners as State["containerToIP"],
    ipToContainer: addresses as State["ipToContainer"],
  };
}

/** Whether both maps have the same owners and addresses; by owner, because a lookup by address costs less. */
function agree(containerToIP: JsonObject, ipToContainer: JsonObject): boolean {
  const ips = Object.keys(ipToContainer);
  let held = 0;
  for (const owner in containerToIP) {
    const own = containerToIP[owner];
    if (typeof own === "string") {
      // Both maps usually have the same order, and a lookup by a key costs less than one by an equal value.
      const key = ips[held];
      if (ipToContainer[key === own ? key : own] !== owner || !isIp(own)) return false;
      held++;
    } else {
      if (!isHeldBy(owner, own, ipToContainer) || !own.every(isIp)) return false;
      held += own.length;
    }
  }
  return held === ips.length;
}

/** Whether `own` is a list without doubles, and the other map has `owner` for each of its addresses. */
function isHeldBy(owner: string, own: unknown, ipToContainer: JsonObject): own is string[] {
  return Array.isArray(own) && own.length > 0 && new Set(own).size === own.length &&
    own.every((ip) => typeof ip === "string" && ipToContainer[ip] === owner);
}

/** Describes the first difference between the maps. */
function difference(containerToIP: JsonObject, ipToContainer: JsonObject): string {
  for (const [address, owner] of Object.entries(ipToContainer)) {
    if (!isIp(address)) return `ipToContainer has ${quote(address)}, not an IP address`;
    const own = typeof owner === "string" ? containerToIP[owner] : undefined;
    if (own === address || Array.isArray(own)) continue;
    const has = own === undefined ? "nothing" : quote(own);
    return `${address} is held by ${quote(owner)}, which has ${has}`;
  }
  for (const [owner, own] of Object.entries(containerToIP)) {
    if (!isHeldBy(owner, Array.isArray(own) ? own : [own], ipToContainer)) {
      return `${quote(owner)} has ${quote(own)}, and ipToContainer says otherwise`;
    }
  }
  return "containerToIP and ipToContainer differ";
}

/** Returns the lease records after a check of their owners and fields, and the records' MACs. Throws StateDamaged. */
function checkRecords(
  { leases: value = {}, containerToIP }: JsonObject,
  path: string,
): Pick<State, "leases" | "macs"> {
  const leases = mapIn("leases", value, path);
  const macs = new Set<string>();
  const owners = containerToIP as State["containerToIP"];
  for (const owner in leases) {
    const own = owners[owner];
    if (typeof own !== "string" && !Array.isArray(own)) {
      throw damaged(path, `leases has ${quote(owner)}, which has no address`);
    }
    const record = leases[owner];
    const isRecord = isObject(record) && typeof record["since"] === "string" &&
      typeof record["hostMac"] === "string";
    if (!isRecord) throw damaged(path, `leases[${quote(owner)}] is ${quote(record)}`);
    for (const key in record) {
      const value = record[key];
      if (key === "guarded" ? typeof value !== "boolean" : typeof value !== "string") {
        throw damaged(path, `leases[${quote(owner)}].${key} is ${quote(value)}`);
      }
      if (key === "mac") macs.add(value as string);
    }
  }
  return { leases: leases as State["leases"], macs };
}

function readLast(value: unknown, path: string): Ip[] {
  return (Array.isArray(value) ? value : value === "" ? [] : [value]).map((address) => {
    if (typeof address === "string" && isIp(address)) return address;
    throw damaged(path, `lastReserved is ${quote(value)}, not an IP address`);
  });
}

function readRanges(value: unknown, path: string): readonly RangeSet[] | undefined {
  if (value === undefined) return undefined;
  try {
    if (!Array.isArray(value)) throw new Malformed("a list of range sets", "it is not a list");
    return value.map((set: JsonObject[]) =>
      set.map(({ subnet, rangeStart, rangeEnd, gateway }) => ({
        subnet: parseCidr(subnet),
        start: parseIp(rangeStart),
        end: parseIp(rangeEnd),
        gateway: parseIp(gateway),
      }))
    );
  } catch {
    throw damaged(path, `ranges is ${quote(value)}`);
  }
}

/**
 * Converts `file` to the form of schema 3, which the caller checks. Schema 2 has one address for each owner, leases by address
 * with `veth` as the host veth's MAC, one range as `pool`, and a checksum (`seal`). The format of the Go original has no schema
 * number. Throws StateDamaged.
 */
function readOlder(file: JsonObject, path: string): JsonObject {
  const { schema, containerToIP, ipToContainer, lastReserved, leases = {}, pool } = file;
  if (schema !== undefined && schema !== 2) throw damaged(path, `its schema is ${quote(schema)}`);
  const owners: JsonObject = isObject(ipToContainer) ? ipToContainer : {};
  const records = Object.entries(mapIn("leases", leases, path)).map(([ip, lease]) => {
    const owner = owners[ip];
    if (typeof owner !== "string") {
      throw damaged(path, `leases has ${quote(ip)}, which has no owner`);
    }
    if (!isObject(lease)) throw damaged(path, `leases[${quote(ip)}] is ${quote(lease)}`);
    const { veth: hostMac, ...more } = lease;
    return [owner, { hostMac, ...more }];
  });
  return {
    containerToIP,
    ipToContainer,
    lastReserved: lastReserved ?? "",
    leases: Object.fromEntries(records),
    ...(pool !== undefined && { ranges: [[pool]] }),
  };
}
