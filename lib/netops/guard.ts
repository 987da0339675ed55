import type { Ip } from "../base/address.ts";
import { CniError } from "../base/errors.ts";
import type { Mac } from "../base/mac.ts";
import type { InterfaceName } from "../base/names.ts";
import { together } from "../base/together.ts";
import type { Rollback } from "../rollback.ts";
import { forgetNeighbours } from "./host.ts";
import { must, runBatch, type RunIp } from "./ip.ts";
import type { Link } from "./links.ts";

/** Who may speak from a port of the bridge (DESIGN §11). */
export interface GuardSpec {
  readonly bridge: InterfaceName;
  readonly host: InterfaceName;
  readonly mac: Mac;
  readonly ips: readonly Ip[];
}

/**
 * Guards the port: a static entry of the forwarding table for the container's MAC, no frame of another, and permanent
 * neighbours for its addresses. Without the entry a locked port is cut off, so nothing may pass before both are done.
 */
export async function guard(run: RunIp, spec: GuardSpec, undo: Rollback): Promise<void> {
  const { bridge, host, mac, ips } = spec;
  // The entry and the flags go with the veth; neighbours go with the bridge alone.
  undo.push(
    `remove the neighbours of "${host}" from "${bridge}"`,
    () => forgetNeighbours(run, bridge, ips),
  );
  const action = `guard the port "${host}"`;
  const entry = ["neigh", "replace", "any", "lladdr", mac, "nud", "noarp", "dev", host];
  await together(
    // The family -B is of the whole process.
    must(action, run(["-B", ...entry])),
    must(action, runBatch(run, [], [portCommand(host), ...neighbourCommands(spec)])),
  );
}

function portCommand(host: string): string[] {
  const flags = ["learning", "off", "locked", "on"];
  return ["link", "set", "dev", host, "type", "bridge_slave", ...flags];
}

function neighbourCommands({ bridge, mac, ips }: GuardSpec): string[][] {
  return ips.map((ip) => [
    ...["neigh", "replace", ip, "lladdr", mac, "dev", bridge, "nud", "permanent"],
  ]);
}

/** Throws UnsupportedField where the kernel or `ip` is too old for a locked port, read from a port that stands. */
export function mustBeGuardable({ ifname, port }: Link): void {
  if (port.locked !== undefined) return;
  throw new CniError(
    "UnsupportedField",
    `Cannot do "macspoofchk": true: "${ifname}" can't be locked`,
    { details: "it needs Linux 5.18 and iproute2 5.18, or newer: update them, or set it to false" },
  );
}
