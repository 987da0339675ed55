import type { Host, Json } from "../integration/host.ts";
import { CONTAINERS } from "./layouts.ts";
import { DISK } from "./folder.ts";

/** The veth of a container, found by the kernel's own numbers. */
export interface Seat {
  /** IPv4 addresses with prefix length; empty without the host's end. */
  readonly ips: readonly string[];
  readonly inner: Json;
  readonly outer: Json;
}

/** Objects that a run may take from a container, or leave. */
export interface Scene {
  readonly links: readonly Json[];
  readonly seats: ReadonlyMap<string, Seat>;
  /** Names in the state folder. */
  readonly files: readonly string[];
}

const SEATS = CONTAINERS.map((id) =>
  `nsenter --net=/run/keep/${id} ip -d -j addr show type veth 2>/dev/null || echo '[]'; echo`
).join("\n");
const LOOK = `ip -d -j addr show; echo\n${SEATS}
  find ${DISK}/state -mindepth 1 -maxdepth 1 -not -name .deno -printf '%f\n'`;

export async function lookAround(host: Host): Promise<Scene> {
  const lines = (await host.sh(LOOK)).split("\n").filter((it) => it.trim() !== "");
  const parsed = lines.slice(0, CONTAINERS.length + 1).map((it) =>
    (JSON.parse(it) as Json[]).filter(({ ifname }) => ifname !== undefined)
  );
  const [links = [], ...insides] = parsed;
  const seats = new Map(CONTAINERS.map((id, at) => [id, seatOf(insides[at]?.[0], links)]));
  return { links, seats, files: lines.slice(CONTAINERS.length + 1) };
}

function seatOf(inner: Json, links: readonly Json[]): Seat {
  const outer = links.find(({ ifindex, link_index }) =>
    inner !== undefined && ifindex === inner.link_index && link_index === inner.ifindex
  );
  const found: Json[] = outer === undefined ? [] : inner.addr_info;
  const ips = found.filter(({ family }) => family === "inet");
  return { inner, outer, ips: ips.map(({ local, prefixlen }) => `${local}/${prefixlen}`) };
}

export function seatIn(scene: Scene, id: string): Seat {
  return scene.seats.get(id) ?? { ips: [], inner: undefined, outer: undefined };
}
