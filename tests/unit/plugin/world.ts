import { parseIp } from "../../../lib/base/address.ts";
import { hostVethName, type Owner } from "../../../lib/base/attachment.ts";
import { CniError } from "../../../lib/base/errors.ts";
import { parseContainerId, parseInterfaceName } from "../../../lib/base/names.ts";
import { type Network, parseInvocation } from "../../../lib/config.ts";
import {
  addLease,
  type AddMarks,
  type AddProgress,
  emptyState,
  type Lease,
  type LeaseRecord,
  type Leases,
  type Provenance,
} from "../../../lib/ipam.ts";
import type { Kernel, Link, PortFault } from "../../../lib/netops.ts";
import { parseLink } from "../../../lib/netops/links.ts";
import type { Effects } from "../../../lib/plugin.ts";
import { config as parse } from "../../podnet.ts";

const ENV: Record<string, string> = {
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/c1",
  CNI_IFNAME: "eth0",
};
export const INVOCATION = parseInvocation("ADD", (name) => ENV[name]);
export const RECORD: LeaseRecord = { since: "2026-01-01T00:00:00Z", hostMac: "fe:00:00:00:00:01" };
export const LEASE = lease("c1/eth0", "10.86.0.2");
export const BOUND: Lease = { ...LEASE, record: { ...RECORD, mac: "02:00:00:00:00:01" } };
export const GUARDED: Lease = { ...LEASE, record: { ...RECORD, guarded: true, bridge: "br0" } };
export const NETWORK: Network = { name: config().name, dataDir: "/s", bridge: config().bridge };
export const HOST = await hostVethName({ network: NETWORK.name, ...LEASE.owner });

export function lease(key: string, ...ips: string[]): Lease {
  const [id = "", ifname] = key.split("/");
  const owner: Owner = {
    containerId: parseContainerId(id),
    ifname: ifname === undefined ? undefined : parseInterfaceName(ifname),
  };
  return { owner, ips: ips.map((it) => parseIp(it)), record: ifname && RECORD || undefined };
}

export function config(changes: object = {}) {
  return parse({
    name: "podnet",
    bridge: "br0",
    subnet: "10.86.0.0/24",
    gateway: "10.86.0.1",
    ...changes,
  });
}

export interface World {
  /** The step that fails. */
  readonly failing?: string;
  /** The step that takes too long. */
  readonly late?: string;
  readonly held?: readonly Lease[];
  readonly provenance?: Provenance;
  /** Existing host veths. */
  readonly veths?: readonly Partial<Link>[];
  readonly mark?: AddProgress;
  readonly madeBridge?: boolean;
  /** Host veths of the network that are in no bridge. */
  readonly lost?: readonly Link[];
  /** Failures of ports that were put back into the bridge. */
  readonly faults?: readonly PortFault[];
  /** Whether the attachment's own host veth is gone. */
  readonly isGone?: boolean;
}

/** Fakes of kernel, leases and marks that record each step. */
export function effects(world: World = {}): Effects & { steps: string[] } {
  const { failing = "", late = "", held = [], mark = "none" } = world;
  const steps: string[] = [];
  const note = (name: string): void => {
    steps.push(name);
    if (name === failing) throw new CniError("IpFailed", name, "a remedy");
    if (name === late) throw new CniError("TryAgainLater", name, "a remedy");
  };
  const step = async <T>(name: string, result: T): Promise<T> => {
    await Promise.resolve();
    note(name);
    return result;
  };
  const links = (world.veths ?? []).map((it, index) => ({
    ...parseLink({ ifindex: index + 10, link_netnsid: 1 }),
    ...it,
  }));
  const unused = (): never => {
    throw new Error("a step that is not expected");
  };
  const kernel: Kernel = {
    attach: async ({ host, hostMac, bridge: { name, mac, gateways } }, undo) => {
      if (world.madeBridge === true && !steps.includes("ensureBridge")) {
        return { kind: "refused", bridge: undefined, why: new CniError("IpFailed", "", "") };
      }
      await step("attach", undefined);
      undo.push("detach", () => step("undo attach", undefined));
      const bridge = {
        ...parseLink({ ifname: name, mtu: 1500, address: mac, flags: ["UP", "PROMISC"] }),
        kind: "bridge",
        addresses: gateways.map((it) => ({ ...it, isDynamic: false })),
      };
      const port = {
        ...{ hairpin: false, isolated: false },
        ...{ learning: true, locked: false, forwardsReserved: false },
      };
      const link = parseLink({ ifname: host, address: hostMac, mtu: 1500, link_index: 2 });
      const lost = world.lost ?? [];
      return { kind: "made", before: bridge, bridge, host: { ...link, port }, lost };
    },
    ensureBridge: async ({ bridge: { name, mac } }, plan) => {
      if (plan.kind === "ready") return { bridge: plan.bridge, hasLostGuards: false };
      const bridge = parseLink({ ifname: name, address: mac });
      return await step("ensureBridge", { bridge, hasLostGuards: true });
    },
    settleMac: (_spec, _before, ready) => Promise.resolve(ready),
    configure: () => step("configure", undefined),
    guard: async (_spec, undo) => {
      undo.push("unguard", () => step("undo guard", undefined));
      await step("guard", undefined);
    },
    reattach: (_bridge, ports) => {
      const named = ports.map(({ host, guard }) =>
        `${host}${guard === undefined ? "" : " guarded"}`
      );
      return step(`reattach ${named.join(", ")}`, [...world.faults ?? []]);
    },
    portFaults: unused,
    flushNeighbours: (_bridge, ips) => step(`flush ${ips.join()}`, undefined),
    detach: (host, mac) => step("detach", links.find((it) => it.ifname === host && it.mac === mac)),
    remove: (link) => step(`remove ${link.ifname}`, undefined),
    link: (ifname) => step("link", links.find((it) => it.ifname === ifname)),
    links: () => step("links", links),
    view: () => step("view", links.map((link) => ({ link, inside: undefined }))),
    inspect: unused,
    inspectBridge: () => step("inspectBridge", undefined),
    pinInside: unused,
    ipVersion: unused,
    cannotEnter: () => Promise.resolve(undefined),
    cannotMakeVeth: () => Promise.resolve(undefined),
    routes: unused,
    forwarding: unused,
    close: () => Promise.resolve(),
  };
  const state = emptyState();
  for (const one of held) addLease(state, one);
  const provenance = world.provenance ?? "written";
  const leases: Leases = {
    read: () => {
      if (failing === "read") throw new CniError("StateDamaged", "read", "a remedy");
      if (provenance instanceof CniError) throw provenance;
      return { state, provenance };
    },
    transaction: async (decide) => {
      const before = Object.keys(state.containerToIP);
      const { result, write } = await decide(state, provenance);
      const after = Object.keys(state.containerToIP);
      const fresh = after.filter((key) => !before.includes(key));
      const gone = before.filter((key) => !after.includes(key));
      if (write === undefined) await step("look", undefined);
      else {
        const what = [
          ...fresh.map((key) => `reserve ${key}`),
          ...gone.map((key) => `release ${key}`),
        ];
        const how = write === "verified" ? "" : "unverified ";
        await step(`${how}${what.join(", ") || "same"}`, undefined);
      }
      return { result, backup: provenance instanceof CniError ? "/s/backup" : undefined };
    },
    examine: async (look) => {
      note("examine");
      return await look({ state, provenance });
    },
    sweep: () => step("sweep", undefined),
    checkWritable: () => {},
  };
  const marks = {
    begin: () => {
      note("mark");
      let isKept = false;
      return {
        followsKilled: mark === "died",
        lease: () => {},
        keep: () => {
          isKept = true;
        },
        end: () => steps.push(isKept ? "mark stays" : "unmark"),
      };
    },
    of: () => mark,
    clear: () => steps.push("clear mark"),
    sweep: () => {},
    hosts: () => mark === "none" ? [] : [HOST],
    all: () => new Map(mark === "none" ? [] : [[HOST, mark]]),
  } as unknown as AddMarks;
  return {
    steps,
    kernel,
    leases,
    marks,
    stop: new AbortController().signal,
    warn: (it) => steps.push(`warn ${it}`),
  };
}
