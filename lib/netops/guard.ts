import { familyOf, type Ip, tryIp } from "../base/address.ts";
import type { Mac } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import { together } from "../base/together.ts";
import type { Rollback } from "../rollback.ts";
import { forgetNeighbours } from "./host.ts";
import { must, runBatch, type RunIp } from "./ip.ts";

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
  // The entry and the flags go with the veth; neighbours go with the bridge alone.
  undo.push(
    `remove the neighbours of "${host}" from "${bridge}"`,
    () => forgetNeighbours(run, bridge, guardedIps(ips, mac)),
  );
  await letSpeak(run, [spec]);
}

/** The same for several ports at once. */
export async function letSpeak(run: RunIp, specs: readonly GuardSpec[]): Promise<void> {
  const neighbours = specs.flatMap(neighbourCommands);
  const action = `guard the port ${specs.map(({ host }) => `"${host}"`).join(", ")}`;
  await together(
    // The family -B is of the whole process.
    must(action, runBatch(run, ["-B"], specs.map(entryCommand))),
    neighbours.length === 0 ? Promise.resolve() : must(action, runBatch(run, [], neighbours)),
  );
}

function entryCommand({ host, mac }: GuardSpec): string[] {
  return ["neigh", "replace", "any", "lladdr", mac, "nud", "noarp", "dev", host];
}

function neighbourCommands({ bridge, mac, ips }: GuardSpec): string[][] {
  return guardedIps(ips, mac).map((ip) => [
    ...["neigh", "replace", ip, "lladdr", mac, "dev", bridge, "nud", "permanent"],
  ]);
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
