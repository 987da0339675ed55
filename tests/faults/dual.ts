import { CONFIG, type Host, type Json } from "../integration/host.ts";

/** A network of both families whose ports are guarded. */
export const DUAL = {
  ...CONFIG,
  subnet6: "fd00:88::/64",
  gateway6: "fd00:88::1",
  macspoofchk: true,
} as const;

/** Addresses of both families without prefix length, except link-local addresses. */
export async function allAddresses(host: Host, at: string, ifname: string): Promise<string[]> {
  const [link] = await host.ip(at, "addr", "show", "dev", ifname);
  return (link?.addr_info ?? []).map((it: Json) => it.local)
    .filter((it: string) => !it.startsWith("fe80:")).sort();
}

/** Addresses of the permanent neighbours of an interface. */
export async function permanent(host: Host, at: string, ifname: string): Promise<string[]> {
  const found = await host.ip(at, "neigh", "show", "dev", ifname, "nud", "permanent");
  return found.map(({ dst }) => dst).filter((it: string) => !/^(ff|fe80:|22\d\.)/.test(it)).sort();
}

/** The addresses of a lease, one or several. */
export function addressesOf(lease: Json): string[] {
  return lease === undefined ? [] : [lease].flat().sort();
}

/** The guard of the port of attachment `id`; `undefined` if it has no host veth. */
export async function portGuard(host: Host, id: string): Promise<Json> {
  const veths = await host.ip("", "link", "show", "type", "veth");
  const link = veths.find(({ ifalias }) => ifalias?.endsWith(`/${id}/eth0`));
  if (link === undefined) return undefined;
  const args = ["-B", "-j", "neigh", "show", "dev", link.ifname, "nud", "noarp"];
  const entries = await host.run(["ip", ...args]);
  const port = link.linkinfo?.info_slave_data ?? {};
  const [inside] = await host.ip(id, "link", "show", "dev", "eth0");
  return {
    locked: port.locked,
    learning: port.learning,
    hasEntry: entries.stdout.includes(`"${inside?.address}"`),
  };
}

/** Asserts that the port is guarded, and that it forwards the frames of its container. */
export const GUARDED = { locked: true, learning: false, hasEntry: true };
