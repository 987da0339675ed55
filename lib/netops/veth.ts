import { attachmentIn, isAliasOf } from "../base/attachment.ts";
import { asCniError, CniError, quote } from "../base/errors.ts";
import type { Mac } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import type { Rollback } from "../rollback.ts";
import { checkMtu, checkPorts, isTooSmallForIpv6 } from "./bridge.ts";
import { cannotLock, mustBeGuardable, notGuardable } from "./guardable.ts";
import { type BridgeUse, isReady } from "./mend.ts";
import { hostLinks, named, removeByIndex, removeOwn, SHOWN } from "./host.ts";
import { linksInside, orFifo } from "./inside.ts";
import { ipFailed, type IpOutput, parseIpJson, runBatch, type RunIp } from "./ip.ts";
import { type Link, parseLink } from "./links.ts";
import { portFlags } from "./ports.ts";

/** A veth from a bridge into a container. */
export interface VethSpec extends BridgeUse {
  /** The host end's MAC, this run's alone: by it the run knows what it made. */
  readonly hostMac: Mac;
  readonly alias: string;
  readonly netns: string;
  readonly ifname: InterfaceName;
  readonly hairpin: boolean;
  readonly isolated: boolean;
  /** Locked before it is up: nothing is learned from it, and no frame passes before `guard` lets its own. */
  readonly guarded: boolean;
}

/** What was read back after attaching. */
export interface Attached {
  readonly bridge: Link;
  readonly host: Link;
}

/** What an attempt came to. */
export interface Attempt {
  /** `undefined` if nothing was made, because the bridge is not there or full of somebody's changes. */
  readonly made: Made | undefined;
  /** The bridge as it is now; `undefined` if there is none. */
  readonly bridge: Link | undefined;
  /** It is what the spec says. */
  readonly isReady: boolean;
  /** Why nothing was made. */
  readonly failure: CniError | undefined;
}

export interface Made {
  /** The bridge before it got the port, and after. */
  readonly before: Link;
  readonly after: Link;
  readonly host: Link;
  /** Other host veths of the link group that are in no bridge; none on a kernel or `ip` that can't select them. */
  readonly lost: readonly Link[];
}

/**
 * Makes the veth; acts first and looks only if that fails. Touches no bridge, and pushes how to undo what it made. Throws
 * InvalidNetNS, InterfaceExists, BridgeUnusable for a bridge that takes no further port.
 */
export async function attach(run: RunIp, spec: VethSpec, undo: Rollback): Promise<Attempt> {
  if (isTooSmallForIpv6(spec.bridge)) checkMtu(spec.bridge, await hostLinks(run));
  const outcome = await tryAttach(run, spec, undo);
  if ("host" in outcome) {
    if (outcome.host.netnsId === undefined) throw ownNamespace(spec.netns);
    if (spec.guarded) mustBeGuardable(outcome.host);
    const bridge = outcome.after;
    return { made: outcome, bridge, isReady: isReady(spec.bridge, bridge), failure: undefined };
  }
  const bridge = await whyNot(run, spec, outcome);
  const failure = ipFailed(`attach "${spec.host}" to "${spec.bridge.name}"`, outcome);
  return { made: undefined, bridge, isReady: false, failure };
}

/** One batch: make the veth and read back what came of it. The failed output where nothing was made. */
async function tryAttach(
  run: RunIp,
  spec: VethSpec,
  undo: Rollback,
): Promise<Made | IpOutput> {
  const { host, hostMac } = spec;
  const willRemove = () =>
    undo.push(`remove the host veth "${host}"`, () => removeOwn(run, host, hostMac));
  const attaching = runBatch(run, SHOWN, attachCommands(spec));
  const output = await orFifo(run, spec.netns, attaching).catch((error) => {
    // It may have been made before time was up; only an ip that did not start has made nothing.
    const { kind } = asCniError(error);
    if (kind === "TryAgainLater" || kind === "InvalidNetNS") willRemove();
    throw error;
  });
  willRemove();
  const answers = output.stdout.trim() === "" ? [] : output.stdout.trim().split("\n");
  // The batch stops at its first failure: without the look at the veth there may be none.
  if (!output.success && output.signal === null && answers.length < 2) return output;
  // The last look is one that an older ip does not know.
  const isOver = output.signal === null && answers.length >= 3;
  if (!output.success && !isOver) throw setUpFailed(spec, output);
  const [[before] = [], [made] = [], [after] = [], others = []] = parseIpJson(output);
  const wrong = made?.["address"] !== hostMac || before === undefined || after === undefined ||
    after["ifname"] !== spec.bridge.name;
  if (wrong) throw ipFailed(`read back "${host}"`, output);
  return {
    before: parseLink(before),
    host: parseLink(made),
    after: parseLink(after),
    lost: others.map(parseLink).filter((it) => it.group === spec.group && it.ifname !== host),
  };
}

function attachCommands(spec: VethSpec): string[][] {
  const { host, hostMac, bridge, ifname, netns, alias, group } = spec;
  const mtu = bridge.mtu === undefined ? [] : ["mtu", String(bridge.mtu)];
  const flags = portFlags(spec);
  // `link show` would make this process leave out the addresses of what it shows afterwards.
  const show = (dev: string) => ["addr", "show", "dev", dev];
  const make = ["link", "add", "name", host, "group", String(group), "address", hostMac, ...mtu];
  const peer = ["peer", "name", ifname, ...mtu, "netns", netns];
  return [
    show(bridge.name),
    [...make, "master", bridge.name, "type", "veth", ...peer],
    show(host),
    ...flags,
    // Up last: a host veth that is down takes no frame, whatever the container does with its end.
    ["link", "set", "dev", host, "alias", alias, "up"],
    show(bridge.name),
    // The kernel leaves out all that have a master: it takes no longer next to a thousand ports.
    ["link", "show", "nomaster", "type", "veth"],
  ];
}

/** An `ip` that is too old for a flag says so by its usage; what it showed of the port tells it from other failures. */
function setUpFailed({ host, guarded }: VethSpec, output: IpOutput): CniError {
  const shown = guarded ? parseIpJson(output)[1]?.map(parseLink).find(named(host)) : undefined;
  return shown !== undefined && cannotLock(shown)
    ? notGuardable(host)
    : ipFailed(`set up the host veth "${host}"`, output);
}

/** Why could nothing be made? Returns the bridge, which may be the cause; throws any other. */
async function whyNot(run: RunIp, spec: VethSpec, output: IpOutput): Promise<Link | undefined> {
  const { netns, ifname, host } = spec;
  const links = await hostLinks(run);
  const standing = links.find(named(host));
  if (standing?.mac === spec.hostMac) throw ipFailed(`read back "${host}"`, output);
  const inside = await linksInside(run, netns);
  const suspect = inside.every((link) =>
    links.some((it) => it.ifindex === link.ifindex && it.mac === link.mac)
  );
  if (standing === undefined && suspect && await isOwnNamespace(run, spec, links)) {
    throw ownNamespace(netns);
  }
  // A host veth that stands may be a live container's, in this namespace or another: it is never replaced.
  if (standing !== undefined) throw hostVethExists(standing, spec);
  if (inside.some(named(ifname))) throw interfaceExists(spec);
  checkPorts(spec.bridge.name, links);
  return links.find(named(spec.bridge.name));
}

/** Makes a veth into the namespace under the host veth's own name, so that a DEL sees it, and removes it again. */
async function isOwnNamespace(
  run: RunIp,
  { host, hostMac, netns }: VethSpec,
  links: readonly Link[],
): Promise<boolean> {
  const peer = ["type", "veth", "peer", "name", `ap${host.slice(2)}`, "netns", netns];
  const output = await runBatch(run, ["-j"], [
    ["link", "add", "name", host, "address", hostMac, ...peer],
    ["link", "show", "dev", host],
  ]);
  if (!output.success) {
    throw ipFailed(`make a veth into "${netns}"`, output).withDetails(
      "where the kernel has no veth: modprobe veth",
    );
  }
  const [made] = (parseIpJson(output)[0] ?? []).map(parseLink);
  if (made?.mac !== hostMac) throw ipFailed(`read back "${host}"`, output);
  await removeByIndex(run, made, links);
  return made.netnsId === undefined;
}

function ownNamespace(netns: string): CniError {
  return new CniError(
    "InvalidNetNS",
    `Cannot use CNI_NETNS ${quote(netns)} as a container's: it is the plugin's own namespace`,
    {
      details:
        "plugin's netns and netns from CNI_NETNS should not be the same; pods of the host's network need no CNI",
    },
  );
}

function interfaceExists({ ifname, netns }: VethSpec): CniError {
  return new CniError(
    "InterfaceExists",
    `Cannot make "${ifname}" in "${netns}": an interface of that name exists there`,
    { details: "an attachment is added once: DEL it first, or choose another CNI_IFNAME" },
  );
}

function hostVethExists(
  { ifname, alias, netnsId, peerIndex }: Link,
  { alias: own }: VethSpec,
): CniError {
  const whose = alias === "" ? "nobody, as far as its alias says" : quote(alias);
  const where = netnsId === undefined
    ? "its other end is in the host's own namespace"
    : `its other end is interface ${peerIndex} of namespace ${netnsId} (ip netns list-id)`;
  const asked = attachmentIn(own); // a cut one can't be read
  const isSame = alias === own || (asked !== undefined && isAliasOf(alias, asked));
  const remedy = alias === "" || isSame
    ? "an attachment is added once: DEL it first"
    : "two container IDs have the same host veth name: give this container another ID";
  return new CniError(
    "InterfaceExists",
    `Cannot make the host veth "${ifname}": it exists and belongs to ${whose}; ${where}`,
    { details: remedy },
  );
}
