import type { Json } from "../integration/host.ts";
import { type Attachment, keyOf } from "./configurations.ts";

/**
 * The kinds of which an accepted attachment is an example, by its configuration and its result. `KINDS` lists all kinds,
 * so that a kind without any accepted ADD shows.
 */
export function kindsOf(
  { config, ifname, args, bridge, hasNeighbour }: Attachment,
  result: Json,
): Kind[] {
  const ips: string[] = (result.ips ?? []).map(({ address }: Json) => address);
  const isIpv6 = ips.map((it) => it.includes(":"));
  const ipam = keyOf(config, "ipam") ?? {};
  const sets: Json[][] = ipam.ranges ?? [];
  const wanted = { ...config.args?.cni, ...config.runtimeConfig };
  const all: Record<Kind, boolean> = {
    "IPv4 alone": ips.length > 0 && !isIpv6.includes(true),
    "IPv6 alone": ips.length > 0 && !isIpv6.includes(false),
    "both families": isIpv6.includes(true) && isIpv6.includes(false),
    "several ranges in a set": sets.some((set) => set.length > 1),
    "layer 2": ips.length === 0,
    "macspoofchk": keyOf(config, "macspoofchk") === true,
    "macspoofchk with IPv6": keyOf(config, "macspoofchk") === true && isIpv6.includes(true),
    "host-local": ipam.type === "host-local",
    "routes": (ipam.routes ?? []).length > 0,
    "a requested address": wanted.ips !== undefined || (args?.includes("IP=") ?? false),
    "a requested MAC": wanted.mac !== undefined || (args?.includes("MAC=") ?? false),
    "another MTU": keyOf(config, "mtu") !== undefined,
    "another interface name": ifname !== "eth0",
    "an existing bridge": bridge !== "",
    "another container in the network": hasNeighbour,
  };
  return KINDS.filter((it) => all[it]);
}

export const KINDS = [
  "IPv4 alone",
  "IPv6 alone",
  "both families",
  "several ranges in a set",
  "layer 2",
  "macspoofchk",
  "macspoofchk with IPv6",
  "host-local",
  "routes",
  "a requested address",
  "a requested MAC",
  "another MTU",
  "another interface name",
  "an existing bridge",
  "another container in the network",
] as const;
export type Kind = (typeof KINDS)[number];
