import type { Host } from "../integration/host.ts";
import type { Attachment, Network } from "./scene.ts";

/** GUARD=hand: what the plugin is to do is done here by `ip` and `nft`, to develop the matrix without it. */
export const BY_HAND = Deno.env.get("GUARD") === "hand";

/** The link group of a network's host veths, by which a rule of family bridge knows them. */
const GROUP = 2036477441;

/** The second family, where the plugin gave none. */
export async function addSecondFamily(host: Host, network: Network, it: Attachment): Promise<void> {
  const { gateway6, bridge } = network;
  await host.sh(`
ip -6 addr show dev ${bridge} | grep -q ${gateway6}/ || ip addr add ${gateway6}/64 dev ${bridge} nodad
ip -n ${it.id} -batch - <<END
addr add ${it.ip6}/64 dev eth0 nodad
route add ::/0 via ${gateway6} dev eth0 metric 512
END`);
}

/** The `ip` commands of the guard, in their order; the port was locked before the container had anything to send. */
export async function guardByHand(host: Host, network: Network, it: Attachment): Promise<void> {
  const { bridge, gateway, gateway6 } = network;
  const [{ address: mac }] = await host.ip("", "link", "show", "dev", bridge);
  await host.sh(`
ip link set dev ${it.hostVeth} type bridge_slave learning off locked on
ip -B neigh replace any lladdr ${it.mac} nud noarp dev ${it.hostVeth}
ip -batch - <<END
neigh replace ${it.ip4} lladdr ${it.mac} dev ${bridge} nud permanent
neigh replace ${it.ip6} lladdr ${it.mac} dev ${bridge} nud permanent
END
ip -n ${it.id} -batch - <<END
neigh replace ${gateway} lladdr ${mac} dev eth0 nud permanent
neigh replace ${gateway6} lladdr ${mac} dev eth0 nud permanent
END`);
}

/** The link group of the network on a host veth. */
export async function markByHand(host: Host, { hostVeth }: Attachment): Promise<void> {
  await host.sh(`ip link set dev ${hostVeth} group ${GROUP}`);
}

export async function unguardByHand(
  host: Host,
  { bridge }: Network,
  it: Attachment,
): Promise<void> {
  for (const ip of [it.ip4, it.ip6]) {
    await host.sh(`ip neigh flush to ${ip} dev ${bridge} nud permanent`);
  }
}

/** What `atomicni host-rules` is to print for family bridge. */
export function rulesByHand(
  { name, bridge, subnet, gateway, subnet6, gateway6 }: Network,
): string {
  return `
table bridge atomicni_${name}
delete table bridge atomicni_${name}
# What the containers of the network "${name}" may not send, wherever on ${bridge} it goes. Their ports are known by
# their link group, which the plugin sets; what else is in the bridge, an uplink for one, is left alone.
table bridge atomicni_${name} {
  chain prerouting {
    type filter hook prerouting priority filter; policy accept;
    iifgroup ${GROUP} jump container
  }
  chain container {
    # A receiver takes tags of VLAN 0 off by itself, and what is behind several is not looked at here.
    ether type { 8021q, 8021ad } counter drop
    icmpv6 type nd-router-advert counter drop
    # Answers of DHCP servers, whatever port they come from.
    meta protocol ip udp dport 68 counter drop
    meta protocol ip6 udp dport 546 counter drop
    # The gateway speaks from the bridge, never from a container.
    arp saddr ip ${gateway} counter drop
    ip saddr ${gateway} counter drop
    ip6 saddr ${gateway6} counter drop
    icmpv6 type nd-neighbor-advert icmpv6 taddr ${gateway6} counter drop
    # 0.0.0.0 and :: are the sources of one who has no address yet.
    arp saddr ip != { ${subnet}, 0.0.0.0 } counter drop
    ip saddr != { ${subnet}, 0.0.0.0 } counter drop
    ip6 saddr != { ${subnet6}, fe80::/10, :: } counter drop
  }
}
`;
}
