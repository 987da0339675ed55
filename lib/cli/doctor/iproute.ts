import { isTooOldToLock } from "../../netops.ts";
import { type Finding, finding } from "./finding.ts";

/** The oldest iproute2 with which everything works, and the feature that older versions lack. */
const OLDEST = {
  version: [5, 0],
  snapshot: 190319,
  lacks: "CHECK can't read its list of routes",
} as const;

/** The finding about the output of `ip -V`, which has a version number, or before 5.1 the date of a snapshot. */
export function examineVersion(text: string, guarded: boolean): Finding {
  const [, major, minor] = /iproute2-(\d+)\.(\d+)/.exec(text) ?? [];
  const [, snapshot] = /iproute2-ss(\d{6})/.exec(text) ?? [];
  if (major === undefined && snapshot === undefined) {
    return finding("warning", "ip", `cannot find a version of iproute2 in "${text}"`);
  }
  const isOlderThan = ([least, part]: readonly [number, number]) =>
    snapshot !== undefined || Number(major) < least ||
    (Number(major) === least && Number(minor) < part);
  if (guarded && isTooOldToLock(text)) {
    const found = `${text} can't lock a port, which "macspoofchk": true needs`;
    const remedy = `install iproute2 5.18 or newer, or set it to false`;
    return { ...finding("error", "ip", found, remedy), code: 2 };
  }
  const isOld = snapshot !== undefined
    ? Number(snapshot) < OLDEST.snapshot
    : isOlderThan(OLDEST.version);
  if (!isOld) return finding("ok", "ip", text);
  return finding(
    "warning",
    "ip",
    `${text} is older than iproute2 ${OLDEST.version.join(".")}: ${OLDEST.lacks}`,
    `install iproute2 ${OLDEST.version.join(".")} or newer`,
  );
}
