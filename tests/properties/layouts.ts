import { CONFIG, type Json } from "../integration/host.ts";

/** Containers of the first network, then those of the second. */
export const CONTAINERS = ["k0", "k1", "k2", "k3", "n0", "n1"] as const;
const FIRST_OF_SECOND = 4;
/** Index of the container that changes its own namespace. */
export const HOSTILE = 1;

/** Eight addresses, so that one that is free too early is soon allocated. */
export const NETWORK = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.9" } };
/** The same with both families and the guard. */
export const GUARDED = {
  ...NETWORK,
  subnet6: "fd00:88::/64",
  gateway6: "fd00:88::1",
  ipam: { ...NETWORK.ipam, rangeStart6: "fd00:88::2", rangeEnd6: "fd00:88::9" },
  macspoofchk: true,
};

/** Small pools, so that an address that is free too early is soon allocated again. */
const POOLS = { small: "10.86.0.5", medium: "10.86.0.9", large: "10.86.0.60" } as const;
export type Pool = keyof typeof POOLS;

/** Two networks of one host. In `guarded`, the first one has both families and the guard. */
export const LAYOUTS = ["one bridge", "two bridges", "renamed", "host-local", "guarded"] as const;
export type Layout = (typeof LAYOUTS)[number];

/** Configurations of both networks. */
export function networks(layout: Layout, pool: Pool): readonly [Json, Json] {
  const rangeEnd = POOLS[pool];
  const first = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd } };
  const other = { ...CONFIG, name: "other" };
  switch (layout) {
    case "one bridge":
      return [first, { ...other, ipam: { rangeStart: "10.86.0.102", rangeEnd: "10.86.0.103" } }];
    case "two bridges":
      return [first, { ...other, bridge: "other0", subnet: "10.99.0.0/24", gateway: "10.99.0.1" }];
    case "guarded":
      return [GUARDED, {
        ...other,
        bridge: "other0",
        subnet: "10.99.0.0/24",
        gateway: "10.99.0.1",
      }];
    case "renamed":
      return [first, { ...first, name: "other" }];
    default:
      return [hostLocal(CONFIG.name, "10.86.0", rangeEnd), hostLocal("other", "10.99.0")];
  }
}

function hostLocal(name: string, start: string, rangeEnd = `${start}.3`): Json {
  const { subnet: _, gateway: _gateway, ...rest } = CONFIG;
  const bridge = name === CONFIG.name ? CONFIG.bridge : "other0";
  const range = { subnet: `${start}.0/24`, rangeStart: `${start}.2`, rangeEnd };
  return {
    ...rest,
    name,
    bridge,
    isGateway: true,
    ipam: { type: "host-local", ranges: [[range]] },
  };
}

/** Index of the network of a container. */
export function networkOf(who: number): 0 | 1 {
  return who >= FIRST_OF_SECOND ? 1 : 0;
}

/** The containers of the same network. */
export function neighbours(who: number): readonly string[] {
  return networkOf(who) === 0 ? CONTAINERS.slice(0, FIRST_OF_SECOND) : CONTAINERS.slice(4);
}
