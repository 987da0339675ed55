import { parseInterfaceAddress } from "../../../lib/base/address.ts";
import { macOf } from "../../../lib/base/mac.ts";
import { parseInterfaceName } from "../../../lib/base/names.ts";
import type { BridgeSpec } from "../../../lib/netops.ts";

const GATEWAY = parseInterfaceAddress("10.86.0.1/24");

/** The spec of a bridge, which tests vary. */
export const BR0: BridgeSpec = {
  name: parseInterfaceName("br0"),
  mtu: 1500,
  gateways: [GATEWAY],
  forceAddress: false,
  promiscuous: false,
  pinsIpv6: false,
  mac: macOf(GATEWAY.ip),
};
