import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { parseIp } from "../../../lib/base/address.ts";
import { CniError } from "../../../lib/base/errors.ts";
import { macOf, parseMac } from "../../../lib/base/mac.ts";
import { parseContainerId } from "../../../lib/base/names.ts";
import type { RangeSet } from "../../../lib/base/range.ts";
import {
  addLease,
  allocate,
  chooseIps,
  containerMac,
  emptyState,
  findLease,
  hasUsualMac,
  type LeaseRequest,
  listLeases,
  type State,
} from "../../../lib/ipam.ts";
import { range } from "../sets.ts";
import { DUAL, ETH0, HOST_MAC, RECORD, request, SMALL, state } from "./world.ts";

/** The addresses that a container with this ID gets. */
function allocated(
  held: State,
  id: string,
  sets?: readonly RangeSet[],
  changes?: Partial<LeaseRequest>,
) {
  return allocate(held, request(id, sets, changes)).ips.join();
}

Deno.test("allocate() chooses an address of each set, and records the last one of each configured set", () => {
  const held = emptyState();
  assertEquals(allocated(held, "c1", DUAL), "10.0.0.2,fd00::2");
  assertEquals(
    allocated(held, "c2", [...DUAL].reverse(), { pod: "web/front" }),
    "fd00::3,10.0.0.3",
  );
  assertEquals([held.leases["c2/eth0"]?.pod, held.lastReserved.join()], [
    "web/front",
    "fd00::3,10.0.0.3",
  ]);
  assertEquals(held.ranges, [...DUAL].reverse());
});

Deno.test("the ranges of one attachment do not change the ranges of the network", () => {
  const held = emptyState();
  const own = [[range("10.9.0.0/29")], ...DUAL];
  assertEquals(allocated(held, "c1", DUAL), "10.0.0.2,fd00::2");
  assertEquals(allocated(held, "c2", DUAL, { sets: own }), "10.9.0.2,10.0.0.3,fd00::3");
  const narrow = [[range("10.0.0.0/29", { start: "10.0.0.6", end: "10.0.0.6" })]];
  assertEquals(allocated(held, "c3", DUAL, { sets: narrow }), "10.0.0.6");
  assertEquals([held.ranges, held.lastReserved.join()], [DUAL, "10.0.0.6,fd00::3"]);
  assertEquals(
    ["c1", "c2", "c3"].map((id) => held.leases[`${id}/eth0`]?.ranges !== undefined),
    [false, true, false],
  );
});

Deno.test("a lease without IPv4 records its MAC; a lease of an earlier version keeps its MAC", () => {
  const held = emptyState();
  const owner = { containerId: parseContainerId("old"), ifname: ETH0 };
  addLease(held, { owner, ips: [parseIp("fd00::1:0:3")], record: RECORD });
  assertEquals<unknown>(listLeases(held).map(containerMac), ["0a:59:fd:00:00:02"]);
  const { ips, record } = allocate(held, request("c1", [[range("fd00::/64")]]));
  assertEquals<unknown>([ips, record?.mac], [["fd00::2"], macOf(parseIp("fd00::2"))]);
  const both = allocate(emptyState(), request("c2", DUAL));
  assertEquals([both.record?.mac, both.record?.bridge], [undefined, undefined]);
});

Deno.test("hasUsualMac() knows whether each address of a lease always comes with its MAC", () => {
  const two4 = [...DUAL, [range("10.1.0.0/29")]];
  const six = [[range("fd00::/125")]];
  const mac = parseMac("02:00:00:00:00:01");
  const only6 = { requestedIps: [parseIp("fd00::5")] };
  const rows: [readonly RangeSet[], Partial<LeaseRequest>, boolean][] = [
    [SMALL, {}, true],
    [SMALL, { requestedMac: mac }, false],
    [DUAL, {}, true],
    [DUAL, only6, false],
    [six, {}, true],
    [[...six, [range("fd01::/125")]], {}, false],
    [two4, {}, false],
  ];
  for (const [sets, changes, isUsual] of rows) {
    const lease = allocate(emptyState(), request("c1", sets, changes));
    assertEquals(hasUsualMac(lease), isUsual, JSON.stringify([sets, changes], String));
    // The recorded bridge has the neighbours to flush.
    if (!isUsual) assertEquals(lease.record?.bridge, "br0");
  }
});

Deno.test("the record of a lease has the values that list and DEL need", () => {
  const mac = parseMac("02:00:00:00:00:01");
  const rows: [Partial<LeaseRequest>, object][] = [
    [{}, {}],
    [{ pod: "web/front" }, { pod: "web/front" }],
    [{ requestedMac: mac }, { mac, bridge: "br0" }],
    [{ guarded: true }, { guarded: true, bridge: "br0" }],
  ];
  for (const [changes, more] of rows) {
    const held = emptyState();
    allocate(held, request("c1", SMALL, changes));
    assertEquals<object | undefined>(held.leases["c1/eth0"], {
      since: "2026-01-01T00:00:00Z",
      hostMac: HOST_MAC,
      ...more,
    });
  }
});

Deno.test("a set that is full leaves the state as it was", () => {
  const sets = [[range("10.0.0.0/29")], [range("10.0.1.0/30")]];
  const held = emptyState();
  allocated(held, "c1", sets);
  const before = structuredClone(held);
  const message = "Cannot allocate an address of 10.0.1.1 - 10.0.1.2: all are held";
  const error = assertThrows(() => allocated(held, "c2", sets), CniError, message);
  assertEquals([error.code, held], [101, before]);
  assertStringIncludes(error.details, "the range is the whole subnet");
  const small = state("", "10.0.0.2", "10.0.0.3");
  const wider = assertThrows(() => allocated(small, "c2"), CniError, "all are held");
  assertStringIncludes(wider.details, "widen the range: the subnet has 10.0.0.1 to 10.0.0.6");
});

Deno.test("an attachment keeps its addresses", () => {
  const held = emptyState();
  for (const id of ["c1", "c2"]) allocated(held, id, DUAL);
  assertEquals(allocated(held, "c1", DUAL), "10.0.0.2,fd00::2");
  assertEquals(
    allocated(held, "c1", DUAL, { requestedIps: [parseIp("10.0.0.2")] }),
    "10.0.0.2,fd00::2",
  );
  assertEquals(Object.keys(held.ipToContainer).sort(), [
    "10.0.0.2",
    "10.0.0.3",
    "fd00::2",
    "fd00::3",
  ]);
});

Deno.test("a requested address is allocated, or refused with the reason", () => {
  const held = emptyState();
  allocated(held, "c1");
  const before = structuredClone(held);
  const requested = (...ips: string[]) =>
    allocated(held, "c2", SMALL, { requestedIps: ips.map((it) => parseIp(it)) });
  const rows: [string[], string][] = [
    [["10.0.0.2"], '"c1/eth0" holds it'],
    [["10.0.0.1"], "it is the gateway"],
    [["10.0.0.0"], "reserved in the subnet"],
    [["10.0.0.7"], "reserved in the subnet"],
    [["10.0.0.5"], "outside the range"],
    [["10.0.1.2"], "outside 10.0.0.0/29"],
    [["fd00::2"], "outside 10.0.0.0/29"],
    [["10.0.0.2", "10.0.0.3"], "is requested too"],
  ];
  for (const [ips, found] of rows) {
    const error = assertThrows(() => requested(...ips), CniError, found);
    assertEquals([error.code, held], [102, before], ips.join());
  }
  assertEquals(requested("10.0.0.3"), "10.0.0.3");
});

Deno.test("each requested address is looked at, whichever is held", () => {
  const held = emptyState();
  allocated(held, "c1", DUAL);
  const requested = (...ips: string[]) =>
    allocated(held, "c2", DUAL, { requestedIps: ips.map((it) => parseIp(it)) });
  assertThrows(() => requested("10.0.0.3", "fd00::2"), CniError, 'Cannot allocate "fd00::2"');
  assertThrows(() => requested("10.0.0.2", "fd00::3"), CniError, 'Cannot allocate "10.0.0.2"');
  assertEquals(requested("fd00::4", "10.0.0.3"), "10.0.0.3,fd00::4");
  // A requested address outweighs the address that the attachment has.
  assertEquals(requested("10.0.0.6"), "10.0.0.6,fd00::4");
});

Deno.test("a requested MAC is allocated once, and not if another address may get it", () => {
  const held = emptyState();
  const mac = (text: string) => ({ requestedMac: parseMac(text) });
  allocated(held, "c1", DUAL, mac("02:00:00:00:00:01"));
  const twice = () => allocated(held, "c2", DUAL, mac("02:00:00:00:00:01"));
  assertEquals(assertThrows(twice, CniError, '"c1/eth0" has it').code, 102);
  assertThrows(
    () => allocated(held, "c2", DUAL, mac("0a:58:0a:00:00:01")),
    CniError,
    'bridge "br0"',
  );
  assertEquals(allocated(held, "c1", DUAL, mac("02:00:00:00:00:01")), "10.0.0.2,fd00::2");
  // No other container gets the address of this MAC.
  allocated(held, "c2", DUAL, mac("0a:58:0a:00:00:04"));
  assertEquals(findLease(held, request("c2").attachment)?.ips.join(), "10.0.0.3,fd00::3");
  assertEquals(allocated(held, "c3", DUAL), "10.0.0.5,fd00::5");
  const wanted = () => allocated(held, "c4", DUAL, { requestedIps: [parseIp("10.0.0.4")] });
  assertThrows(wanted, CniError, "another container has its MAC");
});

Deno.test("a pool is full for STATUS and ADD if a lease requested the MAC of its last free address", () => {
  const held = emptyState();
  allocated(held, "c1", SMALL, { requestedMac: parseMac("0a:58:0a:00:00:03") });
  const pool = { sets: SMALL, requestedIps: [], bridgeMac: undefined };
  assertThrows(() => chooseIps(held, pool), CniError, "all are held");
  assertEquals(held.containerToIP, { "c1/eth0": "10.0.0.2" });
});

Deno.test("a range that is only the gateway is not called held by containers", () => {
  const gateway = parseIp("10.0.0.1");
  const alone = [[{ ...range("10.0.0.0/24"), gateway, start: gateway, end: gateway }]];
  const error = assertThrows(
    () => allocated(emptyState(), "c1", alone),
    CniError,
    "the range is only the gateway",
  );
  assertEquals(error.details, "widen the range: the subnet has 10.0.0.1 to 10.0.0.254");
});

Deno.test("an address is left out if another port of the bridge has its MAC", () => {
  const takenMacs = new Set(["0a:58:0a:00:00:02"]);
  assertEquals(allocated(emptyState(), "c1", DUAL, { takenMacs }).split(",")[0], "10.0.0.3");
});
