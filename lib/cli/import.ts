import { formatCidr, type Ip } from "../base/address.ts";
import { isHostVethName, ownerKey } from "../base/attachment.ts";
import { CniError, quote } from "../base/errors.ts";
import type { InterfaceName } from "../base/names.ts";
import { isInSubnets, subnetsOf } from "../base/range.ts";
import type { NetworkConfig } from "../config.ts";
import { addLease, type Adoption, checkFit, listLeases, mayAdopt, now } from "../ipam.ts";
import { claims, type HostView, mayHold, staleLeases } from "../ownership.ts";
import {
  checkConsistent,
  confirm,
  type Effects,
  knownLeases,
  observe,
  reclaim,
} from "../plugin.ts";
import { plainLease } from "./attachments.ts";
import type { Call, Command, Report } from "./command.ts";
import { effectsFor, readConfiguration } from "./configuration.ts";
import {
  type FoundLease,
  type LeaseFolder,
  parseLeaseFolder,
  splitImport,
} from "./import/lease_folder.ts";
import { counted } from "./wording.ts";

const EXAMPLE =
  "{ cat /etc/cni/net.d/10-podnet.conflist; grep -H '' /var/lib/cni/networks/podnet/*; } | atomicni import";

export const importCommand: Command = {
  name: "import",
  takes: "< CONFIGURATION AND LEASES",
  about: "imports the leases of host-local, so that live containers keep their addresses",
  example: EXAMPLE,
  run: report,
};

async function report({ stdin, kernel }: Call): Promise<Report> {
  const { configuration, listing } = splitImport(await stdin());
  const config = readConfiguration(configuration, "import leases", EXAMPLE);
  const warnings: string[] = [];
  const effects = effectsFor(config, kernel, (sentence) => warnings.push(sentence));
  const folder = parseLeaseFolder(listing);
  if (folder.leases.length === 0) {
    throw new CniError(
      "InvalidNetworkConfig",
      "Cannot import leases: stdin has none",
      `see what the folder has (ls /var/lib/cni/networks/${config.name}); ${EXAMPLE}`,
    );
  }
  const { proved, possible, dead, unexplained } = await importLeases(folder, config, effects);
  return {
    lines: [
      `${counted(proved.length, "lease")} imported`,
      ...possible.map(({ owner, ips, record }) =>
        `${ips.join(" and ")} of ${
          quote(ownerKey(owner))
        } is held until its DEL: its container may be behind ${
          record.hosts?.replaceAll(" ", " or ")
        }`
      ),
      ...dead.map(({ ips, owner }) =>
        `${ips.join(" and ")} of ${quote(ownerKey(owner))} left out: no container has it`
      ),
      ...unexplained.map(({ link, inside }) =>
        `${link.ifname} on ${link.master} ${
          inside === undefined ? "can't be inspected" : "has an address of the network"
        } and no lease: while it exists, an ADD allocates nothing; import its lease too, or remove its container`
      ),
      ...warnings,
    ],
    json: {
      network: config.name,
      proved: proved.map(plainLease),
      possible: possible.map((it) => ({ ...plainLease(it), hosts: it.record.hosts })),
      dead: dead.map(plainLease),
      unexplained: unexplained.map(({ link }) => link.ifname),
    },
    exit: possible.length > 0 || unexplained.length > 0 ? 1 : 0,
  };
}

/**
 * Imports the leases of host-local, so that no live container's address is allocated twice. The host veth of a lease is the
 * one on any bridge whose peer has the address. Imports all leases or throws InvalidNetworkConfig, AddressUnavailable or
 * StateDamaged.
 */
async function importLeases(folder: LeaseFolder, config: NetworkConfig, effects: Effects) {
  folder.leases.forEach(({ ips }) => ips.forEach((ip) => checkInside(config, ip)));
  const everywhere = { name: config.name, bridge: undefined };
  const { leases, kernel } = effects;
  const before = await observe(everywhere, knownLeases(effects), effects, { isThorough: true });
  const { result } = await leases.transaction(async (state, provenance) => {
    const moment = await confirm(before, { state, provenance }, kernel);
    // A host veth of this network without a lease means that the state is damaged, unlike the veths of other plugins.
    const own = moment.claims.filter(({ kind }) => kind !== "unowned");
    checkConsistent({ ...moment, claims: own }, config, config.sets);
    checkFit(state, config, config.name, provenance === "written");
    const veths = moment.view.filter(({ link }) =>
      link.netnsId !== undefined && !isHostVethName(link.ifname)
    );
    const found = folder.leases.map((lease) => adoption(lease, config.bridge, veths));
    const adoptions = found.filter((it) => it !== undefined);
    // An earlier container of this program may have had an address of these leases.
    const dropped = await reclaim(state, staleLeases(own), config.bridge, effects);
    const fresh = adoptions.filter((lease) => mayAdopt(state, lease));
    for (const lease of fresh) addLease(state, lease);
    state.ranges = config.configuredSets;
    if (state.lastReserved.length === 0) state.lastReserved.push(...folder.lastReserved);
    const left = (await claims(config, listLeases(state), moment.view)).filter((it) =>
      it.kind === "unowned" && mayHold(it, config.sets)
    );
    const result = {
      proved: adoptions.filter(({ record }) => record.hostMac !== ""),
      // The container is behind one of several host veths.
      possible: adoptions.filter(({ record }) => record.hostMac === ""),
      // Not imported: no container has the address, and every container was inspected.
      dead: folder.leases.filter((_, index) => found[index] === undefined),
      // On the bridge, without one of the leases. While such a host veth exists, an ADD allocates nothing.
      unexplained: left.flatMap(({ veths }) => veths),
    };
    // Without the doubt, an ADD would trust the state and allocate an address of these veths.
    if (left.length > 0) return { result, write: "doubted" as const };
    const isSame = fresh.length === 0 && dropped.length === 0 && provenance === "written";
    return isSame ? { result } : { result, write: "verified" as const };
  });
  return result;
}

function checkInside({ sets, name }: NetworkConfig, ip: Ip): void {
  const isGateway = sets.flat().some(({ gateway }) => gateway === ip);
  if (isInSubnets(sets, ip) && !isGateway) return;
  const subnets = subnetsOf(sets).map(formatCidr).join(", ");
  const found = isGateway ? "it is the gateway" : `it is outside ${subnets}`;
  throw new CniError(
    "InvalidNetworkConfig",
    `Cannot import "${ip}" into network "${name}": ${found}`,
    "pass the configuration that these leases were made with, with its type changed",
  );
}

/**
 * The lease with the host veths whose peer has one of its addresses, on the network's bridge if there are any. If there are none,
 * each veth that can't be inspected may be its own; `undefined` if every veth was inspected.
 */
function adoption(lease: FoundLease, bridge: string, veths: HostView): Adoption | undefined {
  const { owner: { containerId, ifname }, ips } = lease;
  const fitting = veths.filter(({ inside }) =>
    inside?.peer.addresses.some(({ ip }) => ips.includes(ip))
  );
  const attached = fitting.filter(({ link }) => link.master === bridge);
  const hidden = veths.filter(({ inside }) => inside === undefined);
  const hosts = [attached, fitting, hidden].find((it) => it.length > 0) ?? [];
  const [first, ...more] = hosts;
  if (first === undefined) return undefined;
  const peer = more.length === 0 ? first.inside?.peer : undefined;
  return {
    owner: { containerId, ifname: ifname ?? (peer?.ifname as InterfaceName | undefined) },
    ips,
    record: {
      since: now(),
      // DEL and GC recognise the veth by this MAC. It is empty if the veth is uncertain.
      hostMac: peer === undefined ? "" : first.link.mac,
      hosts: hosts.map(({ link }) => link.ifname).join(" "),
      // DEL flushes the neighbours of this bridge, because the MAC is not derived from the address.
      bridge: first.link.master || bridge,
      ...(peer !== undefined && { mac: peer.mac }),
    },
  };
}
