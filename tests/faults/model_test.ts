import { assert, assertEquals } from "@std/assert";
import { type Invocation, type NetworkConfig, parseConfig, parseStdin } from "../../lib/config.ts";
import type { ContainerId, InterfaceName, NetworkName } from "../../lib/names.ts";
import { aliasOf, hostVethName, macOf } from "../../lib/names.ts";
import { parseIpv4 } from "../../lib/ipv4.ts";
import { add, del, type Effects, gc } from "../../lib/plugin.ts";
import { emptyState } from "../../lib/ledger.ts";
import type { NetnsPath } from "../../lib/config.ts";
import {
  addCopied,
  addThatFreesFirst,
  addWithLeaseFirst,
  delThatFreesAnyway,
  delThatFreesFirst,
  gcByName,
} from "./model/wrong.ts";
import { record, say, SIZE } from "./outcome.ts";
import { explore, type Run, type Scenario } from "./model/explore.ts";
import type { ModelKernel } from "./model/ip.ts";

/** Two addresses: .2 and .3. */
const CONFIG: NetworkConfig = parseConfig(
  parseStdin(JSON.stringify({
    cniVersion: "1.1.0",
    name: "podnet",
    type: "atomicni",
    bridge: "atomic0",
    subnet: "10.88.0.0/29",
    gateway: "10.88.0.1",
    ipam: { rangeStart: "10.88.0.2", rangeEnd: "10.88.0.3" },
  })),
  "1.1.0",
  {},
);

function invocation(container: string): Invocation {
  return {
    containerId: container as ContainerId,
    ifname: "eth0" as InterfaceName,
    netns: `/run/netns/${container}` as NetnsPath,
    args: {},
  };
}

const key = (container: string) => `${container}/eth0`;

function adding(
  name: string,
  container: string,
  how: (config: NetworkConfig, invocation: Invocation, effects: Effects) => Promise<unknown> = add,
): Run {
  return {
    name,
    kind: "ADD",
    key: key(container),
    run: (effects) => how(CONFIG, invocation(container), effects),
  };
}

function deleting(name: string, container: string, how = del): Run {
  return {
    name,
    kind: "DEL",
    key: key(container),
    run: (effects) => how(CONFIG, invocation(container), effects),
  };
}

function collecting(name: string, keep?: readonly string[]): Run {
  const valid = keep?.map((containerId) => ({ containerId, ifname: "eth0" }));
  return {
    name,
    kind: "GC",
    ...(keep && { keep: keep.map(key) }),
    run: (effects) => gc(CONFIG, valid, effects),
  };
}

/** What an attachment has at the start: all of it, or what a run that was killed, or a reboot, left. */
type Before = "live" | "veth" | "stale lease" | "old namespace" | "old namespace veth";

async function scenario(
  { before = {}, bridge = true, runs, faults = 1, killsOnly = false, byLine = false }: {
    before?: Record<string, Before>;
    bridge?: boolean;
    runs: readonly Run[];
    faults?: number;
    killsOnly?: boolean;
    byLine?: boolean;
  },
): Promise<Scenario> {
  const containers = [
    ...new Set([...Object.keys(before), ...runs.flatMap((it) => it.key?.split("/")[0] ?? [])]),
  ].sort();
  const kernel: ModelKernel = { links: [], containers: [...containers, "old"], made: {} };
  if (bridge) {
    kernel.links.push({
      index: 2,
      netns: "",
      name: "atomic0",
      kind: "bridge",
      mac: "0a:58:0a:58:00:01",
      alias: "",
      master: "",
      up: true,
      addresses: ["10.88.0.1/29"],
    });
  }
  const state = { ...emptyState() };
  const live: Record<string, string> = {};
  let last = 1;
  for (const [container, what] of Object.entries(before)) {
    const ip = `10.88.0.${++last}`;
    const mac = `fe:00:00:00:00:0${last}`;
    const attachment = { network: "podnet" as NetworkName, ...invocation(container) };
    if (what !== "stale lease") {
      const plain = { kind: "veth" as const, up: true };
      const netns = what.startsWith("old namespace") ? "old" : container;
      kernel.links.push(
        {
          ...plain,
          index: 10 * last,
          netns: "",
          name: await hostVethName(attachment),
          mac,
          alias: aliasOf(attachment, undefined),
          master: "atomic0",
          peer: 10 * last + 1,
          addresses: [],
        },
        {
          ...plain,
          index: 10 * last + 1,
          netns,
          name: "eth0",
          mac: macOf(parseIpv4(ip)),
          alias: "",
          master: "",
          peer: 10 * last,
          addresses: what === "live" ? [`${ip}/29`] : [],
        },
      );
    }
    if (!what.endsWith("veth")) {
      state.containerToIP[key(container)] = ip;
      state.ipToContainer[ip] = key(container);
      state.leases[ip] = { since: "2026-01-01T00:00:00Z", veth: mac };
      state.lastReserved = ip;
    }
    if (what === "live") live[key(container)] = ip;
  }
  const after = containers.map((container, index) =>
    deleting(String.fromCharCode(107 + index), container)
  );
  return { kernel, state: last === 1 ? null : state, live, runs, after, faults, killsOnly, byLine };
}

type Parts = Parameters<typeof scenario>[0];

const [A, B] = [adding("A", "a"), adding("B", "b")];
const SCENARIOS: Record<string, Parts> = {
  "two ADDs, a DEL of a third, a GC without a list; killed anywhere": {
    before: { p: "live" },
    runs: [A, B, deleting("D", "p"), collecting("G")],
    killsOnly: true,
  },
  "two ADDs of one attachment, a DEL of another, a GC with a list; killed anywhere": {
    before: { p: "live" },
    runs: [A, adding("B", "a"), deleting("D", "p"), collecting("G", ["a"])],
    killsOnly: true,
  },
  "two ADDs and a DEL; killed, failed, late, signalled anywhere": {
    before: { p: "live" },
    runs: [A, B, deleting("D", "p")],
  },
  "two ADDs into a pool of stale leases and a GC with a list; any fault": {
    before: { p: "stale lease", q: "stale lease" },
    runs: [A, B, collecting("G", ["a", "b"])],
  },
  "an ADD and the DEL of one attachment, line by line; any fault": {
    before: { a: "veth" },
    runs: [A, deleting("D", "a")],
    byLine: true,
  },
  "one ADD without a bridge, line by line; any two faults": {
    bridge: false,
    runs: [A],
    faults: 2,
    byLine: true,
  },
};

/** Minutes each: only where there is time for all. */
const LONG: Record<string, Parts> = {
  "two ADDs of one attachment whose last container is left over; killed anywhere": {
    before: { a: "old namespace" },
    runs: [A, adding("B", "a")],
    killsOnly: true,
  },
  "two ADDs of one attachment, its DEL, a GC without a list; killed anywhere": {
    before: { a: "stale lease", q: "stale lease" },
    runs: [A, adding("B", "a"), deleting("D", "a"), collecting("G")],
    killsOnly: true,
  },
  "an ADD of an attachment whose last container is left over, its DEL, a GC; any fault": {
    before: { a: "old namespace" },
    runs: [A, deleting("D", "a"), collecting("G")],
  },
  "two ADDs of one attachment without a bridge; killed anywhere": {
    bridge: false,
    runs: [A, adding("B", "a")],
    killsOnly: true,
  },
};

/** Copies of the steps with a mistake, each in a scenario that the right steps pass. */
const WRONG: Record<string, { parts: Parts; right: Parts }> = {
  "the lease before the veth": {
    parts: { before: { p: "live" }, runs: [adding("A", "a", addWithLeaseFirst), B], faults: 0 },
    right: { before: { p: "live" }, runs: [adding("A", "a", addCopied), B], faults: 0 },
  },
  "release before delete": {
    parts: { before: { p: "live" }, runs: [A, deleting("D", "p", delThatFreesFirst)], faults: 0 },
    right: { before: { p: "live" }, runs: [A, deleting("D", "p")], faults: 0 },
  },
  "release though the delete failed": {
    parts: { before: { p: "live" }, runs: [deleting("D", "p", delThatFreesAnyway)] },
    right: { before: { p: "live" }, runs: [deleting("D", "p")] },
  },
  "an undo that frees the address before the veth is gone": {
    parts: { runs: [adding("A", "a", addThatFreesFirst), B] },
    right: { runs: [adding("A", "a", addCopied), B] },
  },
  "a GC that removes by name": {
    parts: {
      before: { a: "old namespace veth" },
      runs: [A, { name: "G", kind: "GC", run: (it) => gcByName(CONFIG, invocation("a"), it) }],
      faults: 0,
    },
    right: { before: { a: "old namespace veth" }, runs: [A, collecting("G")], faults: 0 },
  },
};

function shown(history: readonly string[] | undefined): string {
  return (history ?? []).map((line, at) => `  ${at + 1}. ${line}`).join("\n");
}

globalThis.Date = class extends Date {
  constructor() {
    super(0);
  }
} as DateConstructor;

for (
  const [name, parts] of Object.entries(SIZE === "short" ? SCENARIOS : { ...SCENARIOS, ...LONG })
) {
  Deno.test(`model: ${name}`, async () => {
    const began = performance.now();
    const { states, broken } = await explore(await scenario(parts));
    assertEquals(broken, undefined, `a history breaks it:\n${shown(broken)}`);
    const seconds = Math.round((performance.now() - began) / 1000);
    record({
      fault: `model: ${name}`,
      tries: `${states} states`,
      outcome: `all right (${seconds} s)`,
    });
  });
}

for (const [name, { parts, right }] of Object.entries(WRONG)) {
  Deno.test(`model finds: ${name}`, async () => {
    assertEquals((await explore(await scenario(right))).broken, undefined);
    const { states, broken } = await explore(await scenario(parts));
    assert(broken !== undefined, "the model sees nothing wrong");
    record({
      fault: `model, to see that it finds mistakes: ${name}`,
      tries: `${states} states`,
      outcome: `found: ${broken.at(-1)?.slice(2)}, after ${broken.length - 1} steps`,
    });
    say(`the shortest history:\n${shown(broken)}`);
  });
}
