import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { parseIp } from "../../lib/base/address.ts";
import { hostVethName, type Owner, ownerKey } from "../../lib/base/attachment.ts";
import { CniError } from "../../lib/base/errors.ts";
import { parseContainerId, parseInterfaceName } from "../../lib/base/names.ts";
import { type Network, parseInvocation } from "../../lib/config.ts";
import {
  emptyState,
  type Lease,
  type LeaseRecord,
  type Leases,
  type Marks,
  type Work,
} from "../../lib/ipam.ts";
import type { Kernel, Link } from "../../lib/netops.ts";
import { parseLink } from "../../lib/netops/links.ts";
import { add, del, type Effects, gc, mustServe, status } from "../../lib/plugin.ts";
import { config as parse } from "../podnet.ts";

const ENV: Record<string, string> = {
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/c1",
  CNI_IFNAME: "eth0",
};
const INVOCATION = parseInvocation("ADD", (name) => ENV[name]);
const RECORD: LeaseRecord = { since: "2026-01-01T00:00:00Z", hostMac: "fe:00:00:00:00:01" };
const LEASE = lease("c1/eth0", "10.88.0.2");
const BOUND: Lease = { ...LEASE, record: { ...RECORD, mac: "02:00:00:00:00:01" } };
const GUARDED: Lease = { ...LEASE, record: { ...RECORD, guarded: true, bridge: "br0" } };
const MAC = { runtimeConfig: { mac: "02:00:00:00:00:01" } };
const NETWORK: Network = { name: config().name, dataDir: "/s", bridge: config().bridge };
const HOST = await hostVethName({ network: NETWORK.name, ...LEASE.owner });

function lease(key: string, ...ips: string[]): Lease {
  const [id = "", ifname] = key.split("/");
  const owner: Owner = {
    containerId: parseContainerId(id),
    ifname: ifname === undefined ? undefined : parseInterfaceName(ifname),
  };
  return { owner, ips: ips.map((it) => parseIp(it)), record: ifname && RECORD || undefined };
}

function config(changes: object = {}) {
  return parse({
    name: "podnet",
    bridge: "br0",
    subnet: "10.88.0.0/24",
    gateway: "10.88.0.1",
    ...changes,
  });
}

interface World {
  /** The step that fails. */
  readonly failing?: string;
  /** The step behind which the run is told to stop. */
  readonly stopping?: string;
  readonly held?: readonly Lease[];
  /** Host veths that stand. */
  readonly veths?: readonly Partial<Link>[];
  readonly mark?: Work;
  readonly madeBridge?: boolean;
  /** The attachment's own host veth is gone. */
  readonly isGone?: boolean;
}

/** Kernel, leases and marks that note each step. */
function effects(world: World = {}): Effects & { steps: string[] } {
  const { failing = "", stopping = "", held = [], mark = "none" } = world;
  const steps: string[] = [];
  const stop = new AbortController();
  const note = (name: string): void => {
    steps.push(name);
    if (name === stopping) {
      stop.abort(new CniError("TryAgainLater", "Cannot finish: ended by SIGTERM"));
    }
    if (name === failing) throw new CniError("IpFailed", name);
  };
  const step = async <T>(name: string, result: T): Promise<T> => {
    await Promise.resolve();
    note(name);
    return result;
  };
  const links = (world.veths ?? []).map((it) => ({ ...parseLink({}), ...it }));
  const unused = (): never => {
    throw new Error("a step that is not expected");
  };
  const kernel: Kernel = {
    attach: async ({ host, hostMac, bridge }, { undo, beforeBridge }) => {
      if (world.madeBridge === true) await beforeBridge();
      await step("attach", undefined);
      undo.push("detach", () => step("undo attach", undefined));
      return {
        bridge: parseLink({ ifname: bridge.name, mtu: 1500, address: bridge.mac }),
        host: {
          ...parseLink({ ifname: host, address: hostMac, mtu: 1500, link_index: 2 }),
          port: { hairpin: false, isolated: false, learning: true, locked: false },
        },
        madeBridge: world.madeBridge === true,
      };
    },
    configure: () => step("configure", undefined),
    guard: async (_spec, undo) => {
      undo.push("unguard", () => step("undo guard", undefined));
      await step("guard", undefined);
    },
    reattach: (_bridge, { host, guard }) =>
      step(`reattach ${host}${guard === undefined ? "" : " guarded"}`, undefined),
    forgetNeighbours: (_bridge, ips) => step(`forget ${ips.join()}`, undefined),
    detach: () => step("detach", world.isGone !== true),
    remove: (link) => step(`remove ${link.ifname}`, undefined),
    link: (ifname) => step("link", links.find((it) => it.ifname === ifname)),
    links: () => step("links", links),
    veths: () => step("veths", new Map(links.map((it) => [it.ifname, it]))),
    lookInside: () => step("lookInside", new Map()),
    inspect: unused,
    inspectBridge: () => step("inspectBridge", undefined),
    guards: unused,
    version: unused,
    cannotEnter: unused,
    routes: unused,
    forwarding: unused,
    close: () => Promise.resolve(),
  };
  const leases: Leases = {
    mustBeReadable: () => {
      if (failing === "readable") throw new CniError("IOFailure", "readable");
    },
    preload: () => {},
    of: (owner) => {
      if (failing === "read") throw new CniError("StateDamaged", "read");
      return held.find((it) => ownerKey(it.owner) === ownerKey(owner));
    },
    all: () => {
      if (failing === "read") throw new CniError("StateDamaged", "read");
      return [...held];
    },
    state: emptyState,
    mustFit: () => note("mustFit"),
    reserve: (request) =>
      step("reserve", {
        ...LEASE,
        ips: request.sets.map((_set, index) => parseIp(["10.88.0.2", "fd00::2"][index])),
      }),
    release: (doomed) =>
      step(`release ${doomed.map(({ owner }) => ownerKey(owner)).join()}`.trim(), undefined),
    undoReserve: () => step("undo reserve", undefined),
    adopt: unused,
    releaseStale: () => step("releaseStale", []),
    free: (sets) => step("free", sets.map(() => failing === "full" ? 0n : 1n)),
    wouldBeginAnew: () => step("wouldBeginAnew", false),
    mustBeWhole: () => step("mustBeWhole", undefined),
    rebuild: unused,
    mustBeWritable: () => {
      if (failing === "writable") throw new CniError("IOFailure", "writable");
    },
  };
  const marks = {
    begin: () => {
      note("mark");
      return { end: (isLate: boolean) => steps.push(isLate ? "mark stays" : "unmark") };
    },
    of: () => mark,
    clear: () => steps.push("clear mark"),
    hosts: () => [],
  } as unknown as Marks;
  return {
    steps,
    kernel,
    leases,
    marks,
    stop: stop.signal,
    warn: (it) => steps.push(`warn ${it}`),
  };
}

Deno.test("ADD makes the veth before the lease, configures last, and is marked meanwhile", async () => {
  const rows: [object, string[]][] = [
    [{}, ["attach", "reserve", "configure"]],
    [MAC, ["attach", "reserve", "configure", "forget 10.88.0.2"]],
    [{ macspoofchk: true }, ["attach", "reserve", "configure", "guard"]],
    [{ macspoofchk: true, ...MAC }, ["attach", "reserve", "configure", "guard"]],
    [{ subnet: undefined, gateway: undefined, ipam: {} }, ["attach", "configure"]],
  ];
  for (const [changes, steps] of rows) {
    const plain = effects();
    await add(config(changes), INVOCATION, plain);
    assertEquals(plain.steps, ["mark", ...steps, "unmark"]);
  }
});

Deno.test("ADD returns bridge, host veth and container, and the addresses of both families behind what was there", async () => {
  const before = {
    interfaces: [{ name: "other", mac: "02:00:00:00:00:09" }],
    ips: [{ address: "10.9.0.2/24", interface: 0 }],
    routes: [{ dst: "10.9.0.0/16" }],
    dns: { domain: "x" },
  };
  const dual = config({ subnet6: "fd00::/64", gateway6: "fd00::1", prevResult: before });
  const delivered: unknown[] = [];
  const result = await add(dual, INVOCATION, effects(), (it) => delivered.push(it));
  assertEquals(delivered, [result]);
  const hostMac = result.interfaces[2]?.mac ?? "";
  assertEquals<unknown>(result, {
    interfaces: [
      ...before.interfaces,
      { name: "br0", mac: "0a:58:0a:58:00:01", mtu: 1500 },
      { name: HOST, mac: hostMac, mtu: 1500 },
      { name: "eth0", mac: "0a:58:0a:58:00:02", mtu: 1500, sandbox: "/run/netns/c1" },
    ],
    ips: [
      ...before.ips,
      { interface: 3, address: "10.88.0.2/24", gateway: "10.88.0.1" },
      { interface: 3, address: "fd00::2/64", gateway: "fd00::1" },
    ],
    routes: [
      ...before.routes,
      { dst: "0.0.0.0/0", gw: "10.88.0.1" },
      { dst: "::/0", gw: "fd00::1" },
    ],
    dns: { domain: "x" },
  });
  assertEquals(hostMac.startsWith("fe:"), true);
});

Deno.test("ADD that fails undoes what it had made, newest first", async () => {
  const asked = { ...MAC };
  const guarded = { macspoofchk: true };
  const rows: [string, object, string[]][] = [
    // `undoReserve` knows by itself that nothing was reserved yet.
    ["attach", asked, ["undo reserve"]],
    ["reserve", asked, ["undo attach", "undo reserve"]],
    ["configure", asked, ["undo attach", "undo reserve"]],
    ["forget 10.88.0.2", asked, ["undo attach", "undo reserve"]],
    ["configure", guarded, ["undo guard", "undo attach", "undo reserve"]],
    ["guard", guarded, ["undo guard", "undo attach", "undo reserve"]],
  ];
  for (const [failing, changes, undone] of rows) {
    const tools = effects({ failing });
    await assertRejects(() => add(config(changes), INVOCATION, tools), CniError, failing);
    assertEquals(tools.steps.filter((it) => it.startsWith("undo")), undone, failing);
    assertEquals(tools.steps.at(-1), "unmark");
  }
});

Deno.test("ADD whose state can't be read, or that another one of it is beside, touches nothing", async () => {
  const unreadable = effects({ failing: "readable" });
  await assertRejects(() => add(config(), INVOCATION, unreadable), CniError, "readable");
  assertEquals(unreadable.steps, []);
  const beside = effects({ failing: "mark" });
  await assertRejects(() => add(config(), INVOCATION, beside), CniError, "mark");
  assertEquals(beside.steps, ["mark"]);
  const unfit = effects({ failing: "mustFit", madeBridge: true });
  await assertRejects(() => add(config(), INVOCATION, unfit), CniError, "mustFit");
  assertEquals(unfit.steps, ["mark", "mustFit", "undo reserve", "unmark"]);
});

Deno.test("ADD that is told to stop, or whose result nobody gets, undoes what it had made", async () => {
  for (const stopping of ["attach", "reserve", "configure"]) {
    const tools = effects({ stopping });
    const error = await assertRejects(() => add(config(), INVOCATION, tools), CniError, "SIGTERM");
    assertEquals(error.code, 11);
    // What an ip that was given up may still do, a later DEL waits for.
    assertEquals(tools.steps.slice(-3), ["undo attach", "undo reserve", "mark stays"], stopping);
  }
  const lost = effects();
  const deliver = () => {
    throw new CniError("IOFailure", "Cannot print the result");
  };
  await assertRejects(() => add(config(), INVOCATION, lost, deliver), CniError, "Cannot print");
  assertEquals(lost.steps.slice(-3), ["undo attach", "undo reserve", "unmark"]);
});

Deno.test("ADD that makes the bridge anew puts the network's veths that have no master back into it", async () => {
  const veth = async (key: string, changes: Partial<Link> = {}): Promise<Partial<Link>> => {
    const { containerId, ifname = INVOCATION.ifname } = lease(key).owner;
    return {
      ifname: await hostVethName({ network: NETWORK.name, containerId, ifname }),
      alias: `podnet/${key}`,
      ...changes,
    };
  };
  const [own, guarded, plain] = [
    await veth("c1/eth0"),
    await veth("c2/eth0"),
    await veth("c3/eth0"),
  ];
  const tools = effects({
    madeBridge: true,
    held: [
      { ...lease("c2/eth0", "10.88.0.3"), record: GUARDED.record },
      lease("c3/eth0", "10.88.0.4"),
    ],
    veths: [
      own,
      guarded,
      plain,
      await veth("c4/eth0", { master: "br1" }),
      await veth("c5/eth0", { alias: "other/c5/eth0" }),
      { ifname: "veth0", alias: "" },
    ],
  });
  await add(config(), INVOCATION, tools);
  assertEquals(tools.steps, [
    "mark",
    "mustFit",
    "attach",
    "reserve",
    "configure",
    "veths",
    `reattach ${guarded.ifname} guarded`,
    `reattach ${plain.ifname}`,
    "unmark",
  ]);
});

Deno.test("DEL sees the veth gone before it releases, and goes on past what fails", async () => {
  const other: Partial<Link> = { ifname: HOST, alias: "podnet/c9/eth0" };
  const own: Partial<Link> = { ifname: HOST, alias: "podnet/c1/eth0" };
  const rows: [World, string[]][] = [
    [{}, ["link", "release"]],
    [{ held: [LEASE] }, ["detach", "release c1/eth0"]],
    [{ held: [BOUND] }, ["detach", "forget 10.88.0.2", "release c1/eth0"]],
    [{ held: [GUARDED] }, ["detach", "forget 10.88.0.2", "release c1/eth0"]],
    // Without a lease the name may be another attachment's.
    [{ veths: [own] }, ["link", `remove ${HOST}`, "release"]],
    [{ veths: [{ ...own, alias: "" }] }, ["link", `remove ${HOST}`, "release"]],
    [{ veths: [other] }, ["link", "release"]],
    [{ veths: [{ ...own, alias: "other/c1/eth0" }] }, ["link", "release"]],
    // With one it may have been renamed.
    [{ held: [LEASE], isGone: true }, ["detach", "veths", "release c1/eth0"]],
    [{ held: [LEASE], isGone: true, veths: [{ ...own, ifname: "renamed0" }] }, [
      "detach",
      "veths",
      "remove renamed0",
      "release c1/eth0",
    ]],
    [{ held: [LEASE], mark: "died" }, ["detach", "clear mark", "release c1/eth0"]],
    [{ held: [LEASE], mark: "at work" }, ["detach", "release c1/eth0"]],
    [{ held: [LEASE, lease("c1", "10.88.0.3")] }, ["veths", "detach", "release c1,c1/eth0"]],
    [{ failing: "detach", held: [LEASE] }, ["detach", "release"]],
    [{ failing: "release c1/eth0", held: [LEASE] }, ["detach", "release c1/eth0"]],
    [{ failing: "forget 10.88.0.2", held: [BOUND] }, [
      "detach",
      "forget 10.88.0.2",
      "warn forget 10.88.0.2",
      "release c1/eth0",
    ]],
  ];
  for (const [world, steps] of rows) {
    const tools = effects(world);
    const run = () => del(NETWORK, INVOCATION, tools);
    const isFatal = world.failing !== undefined && !world.failing.startsWith("forget");
    if (isFatal) await assertRejects(run, CniError, world.failing);
    else await run();
    assertEquals(tools.steps, steps, JSON.stringify(world));
  }
});

Deno.test("DEL waits for the late veth of an ADD that was killed, and for no other", async () => {
  const late = effects({ mark: "died", veths: [] });
  let looks = 0;
  const kernel: Kernel = {
    ...late.kernel,
    link: (ifname) => Promise.resolve(++looks === 3 ? parseLink({ ifname }) : undefined),
  };
  await del(NETWORK, INVOCATION, { ...late, kernel });
  assertEquals([looks, late.steps], [3, ["detach", "clear mark", "release"]]);
  for (const mark of ["none", "at work"] as const) {
    const tools = effects({ mark });
    const began = performance.now();
    await del(NETWORK, INVOCATION, tools);
    assertEquals([tools.steps, performance.now() - began < 1000], [["link", "release"], true]);
  }
});

Deno.test("DEL removes the veth even where the state can't be read", async () => {
  const tools = effects({ failing: "read" });
  const error = await assertRejects(() => del(NETWORK, INVOCATION, tools), CniError, "read");
  assertEquals(error.code, 104);
  assertStringIncludes(error.details, "is gone");
  assertEquals(tools.steps, ["link", "wouldBeginAnew"]);
});

Deno.test("GC releases what is not listed, and without a list only what is stale", async () => {
  const keep = [{ containerId: "c1", ifname: "eth0" }];
  const own: Partial<Link> = { ifname: HOST, alias: "podnet/c1/eth0" };
  const cut: Partial<Link> = { ifname: "av0123456789abc", alias: `podnet/${"c".repeat(248)}` };
  const rows: [Parameters<typeof gc>[1], World, string[]][] = [
    [keep, { held: [LEASE] }, ["veths", "release"]],
    [keep, { held: [LEASE, lease("c2/eth0", "10.88.0.3")] }, ["veths", "release c2/eth0"]],
    [[], { held: [LEASE] }, ["veths", "release c1/eth0"]],
    [[], { held: [LEASE], veths: [own] }, ["veths", `remove ${HOST}`, "release c1/eth0"]],
    [[], { held: [BOUND] }, ["veths", "forget 10.88.0.2", "release c1/eth0"]],
    [keep, { held: [LEASE], veths: [own] }, ["veths", "release"]],
    // A listed one keeps its veth under whatever name; another network's is nobody's here.
    [keep, { held: [LEASE], veths: [{ ...own, ifname: "renamed0" }] }, ["veths", "release"]],
    [[], { veths: [{ ...own, ifname: "renamed0" }] }, ["veths", "remove renamed0", "release"]],
    [[], { veths: [{ ...own, alias: "other/c1/eth0" }] }, ["veths", "release"]],
    [[], { veths: [cut] }, ["veths", `remove ${cut.ifname}`, "release"]],
    // Without an alias it may be anybody's, but for what an ADD left that died.
    [[], { veths: [{ ...own, alias: "" }] }, ["veths", "release"]],
    [[], { veths: [{ ...own, alias: "" }], mark: "died" }, ["veths", `remove ${HOST}`, "release"]],
    // A veth that stays keeps its lease.
    [[], { held: [LEASE], veths: [own], failing: `remove ${HOST}` }, [
      "veths",
      `remove ${HOST}`,
      "release",
    ]],
    [undefined, { held: [LEASE] }, ["releaseStale", "veths"]],
    [undefined, { held: [LEASE], veths: [own] }, ["releaseStale", "veths"]],
    [undefined, { veths: [own] }, ["releaseStale", "veths", "lookInside"]],
    [undefined, { veths: [own], mark: "at work" }, ["releaseStale", "veths"]],
  ];
  for (const [valid, world, steps] of rows) {
    const tools = effects(world);
    const run = () => gc(NETWORK, valid, tools);
    if (world.failing === undefined) await run();
    else await assertRejects(run, CniError, world.failing);
    assertEquals(tools.steps, steps, JSON.stringify([valid, world]));
  }
});

Deno.test("STATUS is code 50 for whatever an ADD would fail with", async () => {
  for (const failing of ["readable", "writable", "mustFit", "inspectBridge", "mustBeWhole"]) {
    const tools = effects({ failing });
    const error = await assertRejects(() => status(config(), tools), CniError, failing);
    assertEquals(error.code, 50, failing);
  }
  const full = effects({ failing: "full" });
  const error = await assertRejects(() => status(config(), full), CniError, "all are held");
  assertEquals(error.code, 50);
  const layer2 = config({ subnet: undefined, gateway: undefined, ipam: {} });
  await mustServe(layer2, effects({ failing: "mustBeWhole" }));
  const unguardable = effects({ veths: [{ ifname: "veth0", kind: "veth", master: "br0" }] });
  const guarded = config({ macspoofchk: true });
  assertEquals(
    (await assertRejects(() => mustServe(guarded, unguardable), CniError, "can't be locked")).code,
    2,
  );
});
