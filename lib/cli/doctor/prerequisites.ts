import { pause } from "../../base/deadline.ts";
import type { NetworkConfig } from "../../config.ts";
import { checkFolder, holderOfLock, lockPath, tryLstat } from "../../ipam.ts";
import { isTooOldToLock, type Kernel } from "../../netops.ts";
import { type Finding, finding, warning } from "./finding.ts";

export function examineFolder({ dataDir }: NetworkConfig): Finding[] {
  try {
    if (!checkFolder(dataDir)) {
      return [finding("ok", "folder", `${dataDir} does not exist yet: the first ADD makes it`)];
    }
  } catch {
    return []; // the checks of ADD report the error
  }
  const bits = tryLstat(dataDir)?.mode ?? 0;
  const mode = (bits & 0o7777).toString(8).padStart(4, "0");
  const found = `${dataDir}: owned by root, mode ${mode}`;
  if (mode === "0700") return [finding("ok", "folder", found)];
  const others = (bits & 0o022) === 0 ? "read it" : "write to it";
  return [warning("folder", `${found}, others can ${others}`, `chmod 700 ${dataDir}`)];
}

/** The tries, 100 ms apart, to find the lock free. A run holds it for some milliseconds. */
const LOCK_TRIES = 10;

/** Whether the network's lock file is usable and free. Throws IOFailure. */
export async function examineLock({ dataDir, name }: NetworkConfig): Promise<Finding[]> {
  const path = lockPath(dataDir, name);
  if (tryLstat(path) === undefined) return [finding("ok", "lock", "it does not exist yet")];
  for (let tries = 1;; tries++) {
    const holder = holderOfLock(path);
    if (holder === undefined) return [finding("ok", "lock", `${path} is free`)];
    await pause(100);
    if (tries < LOCK_TRIES) continue;
    const found =
      `${path} is held for more than a second, ${holder}: an ADD waits for it 10 s at most`;
    return [finding("error", "lock", found, `fuser -v ${path}`, 11)];
  }
}

export async function examineIp(kernel: Kernel, guarded: boolean): Promise<Finding[]> {
  const version = examineVersion(await kernel.ipVersion(), guarded);
  const said = await kernel.cannotEnter();
  if (said === undefined) return [version, finding("ok", "namespaces", "ip can enter them")];
  const remedy = "mkdir -p /run/netns, and run with CAP_SYS_ADMIN";
  return [version, finding("error", "namespaces", `ip can enter none: ${said}`, remedy, 8)];
}

/** The finding about the output of `ip -V`, which has a version number, or before 5.1 the date of a snapshot. */
export function examineVersion(text: string, guarded: boolean): Finding {
  const [, major, snapshot] = /iproute2-(?:(\d+)\.\d+|ss(\d{6}))/.exec(text) ?? [];
  if (major === undefined && snapshot === undefined) {
    return warning("ip", `cannot find a version of iproute2 in "${text}"`);
  }
  if (guarded && isTooOldToLock(text)) {
    const found = `${text} can't lock a port, which "macspoofchk": true needs`;
    return finding("error", "ip", found, "install iproute2 5.18 or newer, or set it to false", 2);
  }
  // Everything works with 5.0, which is the snapshot of that date.
  if (Number(major) >= 5 || Number(snapshot) >= 190319) return finding("ok", "ip", text);
  const found = `${text} is older than iproute2 5.0: CHECK can't read its list of routes`;
  return warning("ip", found, "install iproute2 5.0 or newer");
}
