import type { Random } from "../random.ts";

/** The container that nobody trusts: it may do anything in its own namespace, and nothing outside. */
export const MALLORY = "m";
/** A namespace that Mallory creates inside its own, without a name below /run/netns. */
const NESTED = "/run/keep/nested";

/** Facts about another container that Mallory learns from passing frames. */
export interface Neighbour {
  readonly ip: string;
  readonly mac: string;
  readonly veth: string;
  readonly owner: string;
}

export interface Trick {
  readonly name: string;
  /** A script; `$E` is Mallory's interface to the bridge, `$N` a name. */
  readonly script: (victim: Neighbour) => string;
}

const NEST = `mkdir -p /run/keep; [ -e ${NESTED} ] || { touch ${NESTED}
  nsenter --net=/run/netns/${MALLORY} unshare --net=${NESTED} true; }`;
const M = `ip -n ${MALLORY}`;
const trick = (name: string, script: Trick["script"]): Trick => ({ name, script });

/** Names with a special meaning to `ip`, to the plugin, or to a shell. */
const NAMES = [
  "if1",
  "if2",
  "if3",
  "if4",
  "if5",
  "if9",
  "atomic0",
  "net1",
  "eth0",
  "dev",
  "a#b",
  'a"b',
  "a\\\\b",
  "up",
];

const ADDRESSES: readonly Trick[] = [
  trick("takes its neighbour's address as well", ({ ip }) => `${M} addr add ${ip}/24 dev "$E"`),
  trick(
    "takes its neighbour's address instead",
    ({ ip }) =>
      `${M} addr flush dev "$E"; ${M} addr add ${ip}/24 dev "$E"; ${M} link set dev "$E" up`,
  ),
  trick("takes its neighbour's address on lo", ({ ip }) => `${M} addr add ${ip}/32 dev lo`),
  trick("takes the gateway's address", () => `${M} addr add 10.88.0.1/24 dev "$E"`),
  trick(
    "takes the gateway's and every neighbour's IPv6 address",
    () => `for it in 1 2 3 4; do ${M} addr add fd00:88::$it/64 dev "$E" nodad; done`,
  ),
  trick("takes a free address of the pool as well", () => `${M} addr add 10.88.0.8/24 dev "$E"`),
  trick("takes an address out of the subnet", () => `${M} addr add 192.0.2.9/24 dev "$E"`),
  trick("drops its addresses", () => `${M} addr flush dev "$E"`),
  trick("takes its neighbour's MAC", ({ mac }) => `${M} link set dev "$E" address ${mac}`),
  trick("takes another MAC", () => `${M} link set dev "$E" address 02:00:00:00:00:66`),
];

const CALLS: readonly Trick[] = [
  trick(
    "gives its interface its neighbour's alias",
    ({ owner }) => `${M} link set dev "$E" alias podnet/${owner}`,
  ),
  trick(
    "calls its interface as its neighbour's host veth",
    ({ veth }) => `${M} link set dev "$E" name ${veth}`,
  ),
  ...NAMES.map((name) =>
    trick(`calls its interface ${name}`, () => `${M} link set dev "$E" name '${name}'`)
  ),
];

const LINKS: readonly Trick[] = [
  trick(
    "makes a veth pair with its neighbour's names",
    ({ veth, ip, owner }) =>
      `${M} link add name ${veth} type veth peer name net1
     ${M} link set dev ${veth} alias podnet/${owner}; ${M} addr add ${ip}/24 dev net1`,
  ),
  trick(
    "makes a veth pair called eth0",
    ({ ip, mac }) =>
      `${M} link add name eth0 address ${mac} type veth peer name if7
     ${M} addr add ${ip}/24 dev eth0; ${M} link set dev eth0 up; ${M} link set dev if7 up`,
  ),
  trick(
    "makes a bridge called atomic0 and plugs itself in",
    ({ ip }) =>
      `${M} link add name atomic0 type bridge; ${M} link set dev "$E" master atomic0
     ${M} addr add ${ip}/24 dev atomic0; ${M} link set dev atomic0 up`,
  ),
  trick(
    "moves its interface into a namespace of its own",
    ({ ip }) =>
      `${NEST}
     ${M} link set dev "$E" netns ${NESTED}
     nsenter --net=${NESTED} ip addr add ${ip}/24 dev "$E"; nsenter --net=${NESTED} ip link set dev "$E" up`,
  ),
  trick(
    "moves its interface away and back",
    () =>
      `${NEST}
     ${M} link set dev "$E" netns ${NESTED}
     nsenter --net=${NESTED} ip link set dev "$E" netns /run/netns/${MALLORY}`,
  ),
  trick("deletes its interface", () => `${M} link del dev "$E"`),
  trick("sets its interface down", () => `${M} link set dev "$E" down`),
  trick("drops its routes", () => `${M} route flush dev "$E"`),
  trick("routes its neighbour to itself", ({ ip }) => `${M} route add ${ip}/32 dev "$E"`),
];

export const TRICKS: readonly Trick[] = [...ADDRESSES, ...CALLS, ...LINKS];

/** The script of a trick, on a host: it may fail, because an earlier trick may prevent it. */
export function script({ script: of }: Trick, victim: Neighbour): string {
  return `E=$(${M} -o link show type veth | sed -n '1{s/^[0-9]*: //;s/[@:].*//;p}')
    { ${of(victim)}\n } 2>/dev/null || :`;
}

export function someTrick(random: Random): string {
  return random.one(random.one([ADDRESSES, CALLS, LINKS])).name;
}
