import { formatSet } from "../../base/range.ts";
import { listLeases } from "../../ipam.ts";
import type { ShownAttachment } from "../attachments.ts";
import { withoutBackquotes } from "../codes.ts";
import { useOf } from "../pools.ts";
import { STATE_WORDS } from "../state_words.ts";
import { firstThree } from "../wording.ts";
import { type Finding, finding, type Scene, warning } from "./finding.ts";

/** doctor warns if a smaller share of the pool is free. */
const SHORT = 0.1;

/** The network's attachments as `list` shows them, and its pools. */
export function examineLeases({ config, overview, isServed }: Scene): Finding[] {
  const { name, dataDir, bridge, sets } = config;
  const { networks, unreadable } = overview;
  const seen = networks.find(({ network }) => network === name);
  const damage = unreadable.find((it) => it.network === name && it.dataDir === dataDir)?.error;
  if (damage !== undefined) {
    if (!isServed) return []; // the checks of ADD reported it
    const { message, details } = damage;
    return [
      sets.length === 0
        ? warning("state", `${message}; an ADD without addresses needs none`, details)
        : warning(
          "state",
          `${message}; no host veth exists, so the next ADD starts from scratch`,
          "nothing has to be done; the damaged file is kept with the new one",
        ),
    ];
  }
  const rows = seen?.rows ?? [];
  const state = seen?.held.find((it) => it.dataDir === dataDir)?.state;
  const held = state === undefined ? [] : listLeases(state).flatMap(({ ips }) => ips);
  const reclaimable = rows.filter((it) => it.state === "stale").flatMap(({ ips }) => ips);
  const pools = sets.map((set) => {
    const { size, held: used, stale = 0, free } = useOf(set, held, reclaimable);
    const numbers = `${
      formatSet(set)
    }: ${size} addresses, ${used} held, ${stale} of them stale, ${free} free`;
    if (Number(free) + stale >= Number(size) * SHORT) return finding("ok", "pool", numbers);
    return warning(
      "pool",
      numbers,
      "before it is full: widen the range inside the subnet, or use another network for further containers",
    );
  });
  return [...pools, ...amiss(rows, bridge)];
}

/** A warning for each state of an attachment that needs a look, and for each other bridge with a host veth. */
function amiss(rows: readonly ShownAttachment[], bridge: string): Finding[] {
  // repair leaves a veth in another bridge, because root may have moved it.
  const isElsewhere = ({ state, link }: ShownAttachment) =>
    state === "cut off" && !["", bridge].includes(link?.master ?? "");
  const others = rows.filter((row) => !isElsewhere(row));
  const found = Object.entries(STATE_WORDS).flatMap(([word, [about, subject, remedy]]) => {
    const own = others.filter(({ state }) => state === word);
    if (own.length === 0 || subject === undefined) return [];
    const found = `${own.length} ${word}: ${named(own)}: ${withoutBackquotes(about)}`;
    return [warning(subject, found, remedy)];
  });
  const moved = Map.groupBy(rows.filter(isElsewhere), ({ link }) => link?.master ?? "");
  for (const [there, own] of moved) {
    const commands = firstThree(own.map(({ veth }) => `ip link set dev ${veth} nomaster`));
    found.push(warning(
      "ports",
      `${own.length} cut off, in "${there}" instead of "${bridge}": ${named(own)}`,
      `${commands}; then atomicni repair < CONFIGURATION`,
    ));
  }
  return found;
}

function named(rows: readonly ShownAttachment[]): string {
  return firstThree(
    rows.map(({ containerId, ifname, ips, veth }) =>
      `"${containerId}${ifname === "" ? "" : `/${ifname}`}" (${[...ips, veth].join(", ")})`
    ),
  );
}
