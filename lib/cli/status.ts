import { BUILD_FORM } from "../build.ts";
import { countFree } from "../ipam.ts";
import type { Pool } from "../pool.ts";
import { formatIpv4 } from "../ipv4.ts";
import type { Link } from "../links.ts";
import { poolOf } from "../pool.ts";
import { PROGRAM_VERSION } from "../scope.ts";
import { attachments, type Held, named, survey } from "./attachments.ts";
import type { Call, Command, Report } from "./command.ts";
import { type Family, openMetrics } from "./metrics.ts";
import { problems } from "./problems.ts";
import { type Line, table } from "./screen.ts";

export const status: Command = {
  name: "status",
  takes: "[NETWORK]",
  about: "each network's pool: size, held, stale and free addresses; also as metrics",
  example: "atomicni status --metrics > /var/lib/node_exporter/textfile/atomicni.prom",
  options: { metrics: { type: "boolean", about: "as OpenMetrics text, for a textfile collector" } },
  mostWords: 1,
  run: report,
};

/** What is known of a network's pool; sizes only where an ADD has noted the pool in the state. */
interface Use {
  readonly network: string;
  readonly subnet: string | undefined;
  readonly range: string | undefined;
  readonly size: number | undefined;
  readonly held: number;
  readonly stale: number | undefined;
  readonly free: number | undefined;
}

async function report({ words: [only], has }: Call): Promise<Report> {
  const networks = await survey();
  const { errors, veths } = networks;
  const shown = named(networks, only, "status");
  const uses = await Promise.all(shown.map((it) => useOf(it, veths)));
  const isFull = ({ free, stale }: Use) => free === 0 && stale === 0;
  const exit = errors.length > 0 ? 2 : uses.some(isFull) ? 1 : 0;
  if (has("metrics")) {
    return { lines: openMetrics(families(uses, errors.length)), json: uses, exit };
  }
  return {
    lines: [
      ...(uses.length > 0 || errors.length === 0 ? tableOf(uses, isFull) : []),
      ...problems(errors),
    ],
    json: {
      networks: uses,
      errors: errors.map(({ code, message, details }) => ({ code, msg: message, details })),
    },
    exit,
  };
}

export async function useOf(
  it: Held,
  veths: ReadonlyMap<string, Link> | undefined,
): Promise<Use> {
  const rows = await attachments(it, veths);
  const pool: Pool | undefined = poolOf(it.ledger.pool);
  return {
    network: it.network,
    subnet: it.ledger.pool?.subnet,
    range: pool && `${formatIpv4(pool.range.start)} - ${formatIpv4(pool.range.end)}`,
    size: pool && countFree([], pool),
    held: rows.length,
    stale: veths && rows.filter(({ live }) => !live).length,
    free: pool && countFree(rows, pool),
  };
}

function tableOf(uses: readonly Use[], isFull: (use: Use) => boolean): Line[] {
  if (uses.length === 0) return ["No networks."];
  return table(
    ["NETWORK", "SUBNET", "RANGE", "SIZE", "HELD", "STALE", "FREE"],
    uses.map((use) => [
      use.network,
      use.subnet ?? "-",
      use.range ?? "-",
      String(use.size ?? "-"),
      String(use.held),
      use.stale ? { text: String(use.stale), tone: "warning" } : String(use.stale ?? "-"),
      isFull(use) ? { text: "0", tone: "bad" } : String(use.free ?? "-"),
    ]),
  );
}

/** All gauges, for the text format of Prometheus knows no other kind that fits. */
function families(uses: readonly Use[], unreadable: number): Family[] {
  const gauge = (name: string, help: string, of: (use: Use) => number | undefined): Family => ({
    name: `atomicni_${name}`,
    help,
    samples: uses.flatMap((use) => {
      const value = of(use);
      return value === undefined ? [] : [{ labels: { network: use.network }, value }];
    }),
  });
  const built = BUILD_FORM.startsWith("@") ? "source" : BUILD_FORM;
  return [
    gauge("pool_addresses", "Addresses that the network can give in all.", ({ size }) => size),
    gauge("pool_held", "Addresses that are given, stale ones included.", ({ held }) => held),
    gauge(
      "pool_stale",
      "Addresses whose host veth is gone; an ADD takes them back.",
      (it) => it.stale,
    ),
    gauge("pool_free", "Addresses that nobody holds.", ({ free }) => free),
    {
      name: "atomicni_state_unreadable",
      help: "State files that can't be read; see `atomicni status`.",
      samples: [{ labels: {}, value: unreadable }],
    },
    {
      name: "atomicni_build",
      help: "What this program is.",
      samples: [{ labels: { version: PROGRAM_VERSION, form: built }, value: 1 }],
    },
  ];
}
