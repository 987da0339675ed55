import { assertEquals, assertRejects } from "@std/assert";
import { CniError } from "../lib/errors.ts";
import { choose, type LeaseRequest, leasesIn, vethOf } from "../lib/ipam.ts";
import type { Pool } from "../lib/pool.ts";
import { formatIpv4, parseCidr, parseIpv4, usable } from "../lib/ipv4.ts";
import {
  hostVethName,
  legacyVethName,
  parseContainerId,
  parseInterfaceName,
  parseMac,
  parseNetworkName,
} from "../lib/names.ts";
import { emptyState, Ledger, type Origin, type State } from "../lib/ledger.ts";

const NETWORK = parseNetworkName("podnet");
const SMALL = pool("10.0.0.0/29", "10.0.0.1", "10.0.0.2", "10.0.0.3");
const VETH = parseMac("fe:00:00:00:00:01");
const NOTE = { since: "2026-01-01T00:00:00Z", veth: VETH };
const NEVER = new AbortController().signal;

function pool(subnet: string, gateway: string, start?: string, end?: string): Pool {
  const cidr = parseCidr(subnet);
  const all = usable(cidr);
  return {
    subnet: cidr,
    gateway: parseIpv4(gateway),
    range: {
      start: start === undefined ? all.start : parseIpv4(start),
      end: end === undefined ? all.end : parseIpv4(end),
    },
  };
}

function state(lastReserved: string, ...held: string[]): State {
  return {
    ...emptyState(),
    lastReserved,
    containerToIP: Object.fromEntries(held.map((ip) => [`c${ip}/eth0`, ip])),
    ipToContainer: Object.fromEntries(held.map((ip) => [ip, `c${ip}/eth0`])),
  };
}

Deno.test("choose() is next-fit behind the address given last, inside the range", () => {
  const plain = pool("10.0.0.0/29", "10.0.0.1");
  const middle = pool("10.0.0.0/29", "10.0.0.3");
  const ranged = pool("10.0.0.0/24", "10.0.0.1", "10.0.0.10", "10.0.0.12");
  const top = pool("255.255.255.248/29", "255.255.255.249");
  const whole = pool("10.0.0.0/29", "10.0.0.1", "10.0.0.0", "10.0.0.7");
  const all = ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"];
  const rows: [string, Pool, State, string | undefined][] = [
    ["the first is behind the gateway", plain, state(""), "10.0.0.2"],
    ["the next", plain, state("10.0.0.4"), "10.0.0.5"],
    ["one given back is not given again at once", plain, state("10.0.0.4", "10.0.0.3"), "10.0.0.5"],
    ["wrap at the end", plain, state("10.0.0.6"), "10.0.0.2"],
    ["held ones are skipped", plain, state("10.0.0.2", "10.0.0.3", "10.0.0.4"), "10.0.0.5"],
    ["the gateway is skipped", middle, state("10.0.0.2"), "10.0.0.4"],
    ["full", plain, state("10.0.0.4", ...all), undefined],
    ["one left", plain, state("10.0.0.4", ...all.slice(1)), "10.0.0.2"],
    ["the range's first", ranged, state(""), "10.0.0.10"],
    ["last given is outside", ranged, state("10.0.0.200"), "10.0.0.10"],
    ["the range wraps", ranged, state("10.0.0.12"), "10.0.0.10"],
    ["the range is full", ranged, state("", "10.0.0.10", "10.0.0.11", "10.0.0.12"), undefined],
    ["no overflow", top, state("255.255.255.254"), "255.255.255.250"],
    ["no overflow from the broadcast address", top, state("255.255.255.255"), "255.255.255.250"],
    ["never the network address", whole, state("10.0.0.7"), "10.0.0.2"],
    ["never the broadcast address", whole, state("10.0.0.6"), "10.0.0.2"],
  ];
  for (const [name, from, before, expected] of rows) {
    const ip = choose(new Ledger(before), from);
    assertEquals(ip === undefined ? undefined : formatIpv4(ip), expected, name);
  }
});

Deno.test("choose() gives each address once before any twice", () => {
  const from = pool("10.0.0.0/28", "10.0.0.5");
  const given = new Set<string>();
  const current = new Ledger(state("10.0.0.9"));
  for (let ip = choose(current, from); ip !== undefined; ip = choose(current, from)) {
    const address = formatIpv4(ip);
    given.add(address);
    current.put(`c${given.size}/eth0`, address, NOTE);
  }
  assertEquals(given.size, 13);
  assertEquals(given.has("10.0.0.5"), false);
});

Deno.test("vethOf() is the host veth of either kind of lease", async () => {
  const { attachment } = request("c1");
  assertEquals(await vethOf("c1/eth0", NETWORK), await hostVethName(attachment));
  assertEquals(await vethOf("c1", NETWORK), await legacyVethName("c1"));
});

function request(id: string, changes: Partial<LeaseRequest> = {}): LeaseRequest {
  const attachment = {
    network: NETWORK,
    containerId: parseContainerId(id),
    ifname: parseInterfaceName("eth0"),
  };
  return { attachment, pool: SMALL, veth: VETH, ...changes };
}

/** Leases in memory, with host veths of those containers that `live` names. */
function opened(
  initial: State,
  live: readonly string[] = [],
  holders: readonly string[] = [],
  origin: Origin = "checked",
) {
  let state = initial;
  const store = {
    read: () => Promise.resolve(new Ledger(structuredClone(state), origin)),
    update: async (change: (ledger: Ledger) => boolean | Promise<boolean>) => {
      const changed = new Ledger(structuredClone(state), origin);
      if (await change(changed)) state = changed.state();
    },
    mustBeReadable: () => undefined,
    tidy: () => Promise.resolve(),
    mustBeWritable: () => undefined,
  };
  const leases = leasesIn(store, NETWORK, NEVER);
  const look = async () => {
    const names = await Promise.all(live.map((id) => hostVethName(request(id).attachment)));
    return new Map(names.map((name) => [name, { mac: VETH, alias: "" }]));
  };
  return {
    leases,
    look,
    held: () => state.containerToIP,
    state: () => state,
    take: (wanted: LeaseRequest) => leases.take(wanted, look, () => Promise.resolve(holders)),
  };
}

Deno.test("adopt() notes the pool whose leases it took over", async () => {
  const { leases, state } = opened(emptyState());
  const note = { ...NOTE, hosts: "veth0" };
  await leases.adopt([{ key: "c9/eth0", ip: parseIpv4("10.0.0.3"), note }], SMALL, undefined);
  assertEquals(state().pool?.subnet, "10.0.0.0/29");
});

Deno.test("take() gives an address, and undoTake() leaves no trace of it", async () => {
  const { take, leases, state, held } = opened(emptyState(), ["c1", "c2"]);
  await take(request("c1"));
  assertEquals(held(), { "c1/eth0": "10.0.0.2" });
  const before = structuredClone(state());
  const wider = pool("10.0.0.0/29", "10.0.0.1");
  await take(request("c2", { pod: "web/front", pool: wider }));
  const { leases: notes, lastReserved, pool: noted } = state();
  assertEquals([notes["10.0.0.3"]?.pod, lastReserved, noted?.rangeEnd], [
    "web/front",
    "10.0.0.3",
    "10.0.0.6",
  ]);
  await leases.undoTake();
  assertEquals(state(), before);
});

Deno.test("a lease that has changed since it was read is somebody else's", async () => {
  const one = opened(emptyState(), ["c1"]);
  await one.take(request("c1"));
  const [lease] = await one.leases.of(request("c1").attachment);
  const note = { ...one.state().leases["10.0.0.2"], veth: "fe:00:00:00:00:09" };
  Object.assign(one.state().leases, { "10.0.0.2": note });
  await one.leases.release(lease === undefined ? [] : [lease]);
  await one.leases.undoTake();
  assertEquals(one.held(), { "c1/eth0": "10.0.0.2" });
});

Deno.test("a full pool heals by the veths that are gone; a live one is never taken", async () => {
  const full = opened(emptyState(), ["c1", "c3"]);
  for (const id of ["c1", "c2", "c3"]) await full.take(request(id));
  assertEquals(full.held(), { "c1/eth0": "10.0.0.2", "c3/eth0": "10.0.0.3" });
  assertEquals(await full.leases.free(SMALL, full.look), 0);
  const error = await assertRejects(() => full.take(request("c4")), CniError, "all are held");
  assertEquals(error.code, 101);
  assertEquals(full.held(), { "c1/eth0": "10.0.0.2", "c3/eth0": "10.0.0.3" });
});

Deno.test("an attachment keeps its address, unless another run of it is at work", async () => {
  const mine = opened(emptyState(), ["c1"]);
  await mine.take(request("c1"));
  await mine.take(request("c2"));
  assertEquals((await mine.take(request("c1"))).ip, parseIpv4("10.0.0.2"));
  const other = request("c1", { veth: parseMac("fe:00:00:00:00:09") });
  const error = await assertRejects(() => mine.take(other), CniError, "is at work");
  assertEquals(error.code, 11);
});

Deno.test("an address asked for is given or refused with the reason", async () => {
  const some = opened(emptyState(), ["c1"]);
  await some.take(request("c1"));
  const asked = (ip: string) => some.take(request("c2", { requestedIp: parseIpv4(ip) }));
  const rows: [string, string][] = [
    ["10.0.0.2", '"c1/eth0" holds it'],
    ["10.0.0.1", "it is the gateway"],
    ["10.0.0.0", "reserved in the subnet"],
    ["10.0.0.7", "reserved in the subnet"],
    ["10.0.0.5", "outside the range"],
    ["10.0.1.2", "outside 10.0.0.0/29"],
  ];
  for (const [ip, found] of rows) {
    assertEquals((await assertRejects(() => asked(ip), CniError, found)).code, 102, ip);
  }
  assertEquals((await asked("10.0.0.3")).ip, parseIpv4("10.0.0.3"));
});

Deno.test("nothing is given beside leases of another subnet, nor where the file was removed", async () => {
  const foreign = opened(state("", "10.0.0.2", "10.9.0.2"));
  const found = await assertRejects(() => foreign.take(request("c1")), CniError, "holds 10.9.0.2");
  assertEquals(found.code, 104);
  const removed = opened(emptyState(), [], ["c9/eth0", "c8/eth0"], "missing");
  const message = '"c9/eth0" and 1 more holds an address';
  assertEquals(
    (await assertRejects(() => removed.take(request("c1")), CniError, message)).code,
    104,
  );
});

Deno.test("free() counts what an ADD could get", async () => {
  const whole = pool("10.0.0.0/29", "10.0.0.1", "10.0.0.0", "10.0.0.7");
  const rows: [Pool, State, number][] = [
    [whole, emptyState(), 5],
    [SMALL, emptyState(), 2],
    [SMALL, state("", "10.0.0.2"), 1],
    [SMALL, state("", "10.0.0.5"), 2],
    // Their veths are gone: the next ADD would take them back.
    [SMALL, state("", "10.0.0.2", "10.0.0.3"), 2],
  ];
  for (const [from, current, expected] of rows) {
    const { leases, look } = opened(current);
    assertEquals(await leases.free(from, look), expected);
  }
});
