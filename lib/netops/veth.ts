import { CniError, isError, quote } from "../base/errors.ts";
import type { Mac } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import type { Rollback } from "../rollback.ts";
import { checkMtu, checkName, checkPorts, isTooSmallForIpv6 } from "./bridge.ts";
import type { BridgeUse } from "./ensure_bridge.ts";
import { checkLockable } from "./guard.ts";
import { hostLinks, isNamed, removeIf, shownBatch } from "./host.ts";
import { invalidNetns, linksInside } from "./inside.ts";
import { type Batch, ipFailed, type IpOutput, parseIpJson, type RunIp } from "./ip.ts";
import { type Link, parseLink } from "./links.ts";
import { portFlags } from "./ports.ts";

/** A veth from a bridge into a container. */
export interface VethSpec extends BridgeUse {
  /** The MAC of the host end, unique to this run. It proves that this run created the veth. */
  readonly hostMac: Mac;
  readonly alias: string;
  readonly netns: string;
  readonly ifname: InterfaceName;
  readonly hairpin: boolean;
  readonly isolated: boolean;
  /** The port is locked before it is up, and passes no frame until `guard` adds its static entry. */
  readonly guarded: boolean;
}

/** The outcome of one attempt to attach; both kinds have the bridge as it is after it. */
export type Attempt = Made | Refused;

export interface Made {
  readonly kind: "made";
  /** The bridge before it got the port. */
  readonly before: Link;
  readonly bridge: Link;
  readonly host: Link;
  /** Other host veths of the link group that have no bridge; empty if the kernel or `ip` can't select them. */
  readonly lost: readonly Link[];
}

/** Nothing was created, because the bridge is missing or unsuitable. */
interface Refused {
  readonly kind: "refused";
  /** `undefined` if it does not exist. */
  readonly bridge: Link | undefined;
  readonly why: CniError;
}

/** Creates the veth, and inspects the host only if that fails. Throws InvalidNetNS, InterfaceExists, BridgeUnusable. */
export async function attach(
  run: RunIp,
  spec: VethSpec,
  undo: Rollback,
  batch: Batch = shownBatch(run),
): Promise<Attempt> {
  if (isTooSmallForIpv6(spec.bridge)) checkMtu(spec.bridge, await hostLinks(run));
  const outcome = await tryAttach(run, spec, undo, batch);
  if ("kind" in outcome) {
    if (outcome.host.netnsId === undefined) throw ownNamespace(spec.netns);
    if (spec.guarded) checkLockable(outcome.host);
    return outcome;
  }
  const bridge = await findCause(run, spec, outcome);
  const why = ipFailed(`attach "${spec.host}" to "${spec.bridge.name}"`, outcome);
  return { kind: "refused", bridge, why };
}

/** Selects the host veth that this run created, whatever its name is now: its MAC is unique to the run. A bridge may take it. */
function isOwn({ hostMac }: VethSpec): (link: Link) => boolean {
  return ({ kind, mac }) => kind === "veth" && mac === hostMac;
}

/** Creates the veth and reads it back, in one batch. Returns the failed output if nothing was created. */
async function tryAttach(
  run: RunIp,
  spec: VethSpec,
  undo: Rollback,
  batch: Batch,
): Promise<Made | IpOutput> {
  const { host, hostMac } = spec;
  const willRemove = () =>
    undo.push(`remove the host veth "${host}"`, () => removeIf(run, isOwn(spec)));
  const output = await batch(attachCommands(spec)).catch((error) => {
    // After a timeout the veth may exist. An `ip` that did not start has created nothing.
    if (isError(error, "TryAgainLater")) willRemove();
    throw error;
  });
  willRemove();
  const answers = output.stdout.trim().split("\n").length;
  // The batch stops at its first failure. With fewer than two answers, creating the veth failed.
  if (!output.success && output.signal === null && answers < 2) return output;
  const failed = () => ipFailed(`set up the host veth "${host}"`, output);
  if (output.signal !== null) throw failed();
  const [[before] = [], [made] = [], [bridge] = [], others = []] = parseIpJson(output)
    .map((links) => links.map(parseLink));
  // An old `ip` may fail at the last command only, whose answer is optional.
  if (!output.success && answers < 3) {
    // An `ip` or kernel that can't lock shows no lock of the port.
    if (spec.guarded && made?.ifname === host) checkLockable(made);
    throw failed();
  }
  if (bridge !== undefined) checkName(spec.bridge.name, [bridge]);
  if (made?.mac !== hostMac || before === undefined || bridge?.ifname !== spec.bridge.name) {
    throw ipFailed(`read back "${host}"`, output);
  }
  const lost = others.filter((it) => it.group === spec.group && it.ifname !== host);
  return { kind: "made", before, bridge, host: made, lost };
}

function attachCommands(spec: VethSpec): string[][] {
  const { host, hostMac, bridge, ifname, netns, alias, group } = spec;
  const mtu = bridge.mtu === undefined ? [] : ["mtu", String(bridge.mtu)];
  // `addr show`, because after a `link show` the same process leaves out addresses.
  const show = (dev: string) => ["addr", "show", "dev", dev];
  const make = ["link", "add", "name", host, "group", String(group), "address", hostMac, ...mtu];
  const peer = ["peer", "name", ifname, ...mtu, "netns", netns];
  return [
    show(bridge.name),
    [...make, "master", bridge.name, "type", "veth", ...peer],
    show(host),
    ...portFlags(spec),
    // Up last: a host veth that is down accepts no frame, even if the container sets its end up.
    ["link", "set", "dev", host, "alias", alias, "up"],
    show(bridge.name),
    // The kernel leaves out veths that have a master, so a thousand other ports cost no time.
    ["link", "show", "nomaster", "type", "veth"],
  ];
}

/** Finds out why nothing was created. Returns the bridge, which may be the cause; throws every other cause. */
async function findCause(run: RunIp, spec: VethSpec, output: IpOutput): Promise<Link | undefined> {
  const { netns, ifname, host } = spec;
  const links = await hostLinks(run);
  const existing = links.find(isNamed(host));
  if (existing?.mac === spec.hostMac) throw ipFailed(`read back "${host}"`, output);
  const inside = await linksInside(run, netns);
  if (existing === undefined && isSameNamespace(links, inside)) throw ownNamespace(netns);
  // An existing host veth is never replaced, because it may belong to a live container.
  if (existing !== undefined) throw hostVethExists(existing, spec);
  if (inside.some((it) => [it.ifname, ...it.altnames].includes(ifname))) {
    const message = `Cannot make "${ifname}" in "${netns}": an interface of that name exists there`;
    const details = "an attachment is added once: DEL it first, or choose another CNI_IFNAME";
    throw new CniError("InterfaceExists", message, details);
  }
  checkName(spec.bridge.name, links);
  checkPorts(spec.bridge.name, links);
  return links.find(isNamed(spec.bridge.name));
}

/** Whether both lists have the same interfaces, one of them with a MAC. If not sure, the host veth shows it when it is made. */
function isSameNamespace(outside: readonly Link[], inside: readonly Link[]): boolean {
  const key = ({ ifindex, mac }: Link) => `${ifindex} ${mac}`;
  const hasMac = outside.some(({ mac }) => /[1-9a-f]/.test(mac));
  return hasMac && outside.map(key).sort().join() === inside.map(key).sort().join();
}

function ownNamespace(netns: string): CniError {
  return invalidNetns(
    netns,
    "it is the plugin's own namespace",
    "plugin's netns and netns from CNI_NETNS should not be the same; pods of the host's network need no CNI",
  );
}

function hostVethExists(
  { ifname, alias, netnsId, peerIndex }: Link,
  { alias: own }: VethSpec,
): CniError {
  const owner = alias === "" ? "has no alias" : `belongs to ${quote(alias)}`;
  const where = netnsId === undefined
    ? "its other end is in the host's own namespace"
    : `its other end is interface ${peerIndex} of namespace ${netnsId} (ip netns list-id)`;
  const attachmentOf = (text: string) => text.slice(text.lastIndexOf(" ") + 1);
  const isSame = attachmentOf(alias) === attachmentOf(own);
  const remedy = alias === "" || isSame
    ? "an attachment is added once: DEL it first"
    : "two container IDs have the same host veth name: give this container another ID";
  return new CniError(
    "InterfaceExists",
    `Cannot make the host veth "${ifname}": it exists and ${owner}; ${where}`,
    remedy,
  );
}
