import { asCniError, type ErrorName } from "../base/errors.ts";
import type { JsonObject } from "../base/fields.ts";
import { isAtLeast } from "../base/spec.ts";
import {
  type NetworkConfig,
  parseCniArgs,
  parseConfig,
  parseDocument,
  parseVersion,
} from "../config.ts";
import type { Kernel, Link } from "../netops.ts";
import type { Claim } from "../ownership.ts";
import {
  checkNotShared,
  checkServable,
  checkSoleCarrier,
  type Effects,
  effectsOn,
} from "../plugin.ts";
import type { Call, Command, Report } from "./command.ts";
import { failure, type Finding, finding, type Level } from "./doctor/finding.ts";
import {
  examineAdvertisements,
  examineBridge,
  examineForwarding,
  examineIp,
  examineIpv6,
  examineOverlap,
} from "./doctor/host.ts";
import { examineGuard } from "./doctor/guard.ts";
import { readInput } from "./doctor/input.ts";
import { unknownKeys } from "./doctor/keys.ts";
import { examineLeases } from "./doctor/leases.ts";
import { examineAccess, examineFolder, examineLock, subnetsLine } from "./doctor/state.ts";
import { type Overview, readOverview } from "./overview.ts";
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
  maxArguments: 0,
  run: async ({ stdin, kernel, value }: Call) =>
    reportOf([...examineDeno(value("open-path")), ...await examine(await stdin(), kernel)]),
};

/** The script form runs its Deno as root at every ADD, so only root may replace that Deno. */
function examineDeno(openPath: string | undefined): Finding[] {
  if (openPath === undefined) return [];
  const found =
    `users other than root can change "${openPath.trim()}", which leads to the Deno that ` +
    "runs this program as root";
  return [finding(
    "error",
    "deno",
    found,
    "install a copy of that Deno: sh tools/install --deno bin/atomicni.js /opt/cni/bin",
  )];
}

/** All findings, in the order in which an ADD would meet them. The checks of ADD itself run; nothing is changed. */
async function examine(text: string, kernel: Kernel): Promise<Finding[]> {
  const { findings, config: raw } = readInput(text);
  const found = [...findings];
  let config: NetworkConfig | undefined;
  if (raw !== undefined) {
    found.push(...unknownKeys(raw));
    await noted(found, "configuration", () => {
      config = parsed(raw);
      return [configFinding(config)];
    });
  }
  const denied = examineAccess();
  if (denied !== undefined) return [...found, denied];
  let isIpThere = false;
  await noted(found, "ip", async () => {
    const seen = await examineIp(kernel, config?.guarded === true);
    isIpThere = true;
    return seen;
  });
  if (config === undefined) return found;
  const wanted = config;
  const warnings: string[] = [];
  const effects = effectsOn(wanted.name, wanted.dataDir, {
    kernel,
    stop: new AbortController().signal,
    warn: (sentence) => warnings.push(sentence),
  });
  found.push(...examineFolder(wanted));
  if (wanted.sets.length > 0) found.push(...await examineLock(wanted));
  if (!isIpThere) return found;
  const isServed = await served(found, () => checkServable(wanted, effects));
  await noted(found, "bridge", async () => {
    const links = await kernel.links();
    const routes = await kernel.routes();
    const overview = await readOverview(kernel, new Map([[wanted.name, wanted.bridge]]));
    return [
      ...examineBridge(wanted, links),
      ...await examineGuard(wanted, claimsIn(overview, wanted.name), links, kernel),
      ...examineIpv6(wanted, links),
      ...examineAdvertisements(wanted, links, routes),
      ...examineOverlap(wanted, links, routes),
      ...await sharing(wanted, effects),
      ...carrying(wanted, links),
      ...examineLeases(wanted, overview, isServed),
      ...await examineForwarding(wanted, kernel),
    ];
  });
  return found;
}

function claimsIn({ networks }: Overview, name: string): readonly Claim[] {
  return networks.find(({ network }) => network === name)?.claims ?? [];
}

/** The subject of each kind of error that an ADD can throw. */
const ABOUT: { readonly [kind in ErrorName]?: string } = {
  BridgeUnusable: "bridge",
  StateDamaged: "state",
  IOFailure: "folder",
  PoolExhausted: "pool",
  UnsupportedField: "configuration",
};

/** Runs the checks of ADD and adds their error to `found`. Returns whether they passed. */
async function served(found: Finding[], check: () => Promise<void>): Promise<boolean> {
  try {
    await check();
    return true;
  } catch (thrown) {
    const error = asCniError(thrown);
    found.push(failure(ABOUT[error.kind] ?? "ip", error));
    return false;
  }
}

/** Adds the findings of `look`. An error of `look` would fail an ADD; a repeated error is reported once. */
async function noted(
  found: Finding[],
  about: string,
  look: () => Finding[] | Promise<Finding[]>,
): Promise<void> {
  try {
    found.push(...await look());
  } catch (error) {
    const failed = failure(about, asCniError(error));
    if (!found.some((it) => it.found === failed.found)) found.push(failed);
  }
}

/** A warning if another network has the same addresses: an ADD works, and two containers get the same address. */
async function sharing(config: NetworkConfig, effects: Effects): Promise<Finding[]> {
  try {
    await checkNotShared(config, effects);
    return [];
  } catch (error) {
    const { message, details } = asCniError(error);
    return [finding("warning", "subnet", message, details)];
  }
}

/** An error if another interface carries the subnet. An ADD works, but the other plugin's containers have its addresses. */
function carrying(config: NetworkConfig, links: readonly Link[]): Finding[] {
  try {
    checkSoleCarrier(config, links);
    return [];
  } catch (error) {
    return [failure("subnet", asCniError(error))];
  }
}

function parsed(raw: JsonObject): NetworkConfig {
  const root = parseDocument(JSON.stringify(raw));
  return parseConfig(root, parseVersion(root, "ADD"), parseCniArgs(""));
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
