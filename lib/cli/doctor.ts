import { type NetworkConfig, parseConfig, parseStdin, parseVersion } from "../config.ts";
import { asCniError } from "../errors.ts";
import type { JsonObject } from "../fields.ts";
import { formatCidr } from "../ipv4.ts";
import { isAtLeast } from "../spec.ts";
import type { Call, Command, Report } from "./command.ts";
import { failure, type Finding, finding, type Level } from "./doctor/finding.ts";
import {
  examineBridge,
  examineFolder,
  examineForwarding,
  examineIp,
  examineLock,
  examineOverlap,
  type Host,
  readHost,
} from "./doctor/host.ts";
import { readInput } from "./doctor/input.ts";
import { unknownKeys } from "./doctor/keys.ts";
import { examinePool } from "./doctor/pool.ts";
import type { Line, Tone } from "./screen.ts";

export const doctor: Command = {
  name: "doctor",
  takes: "< CONFIGURATION",
  about: "what an ADD with the configuration or conflist on stdin would meet, with remedies",
  example: "atomicni doctor < /etc/cni/net.d/10-atomicni.conflist",
  options: {},
  mostWords: 0,
  run: async ({ stdin }: Call) => reportOf(await examine(await stdin())),
};

/** All findings, in the order in which an ADD would meet them. Nothing is changed. */
async function examine(text: string): Promise<Finding[]> {
  const { findings, config: raw } = readInput(text);
  const found = [...findings];
  let config: NetworkConfig | undefined;
  if (raw !== undefined) {
    found.push(...unknownKeys(raw));
    try {
      config = parsed(raw);
      found.push(configFinding(config));
    } catch (error) {
      found.push(failure("configuration", asCniError(error)));
    }
  }
  let host: Host | undefined;
  await noted(found, "ip", async () => {
    found.push(...await examineIp());
    host = await readHost();
  });
  if (config === undefined) return found;
  found.push(...examineFolder(config), ...examineLock(config));
  if (host === undefined) return found;
  const seen = host;
  const wanted = config;
  const veths = new Map(host.links.map((link) => [link.ifname, link]));
  found.push(...examineBridge(wanted, seen));
  await noted(found, "subnet", async () => found.push(...await examineOverlap(wanted, seen)));
  found.push(...await examinePool(wanted, veths));
  await noted(
    found,
    "forwarding",
    async () => found.push(...await examineForwarding(wanted)),
  );
  return found;
}

async function noted(found: Finding[], about: string, look: () => Promise<unknown>): Promise<void> {
  try {
    await look();
  } catch (error) {
    found.push(failure(about, asCniError(error)));
  }
}

function parsed(raw: JsonObject): NetworkConfig {
  const root = parseStdin(JSON.stringify(raw));
  return parseConfig(root, parseVersion(root, "ADD"), {});
}

function configFinding({ name, cniVersion, bridge, subnet }: NetworkConfig): Finding {
  const found = `network "${name}", ${formatCidr(subnet)} on bridge "${bridge}", CNI ${cniVersion}`;
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
    ? "An ADD would work, see the warnings."
    : "An ADD would work.";
  return {
    lines: [
      ...findings.flatMap((it): Line[] => {
        const code = it.code === undefined ? "" : ` (code ${it.code}: atomicni explain ${it.code})`;
        return [
          [{ text: it.level.padEnd(8), tone: TONES[it.level] }, `${it.about}: ${it.found}${code}`],
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
