import { ownerKey } from "../base/attachment.ts";
import type { Lease } from "../ipam.ts";
import { plainLease } from "./attachments.ts";
import type { Call, Command, Report } from "./command.ts";
import { effectsFor, readConfiguration } from "./configuration.ts";
import type { RepairFinding } from "./repair/finding.ts";
import { rebuild, type RepairReport } from "./repair/rebuild.ts";
import type { Line, Tone } from "./screen.ts";

const EXAMPLE = "atomicni repair --dry-run < /etc/cni/net.d/10-atomicni.conflist";

export const repair: Command = {
  name: "repair",
  takes: "< CONFIGURATION",
  about:
    "rebuilds a network's state file from the kernel, restores ports and guards, and backs up a damaged file",
  example: EXAMPLE,
  options: { "dry-run": { type: "boolean", about: "only print what repair would change" } },
  run: async ({ stdin, has, kernel }: Call) => {
    const config = readConfiguration(await stdin(), "repair a network", EXAMPLE);
    const dryRun = has("dry-run");
    // The report has every warning of a rebuild.
    return reportOf(await rebuild(config, effectsFor(config, kernel), dryRun), dryRun);
  },
};

const TONES: Readonly<Record<RepairFinding["level"], Tone>> = {
  unverified: "bad",
  wrong: "warning",
  note: "faint",
};

function reportOf(report: RepairReport, dryRun: boolean): Report {
  const { network, path, damage, kept, found, dropped, findings, backup, restored } = report;
  const isStuck = findings.some(({ level }) => level === "unverified");
  const isWrong = findings.some(({ level }) => level === "wrong");
  const isConsistent = damage === undefined && found.length === 0 && dropped.length === 0;
  const verdict = isStuck
    ? "Nothing was written: an address might be allocated twice."
    : isConsistent
    ? restored > 0
      ? verdictOnPorts(isWrong, dryRun)
      : isWrong
      ? "Nothing that repair can fix."
      : "Nothing to repair."
    : dryRun
    ? "Nothing was written: a dry run."
    : `Written: ${count(kept.length + found.length)}.`;
  const leases = (what: string, list: readonly Lease[]): Line[] =>
    list.map(({ owner, ips }) => `  ${what} ${ips.join(" and ")} ${ownerKey(owner)}`);
  return {
    lines: [
      `${network}: ${path}${damage === undefined ? "" : `: ${damage}`}`,
      `  ${count(kept.length)} as before`,
      ...leases("found in its container:", found),
      ...leases("host veth gone, or of a later ADD:", dropped),
      ...findings.flatMap((it): Line[] => [
        [{ text: `  ${it.level}`, tone: TONES[it.level] }, `: ${it.found}`],
        ...(it.remedy === undefined ? [] : [`    -> ${it.remedy}`]),
      ]),
      ...(backup === undefined ? [] : [`  the damaged file is kept as ${backup}`]),
      [{ text: verdict, tone: isStuck ? "bad" : isWrong ? "warning" : "good" }],
    ],
    json: {
      ...report,
      kept: kept.map(plainLease),
      found: found.map(plainLease),
      dropped: dropped.map(plainLease),
    },
    exit: isStuck ? 2 : isWrong ? 1 : 0,
  };
}

/** The verdict if the state is consistent and ports or guards are not. */
function verdictOnPorts(isWrong: boolean, dryRun: boolean): string {
  if (dryRun) return "The state file is consistent; nothing was restored: a dry run.";
  return isWrong
    ? "The state file is consistent; ports and guards are restored, except the ones called wrong."
    : "The state file is consistent; ports and guards are restored.";
}

function count(leases: number): string {
  return leases === 1 ? "1 lease" : `${leases} leases`;
}
