import { isAtLeast } from "../base/spec.ts";
import type { NetworkConfig } from "../config.ts";
import type { Kernel } from "../netops.ts";
import { checkNotShared, checkServable, checkSoleCarrier } from "../plugin.ts";
import type { Call, Command, Report } from "./command.ts";
import { configurationOf, effectsFor } from "./configuration.ts";
import { type Finding, finding, findingsOf, type Level } from "./doctor/finding.ts";
import {
  examineAdvertisements,
  examineBridge,
  examineForwarding,
  examineIpv6,
  examineOverlap,
} from "./doctor/host.ts";
import { examineGuard } from "./doctor/guard.ts";
import { examineIp } from "./doctor/iproute.ts";
import { readInput } from "./doctor/input.ts";
import { unknownKeys } from "./doctor/keys.ts";
import { examineLeases } from "./doctor/leases.ts";
import { checkAccess, examineFolder, examineLock, subnetsLine } from "./doctor/state.ts";
import { readOverview } from "./overview.ts";
import type { Line, Tone } from "./screen.ts";

export const doctor: Command = {
  name: "doctor",
  takes: "< CONFIGURATION",
  about:
    "checks whether an ADD with the configuration or conflist on stdin would work, and prints remedies",
  example: "atomicni doctor < /etc/cni/net.d/10-atomicni.conflist",
  options: {
    "open-path": {
      type: "string",
      about:
        "set by the script form itself: a path to its Deno that users other than root can change",
    },
  },
  run: async ({ stdin, kernel, value }: Call) =>
    reportOf([...examineDeno(value("open-path")), ...await examine(await stdin(), kernel)]),
};

/** The script form runs its Deno as root at every ADD, so only root may replace that Deno. */
function examineDeno(openPath: string | undefined): Finding[] {
  if (openPath === undefined) return [];
  const found =
    `users other than root can change "${openPath.trim()}", which leads to the Deno that ` +
    "runs this program as root";
  const remedy =
    "install a copy of that Deno: sh tools/install --deno bin/atomicni.js /opt/cni/bin";
  return [finding("error", "deno", found, remedy)];
}

/** All findings, in the order in which an ADD would meet them. The checks of ADD itself run; nothing is changed. */
async function examine(text: string, kernel: Kernel): Promise<Finding[]> {
  const { findings, config: raw } = readInput(text);
  const found = [...findings];
  /** Adds findings; an error that several checks meet is reported once. */
  const add = (more: readonly Finding[]) =>
    found.push(...more.filter((it) => !found.some((known) => known.found === it.found)));
  let config: NetworkConfig | undefined;
  if (raw !== undefined) {
    add(unknownKeys(raw));
    add(await findingsOf("configuration", () => [configFinding(config = configurationOf(raw))]));
  }
  const denied = await findingsOf("access", checkAccess);
  if (denied.length > 0) return [...found, ...denied];
  let isIpThere = false;
  add(
    await findingsOf("ip", async () => {
      const seen = await examineIp(kernel, config?.guarded === true);
      isIpThere = true;
      return seen;
    }),
  );
  if (config === undefined) return found;
  const wanted: NetworkConfig = config;
  add(examineFolder(wanted));
  if (wanted.sets.length > 0) add(await findingsOf("lock", () => examineLock(wanted)));
  if (!isIpThere) return found;
  const refusal = await findingsOf(
    undefined,
    () => checkServable(wanted, effectsFor(wanted, kernel)),
  );
  add(refusal);
  add(await findingsOf("bridge", () => examineHost(wanted, kernel, refusal.length === 0)));
  return found;
}

/** What an ADD would find on this host. `isServed`: its own checks passed. */
async function examineHost(
  config: NetworkConfig,
  kernel: Kernel,
  isServed: boolean,
): Promise<Finding[]> {
  const overview = await readOverview(kernel, config);
  const { links = await kernel.links() } = overview;
  const routes = await kernel.routes();
  const shared = () => checkNotShared(config, effectsFor(config, kernel));
  return [
    ...examineBridge(config, links),
    ...await examineGuard(config, overview, links, kernel),
    ...examineIpv6(config, links),
    ...examineAdvertisements(config, links, routes),
    ...examineOverlap(config, overview, links, routes),
    // An ADD works, and two containers may get one address.
    ...await findingsOf("subnet", shared, "warning"),
    ...await findingsOf("subnet", () => checkSoleCarrier(config, links)),
    ...examineLeases(config, overview, isServed),
    ...await examineForwarding(config, kernel),
  ];
}

function configFinding(config: NetworkConfig): Finding {
  const { name, cniVersion } = config;
  const found = `network "${name}", ${subnetsLine(config)}, CNI ${cniVersion}`;
  if (isAtLeast(cniVersion, "1.1.0")) return finding("ok", "configuration", found);
  const lacks = isAtLeast(cniVersion, "0.4.0") ? "GC or STATUS" : "CHECK, GC or STATUS";
  return finding("ok", "configuration", `${found}: a version without ${lacks}`);
}

const TONES: Readonly<Record<Level, Tone>> = {
  ok: "good",
  note: "faint",
  warning: "warning",
  error: "bad",
};

function reportOf(findings: readonly Finding[]): Report {
  const count = (level: Level) => findings.filter((it) => it.level === level).length;
  const [errors, warnings] = [count("error"), count("warning")];
  const verdict = errors > 0
    ? "An ADD would fail."
    : warnings > 0
    ? "An ADD would work, but see the warnings."
    : "An ADD would work.";
  return {
    lines: [
      ...findings.flatMap((it): Line[] => {
        const code = it.code === undefined ? "" : ` (code ${it.code}: atomicni explain ${it.code})`;
        return [
          [{ text: it.level.padEnd(8), tone: TONES[it.level] }, `${it.about}: ${it.found}${code}`],
          ...(it.excerpt ?? []).map((text) => `        ${text}`),
          ...(it.remedy === undefined ? [] : [`        -> ${it.remedy}`]),
        ];
      }),
      "",
      [{ text: verdict, tone: errors > 0 ? "bad" : warnings > 0 ? "warning" : "good" }],
    ],
    json: { verdict, errors, warnings, findings },
    exit: errors > 0 ? 2 : warnings > 0 ? 1 : 0,
  };
}
