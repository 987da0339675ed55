import { asCniError, type CniError, ioError } from "../../base/errors.ts";
import { familyOf, formatCidr } from "../../base/address.ts";
import { formatSet } from "../../base/range.ts";
import { pause } from "../../base/deadline.ts";
import { STATE_FOLDER } from "../../base/scope.ts";
import type { NetworkConfig } from "../../config.ts";
import {
  checkFolder,
  countFree,
  holderOfLock,
  listLeases,
  lockPath,
  type State,
  statePath,
  tryLstat,
} from "../../ipam.ts";
import type { Attached } from "../attachments.ts";
import { few } from "../few.ts";
import type { Overview } from "../overview.ts";
import type { StateWord } from "../state_words.ts";
import { failure, type Finding, finding } from "./finding.ts";

/** Below this share of free addresses a pool is called short. */
const SHORT = 0.1;

/** An error if the caller may not read the state folder: all that follows would only be a consequence. */
export function examineAccess(): Finding | undefined {
  try {
    Deno.readDirSync(STATE_FOLDER)[Symbol.iterator]().next();
    return undefined;
  } catch (error) {
    if (!(error instanceof Deno.errors.PermissionDenied)) return undefined; // it is reported below
    return failure("access", ioError("list", STATE_FOLDER, error));
  }
}

/** Owner and mode of the folder. */
export function examineFolder({ dataDir }: NetworkConfig): Finding[] {
  try {
    if (!checkFolder(dataDir)) {
      return [finding("ok", "folder", `${dataDir} does not exist yet: the first ADD makes it`)];
    }
  } catch {
    return []; // what an ADD would fail with is told
  }
  const bits = tryLstat(dataDir)?.mode ?? 0;
  const mode = (bits & 0o7777).toString(8).padStart(4, "0");
  const found = `${dataDir}: root's, mode ${mode}`;
  if (mode === "0700") return [finding("ok", "folder", found)];
  const others = (bits & 0o022) === 0 ? "look in" : "write";
  return [finding("warning", "folder", `${found}, others can ${others}`, `chmod 700 ${dataDir}`)];
}

/** How long the lock is looked at: a run holds it for some milliseconds. */
const LOCK_TRIES = 10;

/** Whether the network's lock is one, and free. */
export async function examineLock({ dataDir, name }: NetworkConfig): Promise<Finding[]> {
  const path = lockPath(dataDir, name);
  try {
    if (tryLstat(path) === undefined) return [finding("ok", "lock", "not made yet")];
    let holder: string | undefined;
    for (let tries = 0; tries < LOCK_TRIES; tries++) {
      holder = holderOfLock(path);
      if (holder === undefined) return [finding("ok", "lock", `${path} is free`)];
      await pause(100);
    }
    return [{
      ...finding(
        "error",
        "lock",
        `${path} is held for more than a second, ${holder}: an ADD waits for it 10 s at most`,
        `fuser -v ${path}`,
      ),
      code: 11,
    }];
  } catch (error) {
    return [failure("lock", asCniError(error))];
  }
}

/** The network's attachments as `list` shows them, and its pools. `isServed`: an ADD would be served. */
export function examineLeases(
  config: NetworkConfig,
  { networks, errors }: Overview,
  isServed: boolean,
): Finding[] {
  const { name, dataDir, bridge } = config;
  const seen = networks.find(({ network }) => network === name);
  const path = statePath(dataDir, name);
  const damage = errors.find(({ message }) => message.includes(`"${path}"`));
  if (damage !== undefined) return isServed ? [damaged(config, damage)] : []; // it is reported already
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
  rows: readonly Attached[],
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
        ? "before it is full: widen the range inside the subnet, or give further containers another network"
        : "",
    );
  });
}

function staleLeases(rows: readonly Attached[]): Finding[] {
  const stale = rows.filter(({ state }) => state === "stale");
  if (stale.length === 0) return [];
  const some = few(stale.map(({ ips }) => ips.join(", ")));
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

/** Every state that needs a look, except `stale` and `unknown`, which have findings of their own. */
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
    remedy: "atomicni repair --dry-run < CONFIGURATION says what is in the way",
  }],
  ["no lease", {
    about: "veths",
    found: (some) =>
      `no lease: ${some}: an ADD or DEL was killed, or the state file was lost or replaced`,
    remedy:
      "a DEL of that container, or a GC, removes it; if the container lives: atomicni repair < CONFIGURATION",
  }],
];

function amiss(rows: readonly Attached[], bridge: string): Finding[] {
  return TROUBLES.flatMap(([word, { about, found, remedy }]) => {
    const own = rows.filter(({ state }) => state === word);
    if (own.length === 0) return [];
    const some = few(
      own.map(({ veth, containerId, ifname }) =>
        `"${veth}" of "${containerId}${ifname === "" ? "" : `/${ifname}`}"`
      ),
    );
    return [finding("warning", about, `${own.length} ${found(some, bridge)}`, remedy)];
  });
}

/** What the network is, in one sentence. */
export function subnetsLine({ sets, bridge }: NetworkConfig): string {
  const subnets = [...new Set(sets.flat().map(({ subnet }) => formatCidr(subnet)))];
  const families = new Set(sets.flat().map(({ start }) => familyOf(start)));
  const what = subnets.length === 0 ? "no addresses (layer 2)" : subnets.join(", ");
  return `${what} on bridge "${bridge}"${families.size === 2 ? ", dual-stack" : ""}`;
}
