import {
  addressBytes,
  type Bytes,
  checksum,
  ipv4,
  macBytes,
  pseudo,
  u16,
  zeros,
} from "../../guard/frames.ts";
import { OUTSIDE } from "./network.ts";

/** The route leads through `at`, and one address is on the link. */
export function routerAdvertisement(at: string, onLink: string): Bytes {
  return [
    ...[64, 0, ...u16(1800), ...zeros(8), 1, 1, ...macBytes(at)],
    ...[3, 4, 128, 0x80, 0, 0, 7, 8, 0, 0, 7, 8, ...zeros(4), ...addressBytes(onLink)],
  ];
}

/**
 * Claims to come from `source`, and directs `victim`'s packets elsewhere. Linux needs no socket for the quoted
 * echo reply.
 */
export function redirect4(source: string, victim: string, instead: string, data: Bytes): Bytes {
  const quoted = ipv4(victim, OUTSIDE[4], 1, [0, 0, 0xff, 0xff, 0, 0, 0, 0]);
  const message = [...addressBytes(instead), ...quoted, ...data];
  return ipv4(source, victim, 1, [5, 1, ...checksum([5, 1, 0, 0, ...message]), ...message]);
}

export function igmp(type: number, group: string, data: Bytes): Bytes {
  const rest = [...addressBytes(group), ...zeros(4), ...data];
  return [type, 100, ...checksum([type, 100, 0, 0, ...rest]), ...rest];
}

export function echo4(data: Bytes): Bytes {
  const rest = [0, 7, 0, 7, ...data];
  return [8, 0, ...checksum([8, 0, 0, 0, ...rest]), ...rest];
}

/** A SYN with data. */
export function tcp(source: string, destination: string, data: Bytes): Bytes {
  const head = [...u16(4809), ...u16(4809), ...zeros(8), 0x50, 2, 0xff, 0xff];
  const segment = (sum: Bytes) => [...head, ...sum, 0, 0, ...data];
  return segment(checksum([
    ...(source.includes(":")
      ? pseudo(source, destination, 20 + data.length, 6)
      : [...addressBytes(source), ...addressBytes(destination), 0, 6, ...u16(20 + data.length)]),
    ...segment([0, 0]),
  ]));
}
