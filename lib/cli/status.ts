import { formatCidr, type Ip } from "../base/address.ts";
import { BUILD_FORM } from "../base/build.ts";
import { formatSet, type RangeSet, subnetsOf } from "../base/range.ts";
import { PROGRAM_VERSION } from "../base/scope.ts";
import { countFree, type Held, listLeases, type Networks } from "../ipam.ts";
import type { Link } from "../netops.ts";
import { attachments, named, plainErrors, survey } from "./attachments.ts";
import type { Call, Command, Report } from "./command.ts";
import { type Family, openMetrics } from "./metrics.ts";
import { problems } from "./problems.ts";
import type { Line } from "./screen.ts";

export const status: Command = {
  name: "status",
  takes: "[NETWORK]",
  about: "each network's pools: size, held, stale and free addresses; also as metrics",
  example: "atomicni status --metrics > /var/lib/node_exporter/textfile/atomicni.prom",
  options: { metrics: { type: "boolean", about: "as OpenMetrics text, for a textfile collector" } },
  mostWords: 1,
  run: report,
};

/** What is known of one range set of a network; nothing of its size where no ADD has noted what the network gives. */
export interface Use {
  readonly network: string;
  readonly dataDir: string;
  /** Number of the set in the configuration, from 0. */
  readonly set: number;
  readonly subnet: string | undefined;
  readonly range: string | undefined;
  readonly size: bigint | undefined;
  readonly held: number;
  readonly stale: number | undefined;
  readonly free: bigint | undefined;
}

async function report({ words: [only], has, kernel }: Call): Promise<Report> {
  const networks = await survey(kernel);
  const { errors, veths } = networks;
  const shown = named(networks, only, "status");
  const uses = (await Promise.all(shown.map((it) => usesOf(it, veths)))).flat();
  const isFull = ({ free, stale }: Use) => free === 0n && stale === 0;
  const exit = errors.length > 0 ? 2 : uses.some(isFull) ? 1 : 0;
  const json = { networks: uses.map(plain), errors: plainErrors(errors) };
  if (has("metrics")) {
    return { lines: openMetrics(families(uses, networks)), json, isFile: true, errors, exit };
  }
  return {
    lines: [
      ...(uses.length > 0 || errors.length === 0 ? tableOf(uses, isFull) : []),
      ...problems(errors),
    ],
    json,
    exit,
  };
}

/** Numbers as JSON has them; those of a /64 are only as exact as that allows. */
function plain(use: Use) {
  return {
    ...use,
    size: use.size === undefined ? undefined : Number(use.size),
    free: use.free === undefined ? undefined : Number(use.free),
  };
}

/** One for each range set; a network that never gave an address has one without a size. */
export async function usesOf(
  it: Held,
  veths: ReadonlyMap<string, Link> | undefined,
): Promise<Use[]> {
  const rows = await attachments(it, veths);
  const stale = new Set(rows.filter(({ live }) => live === false).flatMap(({ ips }) => ips));
  const held = listLeases(it.state).flatMap(({ ips }) => ips);
  const sets = it.state.ranges ?? [];
  const common = { network: it.network, dataDir: it.dataDir };
  if (sets.length === 0) {
    const unknown = { subnet: undefined, range: undefined, size: undefined, free: undefined };
    const count = veths && stale.size;
    return [{ ...common, ...unknown, set: 0, held: held.length, stale: count }];
  }
  return sets.map((set, index) => ({
    ...common,
    set: index,
    subnet: subnetsOf([set]).map(formatCidr).join(", "),
    range: formatSet(set),
    size: countFree(set, []),
    held: given(set, held),
    stale: veths && given(set, [...stale]),
    free: countFree(set, held),
  }));
}

/** How many of these addresses the set gives. */
function given(set: RangeSet, ips: readonly Ip[]): number {
  return Number(countFree(set, []) - countFree(set, ips));
}

function tableOf(uses: readonly Use[], isFull: (use: Use) => boolean): Line[] {
  if (uses.length === 0) return ["No networks."];
  return [{
    heading: ["NETWORK", "SUBNET", "RANGE", "SIZE", "HELD", "STALE", "FREE"],
    spare: ["RANGE", "SIZE", "STALE", "SUBNET"],
    rows: uses.map((use) => [
      use.network,
      use.subnet ?? "-",
      use.range ?? "-",
      String(use.size ?? "-"),
      String(use.held),
      use.stale ? { text: String(use.stale), tone: "warning" } : String(use.stale ?? "-"),
      isFull(use) ? { text: "0", tone: "bad" } : String(use.free ?? "-"),
    ]),
  }];
}

/** All gauges, for the text format of Prometheus knows no other kind that fits. */
function families(uses: readonly Use[], { held, unreadable }: Networks): Family[] {
  const gauge = (name: string, help: string, of: (use: Use) => number | undefined): Family => ({
    name: `atomicni_${name}`,
    help,
    samples: uses.flatMap((use) => {
      const value = of(use);
      const { network, dataDir, set, subnet } = use;
      const labels = { network, folder: dataDir, set: String(set), subnet: subnet ?? "" };
      return value === undefined ? [] : [{ labels, value }];
    }),
  });
  const number = (value: bigint | undefined) => value === undefined ? undefined : Number(value);
  const built = BUILD_FORM.startsWith("@") ? "source" : BUILD_FORM;
  return [
    gauge(
      "pool_addresses",
      "Addresses that the range set can give in all.",
      ({ size }) => number(size),
    ),
    gauge("pool_held", "Addresses that are given, stale ones included.", ({ held }) => held),
    gauge(
      "pool_stale",
      "Addresses whose host veth is gone; an ADD takes them back.",
      (it) => it.stale,
    ),
    gauge("pool_free", "Addresses that nobody holds.", ({ free }) => number(free)),
    {
      name: "atomicni_state_readable",
      help: "Whether the network's state file can be read; see `atomicni status`.",
      samples: [...held.map((it) => readable(it, 1)), ...unreadable.map((it) => readable(it, 0))],
    },
    {
      name: "atomicni_build_info",
      help: "What this program is.",
      samples: [{ labels: { version: PROGRAM_VERSION, form: built }, value: 1 }],
    },
  ];
}

function readable({ network, dataDir }: Omit<Held, "state">, value: number) {
  return { labels: { network, folder: dataDir }, value };
}
