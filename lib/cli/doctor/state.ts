import { attachmentOf, ownerKey } from "../../base/attachment.ts";
import { asCniError } from "../../base/errors.ts";
import { familyOf, formatCidr } from "../../base/address.ts";
import { formatSet } from "../../base/range.ts";
import { pause } from "../../base/deadline.ts";
import type { NetworkConfig } from "../../config.ts";
import {
  checkFolder,
  countFree,
  findLease,
  holderOfLock,
  listLeases,
  lockPath,
  type State,
  tryLstat,
} from "../../ipam.ts";
import type { Link } from "../../netops.ts";
import type { Effects } from "../../plugin.ts";
import { type Attached, attachments } from "../attachments.ts";
import { few } from "../few.ts";
import { failure, type Finding, finding } from "./finding.ts";

/** Below this share of free addresses a pool is called short. */
const SHORT = 0.1;

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

/** The network's leases against its pools and against the veths that the host has. */
export async function examineLeases(
  config: NetworkConfig,
  effects: Effects,
  veths: ReadonlyMap<string, Link>,
  isServed: boolean,
): Promise<Finding[]> {
  let state: State;
  try {
    state = effects.leases.state();
  } catch (error) {
    if (!isServed) return []; // it is told already
    const { message, details } = asCniError(error);
    if (config.sets.length === 0) {
      return [
        finding("warning", "state", `${message}; an ADD without addresses needs none`, details),
      ];
    }
    return [
      finding(
        "warning",
        "state",
        `${message}; no host veth stands, so the next ADD begins anew`,
        "nothing has to be done; the damaged file is kept beside the new one",
      ),
    ];
  }
  const { name, dataDir, bridge } = config;
  const rows = await attachments({ network: name, dataDir, state }, veths);
  return [
    ...pools(config, state, rows),
    ...staleLeases(rows),
    ...withoutBridge(rows, bridge),
    ...await leftoverVeths(config, state, effects, veths),
  ];
}

function pools({ sets }: NetworkConfig, state: State, rows: readonly Attached[]): Finding[] {
  const held = listLeases(state).flatMap(({ ips }) => ips);
  const stale = rows.filter(({ live }) => live === false).flatMap(({ ips }) => ips);
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
  const stale = rows.filter(({ live }) => live === false);
  if (stale.length === 0) return [];
  const some = few(stale.map(({ ips }) => ips.join(", ")));
  return [
    finding(
      "warning",
      "leases",
      `${stale.length} without a host veth, ${some}: an ADD that finds no free address takes them back`,
      "atomicni repair < CONFIGURATION takes them back now",
    ),
  ];
}

/** A bridge that was removed takes its ports' place with it: they are live, and reach nothing. */
function withoutBridge(rows: readonly Attached[], bridge: string): Finding[] {
  const lost = rows.filter(({ link }) => link !== undefined && link.master !== bridge);
  const [first] = lost;
  if (first === undefined) return [];
  const where = first.link?.master === "" ? "in no bridge" : `in ${first.link?.master}`;
  return [
    finding(
      "warning",
      "ports",
      `${lost.length} live, but not in "${bridge}" (${first.veth} of ${first.containerId} is ${where}): they reach nothing there`,
      "atomicni repair < CONFIGURATION puts them back; where the bridge is gone, start any container of the network first",
    ),
  ];
}

/** Host veths that say they are this network's and have no lease. */
async function leftoverVeths(
  { name, sets }: NetworkConfig,
  state: State,
  { marks }: Effects,
  veths: ReadonlyMap<string, Link>,
): Promise<Finding[]> {
  if (sets.length === 0) return [];
  const found: Finding[] = [];
  for (const link of veths.values()) {
    const owner = await attachmentOf(link);
    if (owner?.network !== name || findLease(state, owner) !== undefined) continue;
    if (marks.of(link.ifname) === "running") continue;
    found.push(
      finding(
        "warning",
        "veths",
        `"${link.ifname}" of "${
          ownerKey(owner)
        }" has no lease: its ADD or DEL was killed, or the state file was replaced`,
        "a DEL of that container, or a GC, removes it; if the container lives: atomicni repair < CONFIGURATION",
      ),
    );
  }
  return found;
}

/** What the network is, in one sentence. */
export function subnetsLine({ sets, bridge }: NetworkConfig): string {
  const subnets = [...new Set(sets.flat().map(({ subnet }) => formatCidr(subnet)))];
  const families = new Set(sets.flat().map(({ start }) => familyOf(start)));
  const what = subnets.length === 0 ? "no addresses (layer 2)" : subnets.join(", ");
  return `${what} on bridge "${bridge}"${families.size === 2 ? ", dual-stack" : ""}`;
}
