import { ioError } from "../../base/errors.ts";
import { familyOf, formatCidr } from "../../base/address.ts";
import { pause } from "../../base/deadline.ts";
import { subnetsOf } from "../../base/range.ts";
import { STATE_FOLDER } from "../../base/scope.ts";
import type { NetworkConfig } from "../../config.ts";
import { checkFolder, holderOfLock, lockPath, tryLstat } from "../../ipam.ts";
import { type Finding, finding, warning } from "./finding.ts";

/** Throws IOFailure if the caller may not read the state folder. Every later check would fail because of it. */
export function checkAccess(): void {
  try {
    Deno.readDirSync(STATE_FOLDER)[Symbol.iterator]().next();
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied) throw ioError("list", STATE_FOLDER, error);
    // Another error is reported below.
  }
}

/** Owner and mode of the folder. */
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
  let holder: string | undefined;
  for (let tries = 0; tries < LOCK_TRIES; tries++) {
    holder = holderOfLock(path);
    if (holder === undefined) return [finding("ok", "lock", `${path} is free`)];
    await pause(100);
  }
  const found =
    `${path} is held for more than a second, ${holder}: an ADD waits for it 10 s at most`;
  return [finding("error", "lock", found, `fuser -v ${path}`, 11)];
}

/** The subnets and the bridge of the network, in one sentence. */
export function subnetsLine({ sets, bridge }: NetworkConfig): string {
  const subnets = subnetsOf(sets);
  const what = subnets.map(formatCidr).join(", ") || "no addresses (layer 2)";
  const families = new Set(subnets.map(({ base }) => familyOf(base)));
  return `${what} on bridge "${bridge}"${families.size === 2 ? ", dual-stack" : ""}`;
}
