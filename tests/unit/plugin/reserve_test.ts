import { assertEquals, assertRejects } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { type Mac, parseMac } from "../../../lib/base/mac.ts";
import { groupOf } from "../../../lib/base/names.ts";
import type { LeaseRequest } from "../../../lib/ipam.ts";
import type { Link } from "../../../lib/netops.ts";
import { reserve } from "../../../lib/plugin/reserve.ts";
import { Rollback } from "../../../lib/rollback.ts";
import { config, effects, HOST, LEASE, lease, NETWORK, RECORD, type World } from "./world.ts";

const SMALL = config({ ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.3" } });
const MAC = parseMac("fe:00:00:00:00:77");
const OWN: Partial<Link> = {
  ...{ ifname: HOST, alias: "podnet/c1/eth0", mac: MAC, master: "br0" },
  group: groupOf(NETWORK.name),
};

function reservation(world: World, hostMac: Mac = MAC) {
  const tools = effects({ ...world, veths: [OWN, ...world.veths ?? []] });
  const request: LeaseRequest = {
    ...{ since: RECORD.since, hostMac, pod: undefined, guarded: false, bridgeMac: undefined },
    ...{ sets: SMALL.sets, configuredSets: SMALL.configuredSets },
    ...{ requestedIps: [], requestedMac: undefined, bridge: SMALL.bridge },
    attachment: {
      network: NETWORK.name,
      ...LEASE.owner,
      ifname: LEASE.owner.ifname ?? SMALL.bridge,
    },
  };
  const marked: boolean[] = [];
  const mark = { lease: (isLeased: boolean) => void marked.push(isLeased) };
  const undo = new Rollback();
  return {
    tools,
    marked,
    take: () => reserve({ config: SMALL, request, host: HOST, mark }, tools, undo),
    undo: () => undo.run(new CniError("IpFailed", "a later step", "a remedy")),
  };
}

const [TWO, THREE] = [lease("c2/eth0", "10.86.0.2"), lease("c3/eth0", "10.86.0.3")];
const RENAMED = { ...OWN, ifname: "renamed0", mac: RECORD.hostMac };

Deno.test("a reservation reads the kernel only if it has to", async () => {
  const rows: [World, string[]][] = [
    [{}, ["reserve c1/eth0"]],
    [{ provenance: "missing" }, ["view", "reserve c1/eth0"]],
    [{ provenance: "changed", held: [TWO] }, ["view", "reserve c1/eth0"]],
    // Stale leases are reclaimed only if the pool is full.
    [{ held: [TWO, THREE], veths: [RENAMED] }, [
      "view",
      "reserve c1/eth0, release c3/eth0",
    ]],
  ];
  const two = { ...TWO, record: { ...RECORD, hostMac: RECORD.hostMac } };
  const three = { ...THREE, record: { ...RECORD, hostMac: "fe:00:00:00:00:03" } };
  for (const [world, steps] of rows) {
    const held = world.held?.length === 2 ? { held: [two, three] } : {};
    const { tools, take } = reservation({ ...world, ...held });
    await take();
    assertEquals(tools.steps, steps, JSON.stringify(world));
  }
});

Deno.test("an attachment is reserved once, and the lease of a killed run is reused", async () => {
  const again = reservation({ held: [LEASE] });
  assertEquals((await again.take()).ips, LEASE.ips);
  const rows: [World, Mac | undefined, number, string][] = [
    [{ held: [LEASE], veths: [RENAMED] }, undefined, 103, '"renamed0" is its host veth'],
    [{ held: [LEASE] }, parseMac("fe:00:00:00:00:99"), 11, "is in progress"],
  ];
  for (const [world, hostMac, code, message] of rows) {
    const { take } = reservation(world, hostMac);
    assertEquals((await assertRejects(take, CniError, message)).code, code);
  }
});

Deno.test("a veth that may use an address without a lease prevents allocation, code 104", async () => {
  const other = { ...OWN, ifname: "av0123456789abc", alias: "podnet/c9/eth0" };
  const unowned = { ...OWN, ifname: "veth0", alias: "", group: 0 };
  const damage = new CniError("StateDamaged", "it is empty", "a remedy");
  const rows: [World, string][] = [
    [{ provenance: "missing", veths: [other] }, '"c9/eth0" may hold an address'],
    [{ provenance: "missing", veths: [unowned, other] }, '"veth0" and 1 more may hold'],
    [{ provenance: "changed", veths: [{ ...other, alias: "dc1/rack2/web" }] }, "has no lease"],
    [{ provenance: "changed", held: [lease("c9/eth0", "10.86.0.2")], veths: [RENAMED, other] }, ""],
    [{ provenance: damage, veths: [other] }, "it is empty"],
  ];
  for (const [world, message] of rows) {
    const { take, tools } = reservation(world);
    const error = await assertRejects(take, CniError, message);
    assertEquals([error.code, tools.steps.some((it) => it.includes("reserve"))], [104, false]);
  }
  const { take, tools } = reservation({ provenance: damage });
  await take();
  assertEquals(
    tools.steps.at(-1)?.startsWith('warn the state of network "podnet" could not be'),
    true,
  );
});

Deno.test("an undone reservation restores the state, and keeps the lease of another attachment", async () => {
  const { take, undo, tools, marked } = reservation({ held: [TWO] });
  const { state } = tools.leases.read();
  const before = structuredClone(state);
  await undo();
  await take();
  await undo();
  assertEquals({ ...state, lines: undefined }, { ...before, lines: undefined });
  // The mark says whether the lease exists, to runs that find a state without it.
  assertEquals(marked, [true, false]);
  await take();
  state.leases["c1/eth0"] = { ...RECORD, hostMac: "fe:00:00:00:00:99" };
  await undo();
  assertEquals(state.containerToIP["c1/eth0"], "10.86.0.3");
});
