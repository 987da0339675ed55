import type { BridgeSpec } from "../lib/bridge.ts";
import { parseCidr, parseIpv4 } from "../lib/ipv4.ts";
import { macOf, parseInterfaceName } from "../lib/names.ts";

const GATEWAY = parseIpv4("10.88.0.1");

/** A bridge as a network wants it, for a test to change. */
export const BR0: BridgeSpec = {
  name: parseInterfaceName("br0"),
  subnet: parseCidr("10.88.0.0/24"),
  mtu: 1500,
  gateway: GATEWAY,
  forceAddress: false,
  promiscuous: false,
  mac: macOf(GATEWAY),
};
