/** The lines of the table in SECURITY.md, "The guard", and the outcomes of a run that prove each. */
export interface Line {
  readonly tries: string;
  /** Names of the recorded attacks that prove the line, without the family. */
  readonly attacks: RegExp;
  readonly why: string;
}

export const LINES: readonly Line[] = [
  {
    tries: "get a neighbour's frames by sending from its MAC",
    attacks: /^take bob's MAC/,
    why: "the port accepts only frames from its own MAC, and the bridge learns nothing from it",
  },
  {
    tries: "get the host's frames by sending from the bridge's MAC",
    attacks: /^take the bridge's MAC/,
    why: "a bridge never forwards frames for its own MAC to a port",
  },
  {
    tries: "send as a neighbour or as the host, MAC and address",
    attacks: /^pose as (bob|the host), MAC and address, to (host|ann|a machine outside)$/,
    why: "the port accepts only frames from its own MAC",
  },
  {
    tries: "the same to a reserved group address, `01:80:c2:00:00:00` to `:0f`",
    attacks: /^pose as bob, MAC and address, to reserved group addresses/,
    why: "the port treats such frames like any other; the rules drop them, also without the guard",
  },
  {
    tries: "fill the bridge's table with random MACs",
    attacks: /^flood of random source MACs/,
    why: "the bridge learns nothing from the port",
  },
  {
    tries:
      "tell the host that a neighbour's address is its own (ARP, NA), also during a new allocation",
    attacks: /'I am bob' to the host|'I am bob's link-local address'|on re-use of bob's address/,
    why: "the host's neighbour entries for containers are permanent, also for link-local addresses",
  },
  {
    tries: "tell a neighbour that the gateway's address is its own (ARP, NA)",
    attacks: /'I am the gateway' to bob|'I am the bridge's link-local address' to bob/,
    why:
      "the neighbour's entries for its gateway and the bridge's link-local address are permanent if the neighbour is guarded",
  },
  {
    tries: "the same for a gateway outside of the host (`host-local` without `isGateway`)",
    attacks: /'I am the gateway behind a port'/,
    why: "the host does not know the MAC of that gateway; `portIsolation` stops it",
  },
  {
    tries: "tell a neighbour that another neighbour's address is its own (ARP, NA)",
    attacks: /'I am bob' to ann/,
    why: "each container manages its own neighbour entries; `portIsolation` stops it",
  },
  {
    tries: 'redirect packets of a neighbour by an ICMP message "from the gateway"',
    attacks: /^ICMP redirect/,
    why: "rules: no port may send from the gateway's address, or send an IPv6 redirect",
  },
  {
    tries: "send from an IP address outside of the network",
    attacks: /foreign (source|address)/,
    why: "rules, on the bridge and for packets through the host",
  },
  {
    tries: "send UDP or TCP from `::`, the source of a host without an address",
    attacks: /^UDP from ::/,
    why: "rules",
  },
  {
    tries: "send in the address family that the network lacks",
    attacks: /^in a network that lacks this family/,
    why: "rules; link-local IPv6 stays allowed",
  },
  {
    tries: "send from the IP address of another container of the network",
    attacks: /^forged source of bob/,
    why: "the rules don't depend on containers: they know subnets, not the owner of an address",
  },
  {
    tries: "advertise itself as a router (CVE-2020-10749), also behind VLAN tags or options",
    attacks: /^router advertisement/,
    why: "rules for the host and for neighbours; the sysctl file for the host",
  },
  {
    tries: "stop IPv6 of all containers by a multicast query",
    attacks: /^multicast query, on a bridge that AtomicNI made/,
    why: "a bridge that AtomicNI created does no multicast snooping",
  },
  {
    tries: "the same on a bridge that does multicast snooping",
    attacks: /^multicast query, on a bridge with multicast snooping/,
    why: "rules; `atomicni doctor` names such a bridge",
  },
  {
    tries: "answer DHCP requests",
    attacks: /^DHCP(v6)? answers/,
    why: "rules",
  },
  {
    tries: "reach an isolated neighbour (`portIsolation`) through the gateway",
    attacks: /^reach an isolated neighbour through the gateway/,
    why: "a forwarding host routes the packet back; the rules drop it",
  },
];
