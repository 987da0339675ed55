import { describeImport, importLeases } from "../adopted.ts";
import { parseConfig, parseStdin, parseVersion } from "../config.ts";
import { CniError } from "../errors.ts";
import { parseLeaseFolder, splitImport } from "../import.ts";
import { openLeases } from "../ipam.ts";
import { runIp } from "../ip.ts";
import { formatIpv4 } from "../ipv4.ts";
import { IpKernel } from "../netops.ts";
import type { Call, Command, Report } from "./command.ts";
import { readInput } from "./doctor/input.ts";

const EXAMPLE =
  "{ cat /etc/cni/net.d/10-podnet.conflist; grep -H '' /var/lib/cni/networks/podnet/*; } | atomicni import";

export const importCommand: Command = {
  name: "import",
  takes: "< CONFIGURATION AND LEASES",
  about: "takes the leases of host-local over, so that its live containers keep their addresses",
  example: EXAMPLE,
  options: {},
  mostWords: 0,
  run,
};

async function run({ stdin }: Call): Promise<Report> {
  const { configuration, listing } = splitImport(await stdin());
  const { findings, config: found } = readInput(configuration);
  if (found === undefined) {
    const wrong = findings.find(({ level }) => level === "error")?.found ?? "there is none";
    throw new CniError(6, `Cannot import leases without the network's configuration: ${wrong}`, {
      details: EXAMPLE,
    });
  }
  const root = parseStdin(JSON.stringify(found));
  const config = parseConfig(root, parseVersion(root, "ADD"), {});
  const stop = new AbortController().signal;
  const report = await importLeases(
    parseLeaseFolder(listing),
    config,
    new IpKernel(runIp),
    openLeases(config.dataDir, config.name, stop),
  );
  const plain = ({ key, ip }: { key: string; ip: Parameters<typeof formatIpv4>[0] }) => ({
    owner: key,
    address: formatIpv4(ip),
  });
  return {
    lines: describeImport(report),
    json: {
      network: config.name,
      proved: report.proved.map(plain),
      possible: report.possible.map(plain),
      dead: report.dead.map(({ containerId, ip }) => plain({ key: containerId, ip })),
    },
    exit: report.possible.length > 0 ? 1 : 0,
  };
}
