import type { InterfaceName } from "../base/names.ts";
import { together } from "../base/together.ts";
import { hostLinks, named, SHOWN } from "./host.ts";
import { linksInside, orFifo, shownInside } from "./inside.ts";
import { parseIpJson, runBatch, type RunIp } from "./ip.ts";
import {
  type Link,
  type Neighbour,
  parseLink,
  parseNeighbour,
  parseRoutes,
  type RouteFound,
} from "./links.ts";

/** An attachment to be looked at. */
export interface AttachmentSpec {
  readonly bridge: InterfaceName;
  readonly host: InterfaceName;
  readonly netns: string;
  readonly ifname: InterfaceName;
  /** Its guard is looked at too. */
  readonly guarded: boolean;
}

/** What CHECK compares; a link that does not exist is `undefined`. */
export interface Seen {
  readonly bridge: Link | undefined;
  readonly host: Link | undefined;
  readonly inside: Link | undefined;
  readonly routes: readonly RouteFound[];
  /** The guard's; empty where it was not asked for. */
  readonly staticEntries: readonly Neighbour[];
  readonly bridgeNeighbours: readonly Neighbour[];
  readonly insideNeighbours: readonly Neighbour[];
}

/** Everything there is of an attachment. Throws InvalidNetNS where the namespace can't be entered. */
export async function inspect(run: RunIp, spec: AttachmentSpec): Promise<Seen> {
  const { bridge, host, netns, ifname, guarded } = spec;
  const permanent = (dev: string) =>
    guarded ? [["neigh", "show", "dev", dev, "nud", "permanent"]] : [];
  const [outside, within, entries] = await together(
    runBatch(run, SHOWN, [
      ["addr", "show", "dev", bridge],
      ["link", "show", "dev", host],
      ...permanent(bridge),
    ]),
    orFifo(
      run,
      netns,
      runBatch(run, shownInside(netns), [
        ["addr", "show", "dev", ifname],
        ["route", "show", "table", "all", "dev", ifname],
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
  // Without a failure of its own, a batch about a missing link says no more than that the link is missing.
  const found = outside.success ? [...bridges, ...hosts].map(parseLink) : await hostLinks(run);
  const [links = [], routes = [], insideNeighbours = []] = within.success
    ? parseIpJson(within)
    : [];
  const inside = within.success ? links.map(parseLink) : await linksInside(run, netns);
  return {
    bridge: found.find(named(bridge)),
    host: found.find(named(host)),
    inside: inside.find(named(ifname)),
    routes: routes.flatMap((route) => parseRoutes({ dev: ifname, ...route })),
    staticEntries: entries?.success === true
      ? (parseIpJson(entries)[0] ?? []).map(parseNeighbour)
      : [],
    bridgeNeighbours: bridgeNeighbours.map(parseNeighbour),
    insideNeighbours: insideNeighbours.map(parseNeighbour),
  };
}
