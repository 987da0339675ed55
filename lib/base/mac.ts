import { familyOf, type Ip, valueOf } from "./address.ts";
import { Malformed, quote } from "./errors.ts";

/** Six bytes, lower case, colons: `0a:58:0a:56:00:02`. */
export type Mac = string & { readonly __mac: true };

/** A unicast MAC address in any letter case. Throws `Malformed`. */
export function parseMac(text: unknown): Mac {
  const wanted = "a MAC address (six bytes, 0a:58:0a:56:00:02)";
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
 * The MAC derived from `ip`: a reused address keeps its MAC, so no neighbour cache goes stale. `0a:58` and the four bytes
 * of an IPv4 address; 46 bits of a hash of an IPv6 address, so that two addresses practically never share a MAC.
 */
export function macOf(ip: Ip): Mac {
  const bytes = (digits: number) =>
    Uint8Array.fromHex(valueOf(ip).toString(16).padStart(digits, "0"));
  return familyOf(ip) === 4 ? joinBytes([0x0a, 0x58, ...bytes(8)]) : hashedMac(bytes(32));
}

/** The MAC of a bridge without a gateway, derived from its name, so that concurrent ADDs agree. */
export function macOfBridge(name: string): Mac {
  return hashedMac(new TextEncoder().encode(name));
}

/** 64-bit FNV-1a with MurmurHash3's finaliser, by which each bit depends on all; locally administered, unicast. */
function hashedMac(bytes: Iterable<number>): Mac {
  const cut = (value: bigint) => BigInt.asUintN(64, value);
  let hash = 0xcbf29ce484222325n;
  for (const byte of bytes) hash = cut((hash ^ BigInt(byte)) * 0x100000001b3n);
  for (const factor of [0xff51afd7ed558ccdn, 0xc4ceb9fe1a85ec53n]) {
    hash = cut((hash ^ (hash >> 33n)) * factor);
  }
  const [first = 0, ...rest] = [56n, 48n, 40n, 32n, 24n, 16n].map((shift) =>
    Number((hash >> shift) & 0xffn)
  );
  const local = (first & 0xfc) | 2;
  // A host veth's MAC is never a bridge's own MAC.
  return joinBytes([local === HOST_MAC ? 2 : local, ...rest]);
}

/** The MAC of an attachment with these addresses: derived from the first IPv4 address, or else from the first address. */
export function macOfAll(ips: readonly Ip[]): Mac | undefined {
  const [first] = ips;
  const ip = ips.find((it) => familyOf(it) === 4) ?? first;
  return ip && macOf(ip);
}

const HOST_MAC = 0xfe;

/**
 * A random MAC by which a run recognises its own host veth. The second byte is below 16 exactly if the attachment has no
 * addresses, and then from 8 on if its MAC was requested.
 */
export function freshHostMac(hasAddresses: boolean, isRequested = false): Mac {
  const [first = 0, ...rest] = crypto.getRandomValues(new Uint8Array(5));
  const layer2 = (first & 0x07) | (isRequested ? 0x08 : 0);
  const second = hasAddresses ? first | 0x10 : layer2;
  // A bridge without a fixed MAC takes its ports' lowest: fe is higher than any vendor's prefix.
  return joinBytes([HOST_MAC, second, ...rest]);
}

/** Whether `freshHostMac` made this MAC for an attachment without addresses. The container can't change the MAC. */
export function isLayer2HostMac(mac: string): boolean {
  return mac.startsWith(HOST_MAC.toString(16) + ":0");
}

/**
 * The MAC of a layer-2 container, if the MAC of its host veth proves it; `undefined` if it was requested. Up to version 0.2.0
 * no host veth showed that.
 */
export function macProvenBy(hostMac: string): Mac | undefined {
  return isHostMac(hostMac) && !/^fe:0[89a-f]/.test(hostMac)
    ? layer2Mac(hostMac as Mac)
    : undefined;
}

/** Whether `freshHostMac` made this MAC: a bridge that has it follows its ports. */
export function isHostMac(mac: string): boolean {
  return mac.startsWith(HOST_MAC.toString(16) + ":");
}

/** The MAC of a container without an address, derived from that of its host veth: so the host knows it without the container. */
export function layer2Mac(hostMac: Mac): Mac {
  return `0a:5a${hostMac.slice(5)}` as Mac;
}

export function joinBytes(bytes: readonly number[]): Mac {
  return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":") as Mac;
}
