import { familyOf, formatInterfaceAddress, type InterfaceAddress } from "../base/address.ts";
import type { InterfaceName } from "../base/names.ts";
import { hostLinks, named } from "./host.ts";
import { must, runBatch, type RunIp } from "./ip.ts";
import type { Link } from "./links.ts";

/** What a run was to change on the bridge, and who it is. */
export interface Replaced {
  readonly bridge: InterfaceName;
  /** The run's own host veth, and the link group of those of its network. */
  readonly host: InterfaceName;
  readonly group: number;
  /** Addresses that the bridge had before and was to lose, and those that it was to get for them. */
  readonly before: readonly InterfaceAddress[];
  readonly after: readonly InterfaceAddress[];
}

/** Without a running port an IPv6 address of a bridge would stay tentative for ever. */
export function addAddress(address: InterfaceAddress, bridge: string): string[] {
  const more = familyOf(address.ip) === 4 ? ["brd", "+"] : ["nodad"];
  return ["addr", "add", formatInterfaceAddress(address), ...more, "dev", bridge];
}

export function deleteAddress(address: InterfaceAddress, bridge: string): string[] {
  return ["addr", "del", formatInterfaceAddress(address), "dev", bridge];
}

export function isSame(left: InterfaceAddress, right: InterfaceAddress): boolean {
  return left.ip === right.ip && left.prefix === right.prefix;
}

/**
 * Puts back the addresses that a bridge has lost to this run, and takes away the new ones, however far the run came. A new
 * one stays while another attachment of the network may use it as its gateway.
 */
export async function restoreAddresses(run: RunIp, replaced: Replaced): Promise<void> {
  const { before, after } = replaced;
  const links = await hostLinks(run);
  await change(run, replaced, links, before, isNeeded(replaced, links) ? [] : after);
  // An attachment may have come between the look and the change.
  const now = await hostLinks(run);
  if (isNeeded(replaced, now)) await change(run, replaced, now, after, []);
}

function isNeeded({ bridge, host, group }: Replaced, links: readonly Link[]): boolean {
  return links.some((it) => it.master === bridge && it.group === group && it.ifname !== host);
}

async function change(
  run: RunIp,
  { bridge }: Replaced,
  links: readonly Link[],
  wanted: readonly InterfaceAddress[],
  unwanted: readonly InterfaceAddress[],
): Promise<void> {
  const found = links.find(named(bridge))?.addresses;
  if (found === undefined) return;
  const has = (address: InterfaceAddress) => found.some((it) => isSame(it, address));
  const commands = [
    ...unwanted.filter(has).map((it) => deleteAddress(it, bridge)),
    ...wanted.filter((it) => !has(it)).map((it) => addAddress(it, bridge)),
  ];
  if (commands.length > 0) {
    await must("put back the bridge's addresses", runBatch(run, [], commands));
  }
}
