import { CniError } from "../errors.ts";
import { formatIpv4 } from "../ipv4.ts";
import type { Lease } from "../ipam.ts";
import { repair as rebuild, type RepairFinding, type RepairReport } from "../repair.ts";
import type { Call, Command, Report } from "./command.ts";
import { readInput } from "./doctor/input.ts";
import type { Line, Tone } from "./screen.ts";

export const repair: Command = {
  name: "repair",
  takes: "< CONFIGURATION",
  about: "rebuilds a network's state file from what the kernel has; keeps the damaged one aside",
  example: "atomicni repair --dry-run < /etc/cni/net.d/10-atomicni.conflist",
  options: { "dry-run": { type: "boolean", about: "only say what would be done" } },
  mostWords: 0,
  run: async ({ stdin, has }: Call) => {
    const { findings, config } = readInput(await stdin());
    if (config === undefined) {
      const [wrong] = findings.filter(({ level }) => level === "error");
      throw new CniError(6, `Cannot repair a network without its configuration: ${wrong?.found}`, {
        details: "atomicni repair < /etc/cni/net.d/10-atomicni.conflist",
      });
    }
    const dryRun = has("dry-run");
    return reportOf(await rebuild(JSON.stringify(config), { dryRun }), dryRun);
  },
};

const TONES: Readonly<Record<RepairFinding["level"], Tone>> = {
  unproved: "bad",
  wrong: "warning",
  note: "faint",
};

function reportOf(report: RepairReport, dryRun: boolean): Report {
  const { network, path, damage, kept, found, dropped, findings, aside, written } = report;
  const isStuck = findings.some(({ level }) => level === "unproved");
  const isWrong = findings.some(({ level }) => level === "wrong");
  const isWhole = damage === undefined && found.length === 0 && dropped.length === 0;
  const verdict = isStuck
    ? "Nothing was written: an address might be given a second time."
    : isWhole
    ? isWrong ? "Nothing that repair can mend." : "Nothing to repair."
    : dryRun
    ? "Nothing was written: a dry run."
    : `Written: ${kept.length + found.length} leases.`;
  const leases = (what: string, list: readonly Lease[]): Line[] =>
    list.map(({ key, ip }) => `  ${what} ${formatIpv4(ip)} ${key}`);
  return {
    lines: [
      `${network}: ${path}${damage === undefined ? "" : `: ${damage}`}`,
      `  ${kept.length} leases as they were`,
      ...leases("found in its container:", found),
      ...leases("no host veth any more:", dropped),
      ...findings.flatMap((it): Line[] => [
        [{ text: `  ${it.level}`, tone: TONES[it.level] }, `: ${it.found}`],
        ...(it.remedy === undefined ? [] : [`    -> ${it.remedy}`]),
      ]),
      ...(aside === undefined ? [] : [`  the damaged file is kept as ${aside}`]),
      [{ text: verdict, tone: isStuck ? "bad" : isWrong ? "warning" : "good" }],
    ],
    json: {
      ...report,
      written,
      kept: kept.map(plain),
      found: found.map(plain),
      dropped: dropped.map(plain),
    },
    exit: isStuck ? 2 : isWrong ? 1 : 0,
  };
}

function plain({ key, ip }: Lease): { owner: string; address: string } {
  return { owner: key, address: formatIpv4(ip) };
}
