import { familyOf, formatInterfaceAddress, type InterfaceAddress } from "../base/address.ts";
import type { InterfaceName } from "../base/names.ts";
import { hostLinks, isNamed } from "./host.ts";
import { outputOf, runBatch, type RunIp } from "./ip.ts";
import type { Link } from "./links.ts";

/** The addresses that a run replaces on a bridge, and the identity of the run. */
export interface Replaced {
  readonly bridge: InterfaceName;
  /** The run's own host veth, and the link group of all host veths of its network. */
  readonly host: InterfaceName;
  readonly group: number;
  /** `before`: addresses that the run removes. `after`: addresses that it adds instead. */
  readonly before: readonly InterfaceAddress[];
  readonly after: readonly InterfaceAddress[];
}

/** Uses `nodad`, because without a running port an IPv6 address of a bridge would stay tentative forever. */
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
 * Restores the addresses that this run removed from the bridge, and removes those that it added, however far the run came.
 * A new address stays while another attachment of the network may use it as its gateway.
 */
export async function restoreAddresses(run: RunIp, replaced: Replaced): Promise<void> {
  const { before, after } = replaced;
  const links = await hostLinks(run);
  await change(run, replaced, links, before, isNeeded(replaced, links) ? [] : after);
  // Another ADD may have attached a container between the listing and the change.
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
  const found = links.find(isNamed(bridge))?.addresses;
  if (found === undefined) return;
  const has = (address: InterfaceAddress) => found.some((it) => isSame(it, address));
  const commands = [
    ...unwanted.filter(has).map((it) => deleteAddress(it, bridge)),
    ...wanted.filter((it) => !has(it)).map((it) => addAddress(it, bridge)),
  ];
  if (commands.length > 0) {
    await outputOf("restore the addresses of the bridge", runBatch(run, [], commands));
  }
}
