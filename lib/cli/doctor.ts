import { formatCidr } from "../base/address.ts";
import { subnetsOf } from "../base/range.ts";
import { isAtLeast } from "../base/spec.ts";
import type { NetworkConfig } from "../config.ts";
import type { Kernel } from "../netops.ts";
import { checkNotShared, checkServable, checkSoleCarrier } from "../plugin.ts";
import type { Call, Command, Report } from "./command.ts";
import { configurationOf, effectsFor, readInput } from "./configuration.ts";
import { type Finding, finding, findingsOf, type Level, type Scene } from "./doctor/finding.ts";
import { examineAdvertisements, examineBridge, examineForwarding } from "./doctor/host.ts";
import { unknownKeys } from "./doctor/keys.ts";
import { examineGuard, examineLeases } from "./doctor/network.ts";
import { examineOverlap } from "./doctor/overlap.ts";
import { examineFolder, examineIp, examineLock } from "./doctor/prerequisites.ts";
import { readOverview } from "./overview.ts";
import type { Line } from "./screen.ts";

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
  run: async ({ stdin, kernel, value }: Call) => {
    const all = [...examineDeno(value("open-path")), ...await examineAll(await stdin(), kernel)];
    // Several checks may meet the same error.
    return reportOf(
      all.filter((it, index) => all.findIndex(({ found }) => found === it.found) === index),
    );
  },
};

/** The script form runs its Deno as root at every ADD, so only root may replace that Deno. */
function examineDeno(openPath: string | undefined): Finding[] {
  if (openPath === undefined) return [];
  const found =
    `users other than root can change "${openPath.trim()}", which leads to the Deno that runs this program as root`;
  const remedy =
    "install a copy of that Deno: sh tools/install --deno bin/atomicni.js /opt/cni/bin";
  return [finding("error", "deno", found, remedy)];
}

/** All findings, in the order in which an ADD would meet them. The checks of ADD itself run; nothing is changed. */
async function examineAll(text: string, kernel: Kernel): Promise<Finding[]> {
  const { findings, config: raw } = readInput(text);
  const found = [...findings];
  let read: NetworkConfig | undefined;
  if (raw !== undefined) {
    found.push(...unknownKeys(raw));
    found.push(
      ...await findingsOf("configuration", () => [configFinding(read = configurationOf(raw))]),
    );
  }
  const ofIp = await findingsOf("ip", () => examineIp(kernel, read?.guarded === true));
  found.push(...ofIp);
  if (read === undefined) return found;
  const config: NetworkConfig = read;
  found.push(...examineFolder(config));
  if (config.sets.length > 0) found.push(...await findingsOf("lock", () => examineLock(config)));
  // `ip` did not run at all.
  if (!ofIp.some(({ about }) => about === "namespaces")) return found;
  const serve = async () => {
    await checkServable(config, effectsFor(config, kernel));
  };
  const refusal = await findingsOf(undefined, serve);
  const examined = () => examineHost({ config, kernel, isServed: refusal.length === 0 });
  return [...found, ...refusal, ...await findingsOf("bridge", examined)];
}

async function examineHost(
  { config, kernel, isServed }: Pick<Scene, "config" | "kernel" | "isServed">,
): Promise<Finding[]> {
  const overview = await readOverview(kernel, config);
  const { links = await kernel.links() } = overview;
  const scene = { config, kernel, isServed, overview, links, routes: await kernel.routes() };
  const shared = () => checkNotShared(config, links);
  return [
    ...examineBridge(scene),
    ...await examineGuard(scene),
    ...examineAdvertisements(scene),
    ...examineOverlap(scene),
    // An ADD works, and two containers may get one address.
    ...await findingsOf("subnet", shared, "warning"),
    ...await findingsOf("subnet", () => checkSoleCarrier(config, links)),
    ...examineLeases(scene),
    ...await examineForwarding(scene),
  ];
}

function configFinding({ name, cniVersion, bridge, sets }: NetworkConfig): Finding {
  const subnets = subnetsOf(sets);
  const what = subnets.map(formatCidr).join(", ") || "no addresses (layer 2)";
  const lacks = isAtLeast(cniVersion, "1.1.0")
    ? ""
    : isAtLeast(cniVersion, "0.4.0")
    ? ": a version without GC or STATUS"
    : ": a version without CHECK, GC or STATUS";
  const found = `network "${name}", ${what} on bridge "${bridge}", CNI ${cniVersion}${lacks}`;
  return finding("ok", "configuration", found);
}

const TONES = { ok: "good", note: "faint", warning: "warning", error: "bad" } as const;

function reportOf(findings: readonly Finding[]): Report {
  const count = (level: Level) => findings.filter((it) => it.level === level).length;
  const [errors, warnings] = [count("error"), count("warning")];
  const [verdict, tone, exit] = errors > 0
    ? ["An ADD would fail.", TONES.error, 2] as const
    : warnings > 0
    ? ["An ADD would work, but see the warnings.", TONES.warning, 1] as const
    : ["An ADD would work.", TONES.ok, 0] as const;
  return {
    lines: [
      ...findings.flatMap(({ level, about, found, code, excerpt = [], remedy }): Line[] => [
        [
          { text: level.padEnd(8), tone: TONES[level] },
          `${about}: ${found}${code ? ` (code ${code}: atomicni explain ${code})` : ""}`,
        ],
        ...excerpt.map((text) => `        ${text}`),
        ...(remedy === undefined ? [] : [`        -> ${remedy}`]),
      ]),
      "",
      [{ text: verdict, tone }],
    ],
    json: { verdict, errors, warnings, findings },
    exit,
  };
}
