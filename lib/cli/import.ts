import { ownerKey } from "../base/attachment.ts";
import { CniError, quote } from "../base/errors.ts";
import { plainLease } from "./attachments.ts";
import type { Call, Command, Report } from "./command.ts";
import { effectsFor, readConfiguration } from "./configuration.ts";
import { importLeases, type ImportReport } from "./import/adopt.ts";
import { parseLeaseFolder, splitImport } from "./import/lease_folder.ts";

const EXAMPLE =
  "{ cat /etc/cni/net.d/10-podnet.conflist; grep -H '' /var/lib/cni/networks/podnet/*; } | atomicni import";

export const importCommand: Command = {
  name: "import",
  takes: "< CONFIGURATION AND LEASES",
  about: "imports the leases of host-local, so that live containers keep their addresses",
  example: EXAMPLE,
  run,
};

async function run({ stdin, kernel }: Call): Promise<Report> {
  const { configuration, listing } = splitImport(await stdin());
  const config = readConfiguration(configuration, "import leases", EXAMPLE);
  const warnings: string[] = [];
  const effects = effectsFor(config, kernel, (sentence) => warnings.push(sentence));
  const folder = parseLeaseFolder(listing);
  if (folder.leases.length === 0) {
    throw new CniError("InvalidNetworkConfig", "Cannot import leases: stdin has none", {
      details: `see what the folder has (ls /var/lib/cni/networks/${config.name}); ${EXAMPLE}`,
    });
  }
  const report = await importLeases(folder, config, effects);
  return {
    lines: [...describe(report), ...warnings],
    json: {
      network: config.name,
      proved: report.proved.map(plainLease),
      possible: report.possible.map((it) => ({ ...plainLease(it), hosts: it.record.hosts })),
      dead: report.dead.map(plainLease),
      unexplained: report.unexplained.map(({ link }) => link.ifname),
    },
    exit: report.possible.length > 0 || report.unexplained.length > 0 ? 1 : 0,
  };
}

function describe({ proved, possible, dead, unexplained }: ImportReport): string[] {
  return [
    `${proved.length} leases imported`,
    ...possible.map(({ owner, ips, record }) =>
      `${ips.join(" and ")} of ${
        quote(ownerKey(owner))
      } is held until its DEL: its container may be behind ${record.hosts?.replaceAll(" ", " or ")}`
    ),
    ...dead.map(({ ips, owner }) =>
      `${ips.join(" and ")} of ${quote(ownerKey(owner))} left out: no container has it`
    ),
    ...unexplained.map(({ link, inside }) =>
      `${link.ifname} on ${link.master} ${
        inside === undefined ? "can't be inspected" : "has an address of the network"
      } and no lease: while it exists, an ADD allocates nothing; import its lease too, or remove its container`
    ),
  ];
}
