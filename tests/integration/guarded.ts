import { CONFIG, type Host, type Json } from "./host.ts";

/** A network of both families with the guard on. */
export const GUARDED = {
  ...CONFIG,
  subnet6: "fd00:88::/64",
  gateway6: "fd00:88::1",
  macspoofchk: true,
};
export const GATEWAYS = ["10.86.0.1", "fd00:88::1"];
export const BRIDGE_LINK_LOCAL = "fe80::858:aff:fe56:1";
/** The MAC and addresses of the first container of that network; the last address is derived from its MAC. */
export const FIRST = { mac: "0a:58:0a:56:00:02", ips: ["10.86.0.2", "fd00:88::2"] };
export const FIRST_LINK_LOCAL = "fe80::858:aff:fe56:2";

/** The guard of one attachment, as read from the kernel. */
export interface Guard {
  readonly locked: boolean;
  readonly learning: boolean;
  /** `0xfffd` if the bridge treats reserved group addresses like any other. */
  readonly groupFwdMask: string;
  /** MACs of the static entries of the forwarding table. */
  readonly entries: readonly string[];
  /** Permanent neighbours, address to MAC: all on the bridge, and those in the container. */
  readonly outside: Readonly<Record<string, string>>;
  readonly inside: Readonly<Record<string, string>>;
}

export async function readGuard(host: Host, id: string, hostVeth: string): Promise<Guard> {
  const [link] = await host.ip("", "link", "show", "dev", hostVeth);
  const { locked, learning, group_fwd_mask: groupFwdMask } = link.linkinfo.info_slave_data;
  const entries = await host.ip("", "-B", "neigh", "show", "dev", hostVeth, "nud", "noarp");
  return {
    locked,
    learning,
    groupFwdMask,
    entries: entries.map(({ lladdr }) => lladdr),
    outside: await permanent(host, "", "atomic0"),
    inside: await permanent(host, id, "eth0"),
  };
}

/** Permanent neighbours of one interface; empty if the interface does not exist. */
export async function permanent(
  host: Host,
  namespace: string,
  dev = "atomic0",
): Promise<Record<string, string>> {
  const found = await host.ip(namespace, "neigh", "show", "dev", dev, "nud", "permanent");
  return Object.fromEntries(found.map(({ dst, lladdr }: Json) => [dst, lladdr]));
}

/** Whether the container answers a ping from the host. */
export async function hostPings(host: Host, ip: string): Promise<boolean> {
  const ping = ["busybox", "ping", "-c", "1", "-W", "2", ip];
  return (await host.run(ping)).code === 0;
}

/** The expected guard of the only attachment on a bridge, with these addresses. */
export function wanted(
  mac: string,
  ips: readonly string[],
  gateways: Readonly<Record<string, string>>,
): Guard {
  const outside = Object.fromEntries(ips.map((ip) => [ip, mac]));
  return {
    locked: true,
    learning: false,
    groupFwdMask: "0xfffd",
    entries: [mac],
    outside,
    inside: gateways,
  };
}
