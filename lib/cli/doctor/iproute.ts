import { isTooOldToLock, type Kernel } from "../../netops.ts";
import { type Finding, finding, warning } from "./finding.ts";

/** The oldest iproute2 with which everything works is 5.0, a snapshot of that date. */
const OLDEST = { major: 5, snapshot: 190319 };

/** The version of iproute2, and whether `ip` can enter a namespace. */
export async function examineIp(kernel: Kernel, guarded: boolean): Promise<Finding[]> {
  const version = examineVersion(await kernel.version(), guarded);
  const said = await kernel.cannotEnter();
  if (said === undefined) return [version, finding("ok", "namespaces", "ip can enter them")];
  const remedy = "mkdir -p /run/netns, and run with CAP_SYS_ADMIN";
  return [version, finding("error", "namespaces", `ip can enter none: ${said}`, remedy, 8)];
}

/** The finding about the output of `ip -V`, which has a version number, or before 5.1 the date of a snapshot. */
export function examineVersion(text: string, guarded: boolean): Finding {
  const major = /iproute2-(\d+)\.\d+/.exec(text)?.[1];
  const snapshot = /iproute2-ss(\d{6})/.exec(text)?.[1];
  if (major === undefined && snapshot === undefined) {
    return warning("ip", `cannot find a version of iproute2 in "${text}"`);
  }
  if (guarded && isTooOldToLock(text)) {
    const found = `${text} can't lock a port, which "macspoofchk": true needs`;
    return finding("error", "ip", found, "install iproute2 5.18 or newer, or set it to false", 2);
  }
  const isOld = snapshot === undefined
    ? Number(major) < OLDEST.major
    : Number(snapshot) < OLDEST.snapshot;
  if (!isOld) return finding("ok", "ip", text);
  const found = `${text} is older than iproute2 5.0: CHECK can't read its list of routes`;
  return warning("ip", found, "install iproute2 5.0 or newer");
}
