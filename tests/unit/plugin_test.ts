import { assertEquals, assertRejects } from "@std/assert";
import { type NetworkConfig, parseConfig, parseInvocation, parseStdin } from "../lib/config.ts";
import { CniError } from "../lib/errors.ts";
import type { Lease, Leases } from "../lib/ipam.ts";
import { parseIpv4 } from "../lib/ipv4.ts";
import { parseLink } from "../lib/links.ts";
import type { Kernel } from "../lib/netops.ts";
import { add, del, gc } from "../lib/plugin.ts";

const ENV: Record<string, string> = {
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/c1",
  CNI_IFNAME: "eth0",
};
const INVOCATION = parseInvocation("ADD", (name) => ENV[name]);
const LEASE: Lease = { key: "c1/eth0", ip: parseIpv4("10.88.0.2") };
const BOUND = { ...LEASE, note: { since: "", veth: "", mac: "02:00:00:00:00:01" } };

function config(changes: object = {}): NetworkConfig {
  const text = JSON.stringify({
    name: "podnet",
    bridge: "br0",
    subnet: "10.88.0.0/24",
    gateway: "10.88.0.1",
    ...changes,
  });
  return parseConfig(parseStdin(text), "1.1.0", {});
}

/** Kernel and leases that note each step; the step named `failing` fails, `stopping` ends the run behind it. */
function effects(failing = "", stopping = "", held: readonly Lease[] = []) {
  const steps: string[] = [];
  const stop = new AbortController();
  const step = <T>(name: string, result: T): Promise<T> => {
    steps.push(name);
    if (name === stopping) stop.abort(new CniError(11, "Cannot finish: ended by SIGTERM"));
    return name === failing ? Promise.reject(new CniError(100, name)) : Promise.resolve(result);
  };
  const kernel: Kernel = {
    expect: () => {},
    plug: async ({ host, hostMac }, undo) => {
      await step("plug", undefined);
      undo.push("unplug", () => step("undo plug", undefined));
      return {
        bridge: parseLink({ ifname: "br0", mtu: 1500 }),
        host: parseLink({ ifname: host, address: hostMac, mtu: 1500 }),
      };
    },
    configure: () => step("configure", undefined),
    forgetNeighbour: () => step("forget", undefined),
    unplug: () => step("unplug", undefined),
    hostVeths: () => step("look", new Map()),
    veths: () => step("look", new Map()),
    remove: () => step("remove", undefined),
    lookInside: () => step("lookInside", new Map()),
    inspect: () =>
      step("inspect", { bridge: undefined, host: undefined, inside: undefined, routes: [] }),
    inspectBridge: () => step("inspectBridge", undefined),
  };
  const leases: Leases = {
    mustBeReadable: () => {
      if (failing === "readable") throw new CniError(5, "readable");
    },
    of: () => {
      steps.push("read");
      if (failing === "read") return Promise.reject(new CniError(104, "read"));
      return Promise.resolve([...held]);
    },
    all: () => Promise.resolve([...held]),
    take: () => step("take", { ...LEASE, before: { lastReserved: "", pool: undefined } }),
    release: () => step("release", undefined),
    undoTake: () => step("undo take", undefined),
    adopt: () => step("adopt", undefined),
    releaseStale: () => step("releaseStale", []),
    free: () => step("free", 1),
    mustBeWritable: () => undefined,
  };
  return { steps, kernel, leases, stop: stop.signal };
}

Deno.test("ADD makes the veth before the lease and configures last", async () => {
  const plain = effects();
  await add(config(), INVOCATION, plain);
  assertEquals(plain.steps, ["plug", "read", "take", "configure"]);
  const asked = effects();
  await add(config({ runtimeConfig: { mac: "02:00:00:00:00:01" } }), INVOCATION, asked);
  assertEquals(asked.steps, ["plug", "read", "take", "configure", "forget"]);
});

Deno.test("ADD that fails undoes what it had made, newest first", async () => {
  const asked = config({ runtimeConfig: { mac: "02:00:00:00:00:01" } });
  const rows: [string, string[]][] = [
    ["readable", []],
    ["read", ["undo plug", "undo take"]],
    // `undoTake` knows by itself that nothing was taken yet.
    ["plug", ["undo take"]],
    ["take", ["undo plug", "undo take"]],
    ["configure", ["undo plug", "undo take"]],
    ["forget", ["undo plug", "undo take"]],
  ];
  for (const [failing, undone] of rows) {
    const tools = effects(failing);
    await assertRejects(() => add(asked, INVOCATION, tools), CniError, failing);
    assertEquals(tools.steps.filter((it) => it.startsWith("undo")), undone, failing);
  }
});

Deno.test("ADD whose state can't be read touches nothing, or undoes when the veth is made", async () => {
  const unreadable = effects("readable");
  await assertRejects(() => add(config(), INVOCATION, unreadable), CniError, "readable");
  assertEquals(unreadable.steps, []);
  const slow = effects("read");
  const { plug } = slow.kernel;
  const kernel: Kernel = {
    ...slow.kernel,
    plug: async (spec, undo) => {
      await new Promise((made) => setTimeout(made, 20));
      return await plug(spec, undo);
    },
  };
  await assertRejects(() => add(config(), INVOCATION, { ...slow, kernel }), CniError, "read");
  assertEquals(slow.steps, ["read", "plug", "undo plug", "undo take"]);
});

Deno.test("ADD that is told to stop undoes what it had made", async () => {
  const rows: [string, string[]][] = [
    ["plug", ["undo plug", "undo take"]],
    ["take", ["undo plug", "undo take"]],
    ["configure", ["undo plug", "undo take"]],
  ];
  for (const [stopping, undone] of rows) {
    const tools = effects("", stopping);
    const error = await assertRejects(() => add(config(), INVOCATION, tools), CniError, "SIGTERM");
    assertEquals(error.code, 11);
    assertEquals(tools.steps.slice(-undone.length), undone, stopping);
  }
});

Deno.test("DEL sees the veth gone before it releases, and goes on past what fails", async () => {
  const { name } = config();
  const bridge = config().bridge;
  const rows: [string, readonly Lease[], string[]][] = [
    ["", [], ["read", "unplug", "release"]],
    ["", [LEASE], ["read", "unplug", "release"]],
    ["", [BOUND], ["read", "unplug", "forget", "release"]],
    ["", [LEASE, { key: "c1", ip: parseIpv4("10.88.0.3") }], [
      "read",
      "unplug",
      "unplug",
      "release",
    ]],
    ["unplug", [LEASE], ["read", "unplug"]],
    ["release", [LEASE], ["read", "unplug", "release"]],
  ];
  for (const [failing, held, steps] of rows) {
    const tools = effects(failing, "", held);
    const run = () => del({ name, dataDir: "/s", bridge }, INVOCATION, tools);
    if (failing === "") await run();
    else await assertRejects(run, CniError, failing);
    assertEquals(tools.steps, steps);
  }
});

Deno.test("DEL removes the veth even where the state can't be read", async () => {
  const tools = effects("read");
  const { name } = config();
  const run = () => del({ name, dataDir: "/s" }, INVOCATION, tools);
  assertEquals((await assertRejects(run, CniError, "read")).code, 104);
  assertEquals(tools.steps.includes("unplug"), true);
});

Deno.test("GC releases what is not listed, and without a list only what is stale", async () => {
  const { name } = config();
  const keep = [{ containerId: "c1", ifname: "eth0" }];
  const rows: [Parameters<typeof gc>[1], string[]][] = [
    [keep, ["look", "release"]],
    [[], ["look", "release"]],
    [undefined, ["look", "releaseStale"]],
  ];
  for (const [valid, steps] of rows) {
    const tools = effects("", "", [LEASE]);
    await gc({ name, dataDir: "/s" }, valid, tools);
    assertEquals(tools.steps, steps);
  }
});
