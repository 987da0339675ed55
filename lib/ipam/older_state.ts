/** Converts older state files to the present format: schema 2, and the format of the Go original, which has no schema number. */
import { quote } from "../base/errors.ts";
import { isObject, type JsonObject } from "../base/fields.ts";
import { damaged, mapIn } from "./damage.ts";

/**
 * Converts `file` to the form of schema 3, which the caller checks. Schema 2 has one address for each owner, leases by address
 * with `veth` as the host veth's MAC, one range as `pool`, and a checksum (`seal`). Throws StateDamaged.
 */
export function readOlder(file: JsonObject, path: string): JsonObject {
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
