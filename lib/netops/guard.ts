import { familyOf, type Ip, tryIp } from "../base/address.ts";
import { CniError, isError } from "../base/errors.ts";
import type { Mac } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import { together } from "../base/together.ts";
import type { Rollback } from "../rollback.ts";
import { forgetNeighbours } from "./host.ts";
import { enter } from "./inside.ts";
import { dump, must, runBatch, type RunIp } from "./ip.ts";
import { parseNeighbour } from "./links.ts";

/** Who may speak from a port of the bridge (SECURITY.md). */
export interface GuardSpec {
  readonly bridge: InterfaceName;
  readonly host: InterfaceName;
  readonly mac: Mac;
  readonly ips: readonly Ip[];
}

/**
 * Lets the container speak from its locked port: a static entry of the forwarding table for its MAC, and permanent
 * neighbours on the bridge for its addresses, so that nobody else is taken for it.
 */
export async function guard(run: RunIp, spec: GuardSpec, undo: Rollback): Promise<void> {
  const { bridge, host, mac, ips } = spec;
  let isTaken = false;
  // The entry and the flags go with the veth; neighbours go with the bridge alone.
  undo.push(
    `remove the neighbours of "${host}" from "${bridge}"`,
    // The address that follows from the MAC is of whoever has that.
    () => forgetNeighbours(run, bridge, isTaken ? ips : guardedIps(ips, mac)),
  );
  const entering = enterMac(run, spec).catch((error) => {
    isTaken = isError(error, "AddressUnavailable");
    throw error;
  });
  await together(entering, pinOutside(run, spec));
}

/** A MAC has one entry on a bridge: one that was made for the bridge itself or for another port is never moved. */
async function enterMac(run: RunIp, spec: GuardSpec): Promise<void> {
  const { bridge, host, mac } = spec;
  const added = await runBatch(run, ["-B"], [entryCommand("add", spec)]);
  if (added.success) return;
  const action = actionOf(spec);
  const entries = await dump(run, action, ["-B", "-j", "neigh", "show", "nud", "all"]);
  const taken = entries.map(parseNeighbour).find((it) =>
    it.mac === mac && it.dev !== host && it.isFixed
  );
  // What the bridge has learned is moved: somebody may have lied.
  if (taken === undefined) {
    await must(action, runBatch(run, ["-B"], [entryCommand("replace", spec)]));
    return;
  }
  const whose = taken.dev === bridge ? `the bridge "${bridge}" itself` : `"${taken.dev}"`;
  throw new CniError(
    "AddressUnavailable",
    `Cannot let "${host}" speak from "${mac}": it is the MAC of ${whose}`,
    { details: "ask for another MAC or address, or for none" },
  );
}

function actionOf({ host }: GuardSpec): string {
  return `guard the port "${host}"`;
}

async function pinOutside(run: RunIp, spec: GuardSpec): Promise<void> {
  const neighbours = neighbourCommands(spec);
  if (neighbours.length > 0) await must(actionOf(spec), runBatch(run, [], neighbours));
}

/** Lets frames of the MAC pass the locked port; `replace` moves an entry that another port has. */
export function entryCommand(verb: "add" | "replace", { host, mac }: GuardSpec): string[] {
  return ["neigh", verb, "any", "lladdr", mac, "nud", "noarp", "dev", host];
}

/** Permanent neighbours on the bridge, so that no other container is taken for this one. */
export function neighbourCommands({ bridge, mac, ips }: GuardSpec): string[][] {
  return guardedIps(ips, mac).map((ip) => pinCommand({ ip, mac }, bridge));
}

/** A neighbour that nobody may speak for. */
export interface Pinned {
  readonly ip: Ip;
  readonly mac: string;
}

export function pinCommand({ ip, mac }: Pinned, dev: string): string[] {
  return ["neigh", "replace", ip, "lladdr", mac, "dev", dev, "nud", "permanent"];
}

/** Puts permanent neighbours of a container back; says whether one was gone or wrong. */
export async function pinInside(
  run: RunIp,
  netns: string,
  ifname: InterfaceName,
  wanted: readonly Pinned[],
): Promise<boolean> {
  const list = [...enter(netns), "-j", "neigh", "show", "dev", ifname, "nud", "permanent"];
  const found = (await dump(run, `list the neighbours in "${netns}"`, list)).map(parseNeighbour);
  const wrong = wanted.filter(({ ip, mac }) => !found.some((it) => it.ip === ip && it.mac === mac));
  if (wrong.length === 0) return false;
  const pin = runBatch(run, enter(netns), wrong.map((it) => pinCommand(it, ifname)));
  await must(`guard "${ifname}" in "${netns}"`, pin);
  return true;
}

/** The addresses of an attachment that nobody else may speak for: its own, and with IPv6 the one that follows from its MAC. */
export function guardedIps(ips: readonly Ip[], mac: string): readonly Ip[] {
  return ips.some((ip) => familyOf(ip) === 6) ? [...ips, linkLocalOf(mac)] : ips;
}

/** RFC 4291 appendix A: the link-local address of an interface with that MAC. */
function linkLocalOf(mac: string): Ip {
  const [first = 0, ...bytes] = mac.split(":").map((byte) => parseInt(byte, 16));
  const id = [first ^ 2, ...bytes.slice(0, 2), 0xff, 0xfe, ...bytes.slice(2)];
  const digits = id.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return tryIp(`fe80::${digits.replace(/(.{4})(?=.)/g, "$1:")}`) as Ip;
}
