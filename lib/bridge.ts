import { CniError } from "./errors.ts";
import { type Cidr, formatInterfaceAddress, type Ipv4 } from "./ipv4.ts";
import type { Link } from "./links.ts";
import type { InterfaceName, Mac } from "./names.ts";

/** A bridge as it must be before a container is plugged into it. */
export interface BridgeSpec {
  readonly name: InterfaceName;
  readonly subnet: Cidr;
  /** In bytes; `undefined` leaves it to the kernel. */
  readonly mtu: number | undefined;
  /** The address it carries; `undefined` where it carries none of ours. */
  readonly gateway: Ipv4 | undefined;
  readonly forceAddress: boolean;
  readonly promiscuous: boolean;
  /** Given to it when it is made, so that it does not take the lowest of its ports'. */
  readonly mac: Mac;
}

/** BR_MAX_PORTS of the kernel. */
const MOST_PORTS = 1023;

function gatewayAddress({ gateway, subnet }: BridgeSpec): string | undefined {
  return gateway === undefined
    ? undefined
    : formatInterfaceAddress({ ip: gateway, prefix: subnet.prefix });
}

/** The `ip` commands that make the bridge of `spec` out of `found`; none where it is one. Code 105 where it can't be. */
export function bridgeCommands(spec: BridgeSpec, found: Link | undefined): string[][] {
  const { name, mac, mtu, promiscuous } = spec;
  const address = gatewayAddress(spec);
  const add = address === undefined ? [] : [["addr", "add", address, "brd", "+", "dev", name]];
  const wake = ["link", "set", "dev", name, ...(promiscuous ? ["promisc", "on"] : []), "up"];
  if (found === undefined) {
    const size = mtu === undefined ? [] : ["mtu", String(mtu)];
    return [["link", "add", "name", name, "address", mac, ...size, "type", "bridge"], ...add, wake];
  }
  if (found.kind !== "bridge") throw notABridge(found);
  const others = address === undefined || found.addresses.includes(address) ? [] : found.addresses;
  if (address !== undefined && others.length > 0 && !spec.forceAddress) {
    throw otherAddress(found, address);
  }
  return [
    ...others.map((other) => ["addr", "del", other, "dev", name]),
    ...(address === undefined || found.addresses.includes(address) ? [] : add),
    ...(found.up && (found.promiscuous || !promiscuous) ? [] : [wake]),
  ];
}

function notABridge({ ifname, kind }: Link): CniError {
  const found = kind === "" ? "it is an interface of another kind" : `it is a ${kind}`;
  return new CniError(105, `Cannot use "${ifname}" as the bridge: ${found}`, {
    details:
      `name another one under "bridge", or look at this interface (ip link show dev ${ifname}) and ` +
      `remove it (ip link del dev ${ifname})`,
  });
}

function otherAddress({ ifname, addresses }: Link, wanted: string): CniError {
  const found = addresses.join(", ");
  return new CniError(105, `Cannot use "${ifname}" as the bridge of ${wanted}: it has ${found}`, {
    details:
      `remove that address (ip addr del ${
        addresses[0]
      } dev ${ifname}), the bridge then gets ${wanted}; ` +
      'or, if no container of this network is left, set "subnet", "gateway" and the range to its network',
  });
}

/** Code 105 where the bridge can take no further port. */
export function checkPorts(name: InterfaceName, links: readonly Link[]): void {
  const ports = links.filter(({ master }) => master === name).length;
  if (ports < MOST_PORTS) return;
  throw new CniError(
    105,
    `Cannot plug another container into "${name}": it has ${ports} ports, the kernel's limit`,
    {
      details: "give further containers a network with a bridge of its own",
    },
  );
}
