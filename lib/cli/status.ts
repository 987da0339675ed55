import type { Call, Command, Report } from "./command.ts";
import { metricsOf } from "./metrics.ts";
import { NETWORK_OPTION, readOverview, selected } from "./overview.ts";
import { reportOn } from "./problems.ts";
import { OK, type Pool, poolsOf } from "./pools.ts";
import type { Line } from "./screen.ts";

export const status: Command = {
  name: "status",
  takes: "[NETWORK]",
  about: "each network's pools: size, held, stale and free addresses; also as metrics",
  example: "atomicni status --metrics > /var/lib/prometheus/node-exporter/atomicni.prom",
  options: {
    metrics: { type: "boolean", about: "as OpenMetrics text, for a textfile collector" },
    ...NETWORK_OPTION,
  },
  maxArguments: 1,
  run: report,
};

async function report(call: Call): Promise<Report> {
  const overview = await readOverview(call.kernel);
  const networks = selected(overview, call, "status");
  const pools = networks.flatMap(poolsOf);
  const json = { networks: pools.map(jsonOf) };
  const needsLook = pools.some(({ state }) => state !== OK);
  const { errors, unreadable } = overview;
  if (!call.has("metrics")) {
    return reportOn(overview, tableOf(pools, errors.length > 0), json, needsLook);
  }
  const lines = metricsOf(networks, pools, unreadable);
  return { ...reportOn(overview, [], json, needsLook), lines, isFile: true, errors };
}

/** The largest integer that every JSON parser reads exactly. */
const MOST_EXACT = BigInt(Number.MAX_SAFE_INTEGER);

function exact(value: bigint | undefined): number | string | undefined {
  return value === undefined || value > MOST_EXACT ? value?.toString() : Number(value);
}

function jsonOf(pool: Pool) {
  return { ...pool, size: exact(pool.size), free: exact(pool.free) };
}

function tableOf(pools: readonly Pool[], isPartial: boolean): Line[] {
  if (pools.length === 0) return isPartial ? [] : ["No networks."];
  return [{
    heading: ["NETWORK", "SUBNET", "RANGE", "SIZE", "HELD", "STALE", "FREE", "STATE"],
    spare: ["RANGE", "SIZE", "STALE", "SUBNET"],
    cut: "NETWORK",
    broken: "STATE",
    rows: pools.map(({ network, subnet, range, size, held, stale, free, state }) => [
      network,
      subnet ?? "-",
      range ?? "-",
      String(size ?? "-"),
      String(held ?? "-"),
      stale ? { text: String(stale), tone: "warning" } : String(stale ?? "-"),
      free === 0n && stale === 0 ? { text: "0", tone: "bad" } : String(free ?? "-"),
      { text: state, tone: state === OK ? "good" : "warning" },
    ]),
  }];
}
