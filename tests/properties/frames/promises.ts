import type { Layer } from "./lab.ts";
import type { Network } from "./network.ts";
import { familyOfKind, isArp, type Spec } from "./spec.ts";

/** The places that no frame of a spec may reach, and the promise that says so. */
export interface Stopped {
  readonly place: string;
  readonly layer: Layer;
  readonly why: string;
}

const FOREIGN = "a packet from a foreign address";
const NEIGHBOURS = ["ann", "bob"];
const SERVERS = ["DHCPv4", "DHCPv6"];
const ADVERTISEMENT = "a router advertisement";
/** The kinds of frames that only routers send, and their names. */
const ROUTERS = new Map<string, string>([
  ["RA", ADVERTISEMENT],
  ["redirect6", "a redirect"],
  ["MLD query", "an MLD query"],
  ["IGMP query", "an IGMP query"],
]);

/** SECURITY.md, "The guard": the lines that say "stopped" for a network like this. */
export function stopped(spec: Spec, network: Network): Stopped[] {
  const { guard, rules, isolated } = network;
  if (guard && spec.from !== "own") {
    return everywhere("link", "a frame from another MAC than the container has");
  }
  const broken = rules ? brokenRule(spec, network) : undefined;
  if (broken !== undefined && network.ungrouped) return isHeldByAddress(broken) ? host(broken) : [];
  if (broken !== undefined) return everywhere("ip", broken);
  if (!isolated || !rules) return [];
  return NEIGHBOURS.map((place) => ({
    place,
    layer: "link",
    why: "a frame between isolated ports",
  }));
}

/** Rules of the host act between its interface and its sockets; for a container, before the frame arrives. */
function everywhere(host: Layer, why: string): Stopped[] {
  return [
    { place: "", layer: host, why },
    { place: "outside", layer: "link", why },
    ...NEIGHBOURS.map((place) => ({ place, layer: "link" as const, why })),
  ];
}

/**
 * Of a port outside the network's link group, the rules stop only sources and advertisements, to the host or
 * through it.
 */
function isHeldByAddress(why: string): boolean {
  return why === FOREIGN || why === ADVERTISEMENT;
}

const host = (why: string): Stopped[] => [
  { place: "", layer: "ip", why },
  { place: "outside", layer: "link", why },
];

/** The host's rules that a frame breaks. */
function brokenRule(spec: Spec, { families }: Network): string | undefined {
  const { kind, claim } = spec;
  const family = familyOfKind(kind);
  if (spec.tags !== "none") return "a frame with a VLAN tag";
  if (typeof spec.to === "number") return "a frame to a reserved group address";
  const routers = ROUTERS.get(kind);
  if (routers !== undefined) return routers;
  if (SERVERS.includes(kind)) return "an answer of a DHCP server";
  if (family === undefined) return undefined;
  if (!families.includes(family) && !isForLink(spec, family)) {
    return `a packet of IPv${family}, which the network lacks`;
  }
  if (!families.includes(family)) return undefined;
  const source = sourceOf(spec);
  if (source === "gateway" || (family === 6 && source === "gateway link-local")) {
    return "a packet from the gateway's address";
  }
  if (source === "foreign") return FOREIGN;
  if (family === 4 && source.endsWith("link-local")) return FOREIGN;
  if (kind === "NA from own" && claim.startsWith("gateway")) {
    return "an NA for the gateway's address";
  }
  if ((kind === "UDPv6" || kind === "TCPv6") && source === "zero") {
    return `a ${kind.slice(0, 3)} packet from ::`;
  }
  return undefined;
}

function sourceOf({ kind, claim }: Spec): Spec["claim"] {
  return kind === "NA from own" ? "own link-local" : claim;
}

/** Link-local IPv6 stays on the link, and every host needs it, whatever families its network has. */
function isForLink(spec: Spec, family: 4 | 6): boolean {
  if (family === 4) return false;
  const source = sourceOf(spec);
  return source === "zero" || source.endsWith("link-local");
}

/** Whether the host may learn an address that the frame claims: the rules stop foreign ones. */
export function mayBeLearnt({ kind, claim }: Spec): boolean {
  return !isArp(kind) || claim !== "foreign";
}
