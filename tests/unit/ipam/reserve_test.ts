import { assert, assertEquals, assertRejects } from "@std/assert";
import { parseIp } from "../../../lib/base/address.ts";
import { CniError } from "../../../lib/base/errors.ts";
import { macOf, parseMac } from "../../../lib/base/mac.ts";
import { parseContainerId } from "../../../lib/base/names.ts";
import { addLease, containerMac, emptyState, type LeaseRequest } from "../../../lib/ipam.ts";
import { range } from "../sets.ts";
import { DUAL, ETH0, HOST_MAC, opened, RECORD, request, state } from "./world.ts";

Deno.test("reserve() gives an address of each set in one write, and undoReserve() leaves no trace of it", async () => {
  const { reserve, leases, state, held, looks } = opened(emptyState(), { live: ["c1", "c2"] });
  await reserve(request("c1", { sets: DUAL }));
  assertEquals(held(), { "c1/eth0": ["10.0.0.2", "fd00::2"] });
  const before = structuredClone(state());
  const lease = await reserve(request("c2", { pod: "web/front", sets: [...DUAL].reverse() }));
  assertEquals<string[]>([...lease.ips], ["fd00::3", "10.0.0.3"]);
  assertEquals([state().leases["c2/eth0"]?.pod, state().lastReserved.join()], [
    "web/front",
    "fd00::3,10.0.0.3",
  ]);
  assertEquals(state().ranges, [...DUAL].reverse());
  await leases.undoReserve();
  assertEquals(state(), before);
  assertEquals(looks(), 0, "nobody looks in the usual case");
});

Deno.test("a lease without IPv4 has its MAC in the record; one of an earlier version keeps the MAC it has", async () => {
  const old = emptyState();
  const owner = { containerId: parseContainerId("old"), ifname: ETH0 };
  addLease(old, { owner, ips: [parseIp("fd00::1:0:3")], record: RECORD });
  const some = opened(old, { live: ["old", "c1"] });
  assertEquals<unknown>(some.leases.all().map(containerMac), ["0a:59:fd:00:00:02"]);
  const sets = [[range("fd00::/64")]];
  const { ips, record } = await some.reserve(request("c1", { sets }));
  assertEquals<unknown>([ips, record?.mac], [["fd00::2"], macOf(parseIp("fd00::2"))]);
  const both = await opened(emptyState()).reserve(request("c2", { sets: DUAL }));
  assertEquals([both.record?.mac, both.record?.bridge], [undefined, undefined]);
});

Deno.test("what is noted of a lease is what it needs to be shown and taken back", async () => {
  const mac = parseMac("02:00:00:00:00:01");
  const rows: [Partial<LeaseRequest>, object][] = [
    [{}, {}],
    [{ pod: "web/front" }, { pod: "web/front" }],
    [{ requestedMac: mac }, { mac, bridge: "br0" }],
    [{ guarded: true }, { guarded: true, bridge: "br0" }],
  ];
  for (const [changes, more] of rows) {
    const one = opened(emptyState(), { live: ["c1"] });
    await one.reserve(request("c1", changes));
    const { since, ...record } = one.state().leases["c1/eth0"] ?? RECORD;
    assertEquals<object>(record, { hostMac: HOST_MAC, ...more });
    assert(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(since), since);
  }
});

Deno.test("a full second set leaves the first as it was", async () => {
  const sets = [[range("10.0.0.0/29")], [range("10.0.1.0/30")]];
  const full = opened(emptyState(), { live: ["c1", "c2"] });
  await full.reserve(request("c1", { sets }));
  const before = structuredClone(full.state());
  const error = await assertRejects(
    () => full.reserve(request("c2", { sets })),
    CniError,
    "Cannot give an address of 10.0.1.1 - 10.0.1.2: all are held",
  );
  assertEquals([error.code, full.state()], [101, before]);
  await full.leases.undoReserve();
});

Deno.test("a lease that has changed since it was read is somebody else's", async () => {
  const one = opened(emptyState(), { live: ["c1"] });
  await one.reserve(request("c1"));
  const lease = one.leases.of(request("c1").attachment);
  const record = { ...RECORD, hostMac: "fe:00:00:00:00:09" };
  Object.assign(one.state().leases, { "c1/eth0": record });
  await one.leases.release(lease === undefined ? [] : [lease]);
  await one.leases.undoReserve();
  assertEquals(one.held(), { "c1/eth0": "10.0.0.2" });
  const [now] = one.leases.all();
  await one.leases.release(now === undefined ? [] : [now]);
  assertEquals([one.held(), one.state().ipToContainer, one.state().leases], [{}, {}, {}]);
});

Deno.test("an attachment keeps its addresses, unless another run of it is at work", async () => {
  const mine = opened(emptyState(), { live: ["c1"] });
  await mine.reserve(request("c1", { sets: DUAL }));
  await mine.reserve(request("c2", { sets: DUAL }));
  const again = await mine.reserve(request("c1", { sets: DUAL }));
  assertEquals<string[]>([...again.ips], ["10.0.0.2", "fd00::2"]);
  const other = request("c1", { sets: DUAL, hostMac: parseMac("fe:00:00:00:00:09") });
  const error = await assertRejects(() => mine.reserve(other), CniError, "is at work");
  assertEquals(error.code, 11);
});

Deno.test("an address asked for is given or refused with the reason", async () => {
  const some = opened(emptyState(), { live: ["c1"] });
  await some.reserve(request("c1"));
  const asked = (...ips: string[]) =>
    some.reserve(request("c2", { requestedIps: ips.map((it) => parseIp(it)) }));
  const rows: [string[], string][] = [
    [["10.0.0.2"], '"c1/eth0" holds it'],
    [["10.0.0.1"], "it is the gateway"],
    [["10.0.0.0"], "reserved in the subnet"],
    [["10.0.0.7"], "reserved in the subnet"],
    [["10.0.0.5"], "outside the range"],
    [["10.0.1.2"], "outside 10.0.0.0/29"],
    [["fd00::2"], "outside 10.0.0.0/29"],
    [["10.0.0.2", "10.0.0.3"], "is asked for too"],
  ];
  for (const [ips, found] of rows) {
    assertEquals((await assertRejects(() => asked(...ips), CniError, found)).code, 102, ips.join());
  }
  assertEquals<string[]>([...(await asked("10.0.0.3")).ips], ["10.0.0.3"]);
  // One that is held by a container that is gone is taken back.
  const gone = opened(state("", "10.0.0.2"), {});
  const lease = await gone.reserve(request("c2", { requestedIps: [parseIp("10.0.0.2")] }));
  assertEquals(lease.ips.map(String), ["10.0.0.2"]);
});

Deno.test("a MAC asked for is given once, and not where it will belong to another address", async () => {
  const some = opened(emptyState(), { live: ["c1", "c2"] });
  const sets = DUAL;
  const mac = parseMac("02:00:00:00:00:01");
  await some.reserve(request("c1", { sets, requestedMac: mac }));
  const asked = (text: string) =>
    some.reserve(request("c2", { sets, requestedMac: parseMac(text) }));
  const twice = await assertRejects(() => asked("02:00:00:00:00:01"), CniError, '"c1/eth0" has it');
  assertEquals(twice.code, 102);
  // The address that this one belongs to is given to nobody meanwhile.
  await asked("0a:58:0a:00:00:04");
  assertEquals(some.held()["c2/eth0"], ["10.0.0.3", "fd00::3"]);
  await some.reserve(request("c3", { sets }));
  assertEquals(some.held()["c3/eth0"], ["10.0.0.5", "fd00::5"]);
  const wanted = request("c4", { sets, requestedIps: [parseIp("10.0.0.4")] });
  await assertRejects(() => some.reserve(wanted), CniError, "its MAC was given to another");
});
