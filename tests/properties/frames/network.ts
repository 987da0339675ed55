import type { Json } from "../../integration/host.ts";
import type { Random } from "../../random.ts";

export type Family = 4 | 6;

/** The settings of a case's network. All containers of a bridge are guarded, or none. */
export interface Network {
  readonly families: readonly Family[];
  readonly guard: boolean;
  readonly rules: boolean;
  readonly isolated: boolean;
  /**
   * The attacker's port is not in the network's link group, like that of a container taken over from another
   * plugin.
   */
  readonly ungrouped: boolean;
  /** Containers choose link-local addresses that are not derived from their MAC. */
  readonly randomLinkLocal: boolean;
}

export const BRIDGE = "atomic0";
export const NAME = "podnet";
export const GATEWAY = { 4: "10.86.0.1", 6: "fd88::1" } as const;
/** A machine behind the host's uplink, and the uplink. */
export const OUTSIDE = { 4: "192.0.2.2", 6: "2001:db8::2" } as const;
export const UPLINK = { 4: "192.0.2.1", 6: "2001:db8::1" } as const;
export const FOREIGN = { 4: "203.0.113.9", 6: "2001:db8:bad::9" } as const;

/** Four addresses of each family: three containers stay, one address is for those that come and go. */
const POOL = {
  4: {
    subnet: "10.86.0.0/24",
    gateway: GATEWAY[4],
    ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.5" },
  },
  6: {
    subnet6: "fd88::/64",
    gateway6: GATEWAY[6],
    ipam: { rangeStart6: "fd88::2", rangeEnd6: "fd88::5" },
  },
} as const;

export function configOf({ families, guard, isolated }: Network): Json {
  const pools = families.map((family) => POOL[family]);
  return {
    cniVersion: "1.1.0",
    type: "atomicni",
    name: NAME,
    bridge: BRIDGE,
    ...Object.assign({}, ...pools),
    ipam: Object.assign({}, ...pools.map(({ ipam }) => ipam)),
    ...(guard && { macspoofchk: true }),
    ...(isolated && { portIsolation: true }),
  };
}

/** The same network in host-local's form, which has `forceAddress`. */
export function forcing({ families }: Network): Json {
  const ranges = families.map((family) => {
    const { ipam, ...net } = POOL[family];
    const [subnet, gateway] = Object.values(net);
    const [rangeStart, rangeEnd] = Object.values(ipam);
    return [{ subnet, gateway, rangeStart, rangeEnd }];
  });
  return {
    ...{ subnet: undefined, gateway: undefined, subnet6: undefined, gateway6: undefined },
    ...{ isDefaultGateway: true, forceAddress: true, ipam: { type: "host-local", ranges } },
  };
}

const FAMILIES = [[4, 6], [4, 6], [4], [6]] as const;

export function someNetwork(random: Random): Network {
  const guard = random.chance(0.85);
  const rules = !guard || random.chance(0.6);
  return {
    families: random.one(FAMILIES),
    guard,
    rules,
    isolated: rules && random.chance(0.35),
    ungrouped: guard && rules && random.chance(0.2),
    randomLinkLocal: random.chance(0.3),
  };
}

/**
 * The worst kind of host: it forwards and accepts router advertisements on every interface. A second machine is behind
 * its uplink. Nothing waits for duplicate address detection.
 */
export const HOST = `
sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 \
  net.bridge.bridge-nf-call-arptables=0 2>/dev/null || :
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.rp_filter=0 \
  net.ipv4.conf.default.rp_filter=0 net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.default.accept_ra=2
nft flush ruleset
ip netns add outside
ip link add name uplink up type veth peer name eth0 netns outside
ip -batch - <<X
addr add ${UPLINK[4]}/24 dev uplink
addr add ${UPLINK[6]}/64 dev uplink nodad
X
ip -n outside -batch - <<X
link set dev eth0 up
addr add ${OUTSIDE[4]}/24 dev eth0
addr add ${OUTSIDE[6]}/64 dev eth0 nodad
route add default via ${UPLINK[4]}
route add default via ${UPLINK[6]}
X`;

/** Creates a container's namespace; its interfaces are ready at once. */
export function containerScript(id: string, { randomLinkLocal }: Network): string {
  return `ip netns add ${id}
ip netns exec ${id} sh -c 'ip link set dev lo up
cd /proc/sys/net/ipv6/conf/default; echo 0 >accept_dad${
    randomLinkLocal ? "; echo 3 >addr_gen_mode" : ""
  }'`;
}
