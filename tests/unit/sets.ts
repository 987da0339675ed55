import { parseIp } from "../../lib/base/address.ts";
import { type AddressRange, parseSubnet, usable } from "../../lib/base/range.ts";

/** A range for a test; by default all addresses that hosts may have, with the first one as gateway. */
export function range(
  text: string,
  { start, end, gateway }: { start?: string; end?: string; gateway?: string } = {},
): AddressRange {
  const subnet = parseSubnet(text);
  const all = usable(subnet);
  return {
    subnet,
    start: start === undefined ? all.start : parseIp(start),
    end: end === undefined ? all.end : parseIp(end),
    gateway: gateway === undefined ? all.start : parseIp(gateway),
  };
}
