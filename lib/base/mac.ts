import { familyOf, type Ip, valueOf } from "./address.ts";
import { randomBytes } from "./chance.ts";
import { Malformed, quote } from "./errors.ts";

/** Six bytes, lower case, colons: `0a:58:0a:58:00:02`. */
export type Mac = string & { readonly __mac: true };

/** A unicast MAC address in any letter case. Throws `Malformed`. */
export function parseMac(text: unknown): Mac {
  const wanted = "a MAC address (six bytes, 0a:58:0a:58:00:02)";
  if (typeof text !== "string") throw new Malformed(wanted, `got ${quote(text)}`);
  const mac = text.toLowerCase();
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(mac)) {
    throw new Malformed(wanted, "it is not of that form");
  }
  if (parseInt(mac.slice(0, 2), 16) & 1) throw new Malformed(wanted, "it is a multicast address");
  if (mac === "00:00:00:00:00:00") throw new Malformed(wanted, "it is all zeros");
  return mac as Mac;
}

/**
 * The MAC of whoever has `ip`: a re-used address keeps its MAC, so no neighbour cache goes stale. `0a:58` and the four
 * bytes of an IPv4 address; `0a:59` and the four words of an IPv6 address folded into one, which differ wherever two
 * addresses of one subnet differ in their last 32 bits.
 */
export function macOf(ip: Ip): Mac {
  const value = valueOf(ip);
  const isV4 = familyOf(ip) === 4;
  const word = isV4 ? value : (value >> 96n) ^ (value >> 64n) ^ (value >> 32n) ^ value;
  const bytes = [24n, 16n, 8n, 0n].map((shift) => Number((word >> shift) & 0xffn));
  return joinBytes([0x0a, isV4 ? 0x58 : 0x59, ...bytes]);
}

/** The MAC of whoever has these addresses: that of the first IPv4 one, without one of the first. */
export function macOfAll(ips: readonly Ip[]): Mac | undefined {
  const [first] = ips;
  const ip = ips.find((it) => familyOf(it) === 4) ?? first;
  return ip && macOf(ip);
}

const HOST_MAC = 0xfe;

/** A MAC that nobody else has, for one run to know its own host veth by. */
export function freshHostMac(): Mac {
  // A bridge without a fixed MAC takes the lowest of its ports': fe is higher than any vendor's.
  return joinBytes([HOST_MAC, ...randomBytes(5)]);
}

/** Whether it is of `freshHostMac`: a bridge that has it follows its ports. */
export function isHostMac(mac: string): boolean {
  return mac.startsWith(HOST_MAC.toString(16) + ":");
}

/**
 * The MAC of a container without an address, behind the host veth with that MAC: the host can tell the one from the other,
 * whatever the container says.
 */
export function macBehind(hostMac: Mac): Mac {
  return `0a:5a${hostMac.slice(5)}` as Mac;
}

/** A MAC for a bridge that has no address to take it from. */
export function freshMac(): Mac {
  return joinBytes([0x0a, 0x5a, ...randomBytes(4)]);
}

function joinBytes(bytes: readonly number[]): Mac {
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":") as Mac;
}
