import type { CniError } from "../../base/errors.ts";
import { formatSet } from "../../base/range.ts";
import type { NetworkConfig } from "../../config.ts";
import { countFree, listLeases, type State, statePath } from "../../ipam.ts";
import type { ShownAttachment } from "../attachments.ts";
import { firstThree } from "../first_three.ts";
import type { Overview } from "../overview.ts";
import type { StateWord } from "../state_words.ts";
import { type Finding, finding } from "./finding.ts";

/** doctor warns if a smaller share of the pool is free. */
const SHORT = 0.1;

/** The network's attachments as `list` shows them, and its pools. `isServed`: the checks of ADD passed. */
export function examineLeases(
  config: NetworkConfig,
  { networks, errors }: Overview,
  isServed: boolean,
): Finding[] {
  const { name, dataDir, bridge } = config;
  const seen = networks.find(({ network }) => network === name);
  const path = statePath(dataDir, name);
  const damage = errors.find(({ message }) => message.includes(`"${path}"`));
  if (damage !== undefined) return isServed ? [damaged(config, damage)] : []; // the checks of ADD reported it
  const rows = seen?.rows ?? [];
  const state = seen?.held.find((it) => it.dataDir === dataDir)?.state;
  return [
    ...pools(config, state, rows),
    ...staleLeases(rows),
    ...amiss(rows, bridge),
  ];
}

function damaged({ sets }: NetworkConfig, { message, details }: CniError): Finding {
  return sets.length === 0
    ? finding("warning", "state", `${message}; an ADD without addresses needs none`, details)
    : finding(
      "warning",
      "state",
      `${message}; no host veth exists, so the next ADD starts from scratch`,
      "nothing has to be done; the damaged file is kept with the new one",
    );
}

function pools(
  { sets }: NetworkConfig,
  state: State | undefined,
  rows: readonly ShownAttachment[],
): Finding[] {
  const held = state === undefined ? [] : listLeases(state).flatMap(({ ips }) => ips);
  const stale = rows.filter((it) => it.state === "stale").flatMap(({ ips }) => ips);
  return sets.map((set) => {
    const size = countFree(set, []);
    const free = countFree(set, held);
    const back = size - countFree(set, stale);
    const numbers = `${formatSet(set)}: ${size} addresses, ${
      size - free
    } held, ${back} of them stale, ${free} free`;
    const isShort = Number(free + back) < Number(size) * SHORT;
    return finding(
      isShort ? "warning" : "ok",
      "pool",
      numbers,
      isShort
        ? "before it is full: widen the range inside the subnet, or use another network for further containers"
        : "",
    );
  });
}

function staleLeases(rows: readonly ShownAttachment[]): Finding[] {
  const stale = rows.filter(({ state }) => state === "stale");
  if (stale.length === 0) return [];
  const some = firstThree(stale.map(({ ips }) => ips.join(", ")));
  return [
    finding(
      "warning",
      "leases",
      `${stale.length} stale, without a host veth, ${some}: an ADD that finds no free address reclaims them`,
      "atomicni repair < CONFIGURATION reclaims them now",
    ),
  ];
}

/** The finding about attachments in a state, with its remedy. */
interface Trouble {
  readonly about: string;
  readonly found: (some: string, bridge: string) => string;
  readonly remedy: string;
}

/** Every state that needs a look, except `stale` and `unknown`, which have their own findings. */
const TROUBLES: readonly (readonly [StateWord, Trouble])[] = [
  ["cut off", {
    about: "ports",
    found: (some, bridge) => `cut off, not up in "${bridge}": ${some}: they reach nothing there`,
    remedy:
      "atomicni repair < CONFIGURATION puts them back; if the bridge is gone, start any container of the network first",
  }],
  ["unguarded", {
    about: "guard",
    found: (some) => `unguarded, though the lease is guarded: ${some}`,
    remedy: "atomicni repair < CONFIGURATION guards them again",
  }],
  ["superseded", {
    about: "leases",
    found: (some) => `superseded, of an earlier ADD than the host veth: ${some}`,
    remedy:
      "a DEL of that container, or a GC, removes both; if the container lives: atomicni repair < CONFIGURATION",
  }],
  ["undecided", {
    about: "leases",
    found: (some) => `undecided, with several host veths or one that can't be inspected: ${some}`,
    remedy: "atomicni repair --dry-run < CONFIGURATION shows the reason",
  }],
  ["no lease", {
    about: "veths",
    found: (some) =>
      `no lease: ${some}: an ADD or DEL was killed, or the state file was lost or replaced`,
    remedy:
      "a DEL of that container, or a GC, removes it; if the container lives: atomicni repair < CONFIGURATION",
  }],
];

function amiss(rows: readonly ShownAttachment[], bridge: string): Finding[] {
  // repair leaves a veth in another bridge, because root may have moved it.
  const isElsewhere = ({ state, link }: ShownAttachment) =>
    state === "cut off" && !["", bridge].includes(link?.master ?? "");
  const others = rows.filter((row) => !isElsewhere(row));
  const found = TROUBLES.flatMap(([word, { about, found, remedy }]) => {
    const own = others.filter(({ state }) => state === word);
    if (own.length === 0) return [];
    return [finding("warning", about, `${own.length} ${found(named(own), bridge)}`, remedy)];
  });
  const moved = Map.groupBy(rows.filter(isElsewhere), ({ link }) => link?.master ?? "");
  return [
    ...found,
    ...[...moved].map(([there, own]) =>
      finding(
        "warning",
        "ports",
        `${own.length} cut off, in "${there}" instead of "${bridge}": ${named(own)}`,
        `${
          firstThree(own.map(({ veth }) => `ip link set dev ${veth} nomaster`))
        }; then atomicni repair < CONFIGURATION`,
      )
    ),
  ];
}

function named(rows: readonly ShownAttachment[]): string {
  return firstThree(
    rows.map(({ veth, containerId, ifname }) =>
      `"${veth}" of "${containerId}${ifname === "" ? "" : `/${ifname}`}"`
    ),
  );
}
