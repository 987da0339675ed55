import type { InterfaceName } from "../base/names.ts";
import { waitForAll } from "../base/wait_for_all.ts";
import { hostLinks, isNamed, SHOWN } from "./host.ts";
import { failOnFifo, linksInside, shownInside } from "./inside.ts";
import { parseIpJson, runBatch, type RunIp } from "./ip.ts";
import {
  type Link,
  type Neighbour,
  parseLink,
  parseNeighbour,
  parseRoutes,
  type RouteFound,
} from "./links.ts";

/** An attachment to inspect. */
export interface AttachmentSpec {
  readonly bridge: InterfaceName;
  readonly host: InterfaceName;
  readonly netns: string;
  readonly ifname: InterfaceName;
  /** Whether to read its guard too. */
  readonly guarded: boolean;
}

/** What CHECK compares; a link that does not exist is `undefined`. */
export interface Seen {
  readonly bridge: Link | undefined;
  readonly host: Link | undefined;
  readonly inside: Link | undefined;
  readonly routes: readonly RouteFound[];
  /** The static entries of the host veth; this list and the next two are empty if the guard was not requested. */
  readonly staticEntries: readonly Neighbour[];
  readonly bridgeNeighbours: readonly Neighbour[];
  readonly insideNeighbours: readonly Neighbour[];
}

/** Reads all of an attachment from the kernel. Throws InvalidNetNS if the namespace can't be entered. */
export async function inspect(run: RunIp, spec: AttachmentSpec): Promise<Seen> {
  const { bridge, host, netns, ifname, guarded } = spec;
  const permanent = (dev: string) =>
    guarded ? [["neigh", "show", "dev", dev, "nud", "permanent"]] : [];
  const [outside, within, entries] = await waitForAll(
    runBatch(run, SHOWN, [
      ["addr", "show", "dev", bridge],
      ["link", "show", "dev", host],
      ...permanent(bridge),
    ]),
    failOnFifo(
      run,
      netns,
      runBatch(run, shownInside(netns), [
        ["addr", "show", "dev", ifname],
        // With `dev`, iproute2 6.1 hides IPv6 routes that have several next hops.
        ["route", "show", "table", "all"],
        ...permanent(ifname),
      ]),
    ),
    guarded
      ? run(["-B", "-j", "neigh", "show", "dev", host, "nud", "noarp"])
      : Promise.resolve(undefined),
  );
  const [bridges = [], hosts = [], bridgeNeighbours = []] = outside.success
    ? parseIpJson(outside)
    : [];
  // A failed batch about a missing link shows no other link, so the host's links are listed instead.
  const found = outside.success ? [...bridges, ...hosts].map(parseLink) : await hostLinks(run);
  const [links = [], routes = [], insideNeighbours = []] = within.success
    ? parseIpJson(within)
    : [];
  const inside = within.success ? links.map(parseLink) : await linksInside(run, netns);
  return {
    bridge: found.find(isNamed(bridge)),
    host: found.find(isNamed(host)),
    inside: inside.find(isNamed(ifname)),
    routes: routes.flatMap(parseRoutes).filter(({ dev }) => dev === ifname),
    staticEntries: entries?.success === true
      ? (parseIpJson(entries)[0] ?? []).map(parseNeighbour)
      : [],
    bridgeNeighbours: bridgeNeighbours.map(parseNeighbour),
    insideNeighbours: insideNeighbours.map(parseNeighbour),
  };
}
