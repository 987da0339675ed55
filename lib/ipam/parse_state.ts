import { type Ip, isIp, parseCidr, parseIp } from "../base/address.ts";
import { Malformed, quote } from "../base/errors.ts";
import { isObject, type JsonObject } from "../base/fields.ts";
import type { RangeSet } from "../base/range.ts";
import { damaged, NewerSchema, SCHEMA } from "./damage.ts";
import { linesIn } from "./lines.ts";
import { readOlder } from "./older_state.ts";
import type { State } from "./state.ts";

/** The state in `bytes`, its maps checked against each other. Throws StateDamaged for anything else (docs/architecture.md, "The state"). */
export function parseState(bytes: Uint8Array<ArrayBuffer>, path: string): State {
  if (bytes.length === 0) throw damaged(path, "it is empty");
  let text: string;
  let value: unknown;
  try {
    text = decode(bytes);
    value = JSON.parse(text);
  } catch (error) {
    throw damaged(path, error instanceof Error ? error.message : "it is no JSON", error);
  }
  if (!isObject(value)) throw damaged(path, "it holds no object");
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

/** Throws where the bytes are no UTF-8. A decoder that throws by itself makes strings of twice the size, thrice as slowly. */
function decode(bytes: Uint8Array<ArrayBuffer>): string {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  if (!text.includes("\ufffd")) return text;
  return new TextDecoder("utf-8", { ignoreBOM: true, fatal: true }).decode(bytes);
}

/** The two maps: each address is one of its holder's, and there are no more owners and no more of their addresses than that. */
function crossCheck(
  { containerToIP, ipToContainer }: JsonObject,
  path: string,
): Pick<State, "containerToIP" | "ipToContainer"> {
  if (!isObject(containerToIP)) {
    throw damaged(path, `containerToIP is ${quote(containerToIP)}, no object`);
  }
  if (!isObject(ipToContainer)) {
    throw damaged(path, `ipToContainer is ${quote(ipToContainer)}, no object`);
  }
  const addresses = Object.keys(ipToContainer);
  let owners = 0;
  let owned = 0;
  for (const address of addresses) {
    if (!isIp(address)) {
      throw damaged(path, `ipToContainer has ${quote(address)}, no IP address`);
    }
    const owner = ipToContainer[address];
    const own = typeof owner === "string" ? containerToIP[owner] : undefined;
    if (own === address) {
      owners++;
      owned++;
    } else if (!Array.isArray(own)) {
      const has = own === undefined ? "nothing" : quote(own);
      throw damaged(path, `${address} is held by ${quote(owner)}, who has ${has}`);
    } else if (own[0] === address) {
      owners++;
      owned += own.length;
      if (!own.every((it) => typeof it === "string" && ipToContainer[it] === owner)) {
        throw damaged(path, ownerIn(containerToIP, ipToContainer));
      }
    }
  }
  if (owners !== Object.keys(containerToIP).length || owned !== addresses.length) {
    throw damaged(path, ownerIn(containerToIP, ipToContainer));
  }
  return {
    containerToIP: containerToIP as State["containerToIP"],
    ipToContainer: ipToContainer as State["ipToContainer"],
  };
}

/** Which owner has something that ipToContainer does not say. */
function ownerIn(containerToIP: JsonObject, ipToContainer: JsonObject): string {
  for (const [owner, value] of Object.entries(containerToIP)) {
    const list: unknown[] = Array.isArray(value) ? value : [value];
    const isHeld = list.length > 0 && new Set(list).size === list.length &&
      list.every((ip) => typeof ip === "string" && ipToContainer[ip] === owner);
    if (!isHeld) return `${quote(owner)} has ${quote(value)}, and ipToContainer says otherwise`;
  }
  return "containerToIP and ipToContainer differ";
}

/** What is known of leases, each with an owner. */
function checkRecords(
  { leases = {}, containerToIP }: JsonObject,
  path: string,
): Pick<State, "leases" | "isMacAsked"> {
  if (!isObject(leases)) throw damaged(path, `leases is ${quote(leases)}, no object`);
  const owners = containerToIP as JsonObject;
  let isMacAsked = false;
  for (const owner of Object.keys(leases)) {
    const record = leases[owner];
    if (!Object.hasOwn(owners, owner)) {
      throw damaged(path, `leases has ${quote(owner)}, who holds nothing`);
    }
    if (
      !isObject(record) || typeof record["since"] !== "string" ||
      typeof record["hostMac"] !== "string"
    ) {
      throw damaged(path, `leases[${quote(owner)}] is ${quote(record)}`);
    }
    isMacAsked ||= record["mac"] !== undefined;
    for (const key in record) {
      const value = record[key];
      if (key === "guarded" ? typeof value !== "boolean" : typeof value !== "string") {
        throw damaged(path, `leases[${quote(owner)}].${key} is ${quote(record[key])}`);
      }
    }
  }
  return { leases: leases as State["leases"], isMacAsked };
}

function readLast(value: unknown, path: string): Ip[] {
  return (Array.isArray(value) ? value : value === "" ? [] : [value]).map((address) => {
    if (typeof address === "string" && isIp(address)) return address;
    throw damaged(path, `lastReserved is ${quote(value)}, no IP address`);
  });
}

function readRanges(value: unknown, path: string): readonly RangeSet[] | undefined {
  if (value === undefined) return undefined;
  try {
    if (!Array.isArray(value)) throw new Malformed("a list of range sets", "it is none");
    return value.map((set: JsonObject[]) =>
      set.map(({ subnet, rangeStart, rangeEnd, gateway }) => ({
        subnet: parseCidr(subnet),
        start: parseIp(rangeStart),
        end: parseIp(rangeEnd),
        gateway: parseIp(gateway),
      }))
    );
  } catch (error) {
    throw damaged(path, `ranges is ${quote(value)}`, error);
  }
}
