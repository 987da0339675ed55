import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { parseIp } from "../../lib/base/address.ts";
import { aliasOf, hostVethName } from "../../lib/base/attachment.ts";
import { CniError } from "../../lib/base/errors.ts";
import { parseMac } from "../../lib/base/mac.ts";
import { parseContainerId, parseInterfaceName, parseNetworkName } from "../../lib/base/names.ts";
import type { RangeSet } from "../../lib/base/range.ts";
import {
  type Adoption,
  containerMac,
  emptyState,
  type Evidence,
  type Holder,
  hostsOf,
  isImported,
  type LeaseRecord,
  type LeaseRequest,
  leasesIn,
  poolFull,
  type State,
} from "../../lib/ipam.ts";
import { damaged, formatState } from "../../lib/ipam/state.ts";
import type { Origin, Store } from "../../lib/ipam/store.ts";
import { range } from "./sets.ts";

const NETWORK = parseNetworkName("podnet");
const SMALL: RangeSet[] = [[range("10.0.0.0/29", { start: "10.0.0.2", end: "10.0.0.3" })]];
const DUAL: RangeSet[] = [[range("10.0.0.0/29")], [range("fd00::/125")]];
const HOST_MAC = parseMac("fe:00:00:00:00:01");
const RECORD: LeaseRecord = { since: "2026-01-01T00:00:00Z", hostMac: HOST_MAC };
const NEVER = new AbortController().signal;
const ETH0 = parseInterfaceName("eth0");

function request(id: string, changes: Partial<LeaseRequest> = {}): LeaseRequest {
  return {
    attachment: { network: NETWORK, containerId: parseContainerId(id), ifname: ETH0 },
    sets: SMALL,
    hostMac: HOST_MAC,
    requestedIps: [],
    requestedMac: undefined,
    pod: undefined,
    bridge: parseInterfaceName("br0"),
    guarded: false,
    ...changes,
  };
}

/** A state in which each of these addresses is held by a container of its own. */
function state(last: string, ...held: string[]): State {
  return {
    ...emptyState(),
    lastReserved: last === "" ? [] : [parseIp(last)],
    containerToIP: Object.fromEntries(held.map((ip) => [`c${ip}/eth0`, ip])),
    ipToContainer: Object.fromEntries(held.map((ip) => [ip, `c${ip}/eth0`])),
  };
}

interface World {
  /** IDs of containers whose host veth stands. */
  readonly live?: readonly string[];
  readonly holders?: readonly Holder[];
  readonly origin?: Origin;
  /** The state can't be read. */
  readonly isDamaged?: boolean;
  /** Host veths beside those of `live`: name and alias. */
  readonly veths?: readonly (readonly [string, string])[];
}

/** Leases in memory. */
function opened(initial: State, world: World = {}) {
  let current = initial;
  let origin = world.origin ?? "changed";
  let isDamaged = world.isDamaged === true;
  const damage = damaged("/s/podnet.json", "it is empty");
  let looks = 0;
  const store: Store = {
    read: () => {
      if (isDamaged) throw damage;
      return structuredClone(current);
    },
    exists: () => origin !== "missing",
    update: async (change, _stop, unreadable) => {
      if (isDamaged) {
        if (unreadable === undefined) throw damage;
        await unreadable.mustBeUnused(damage);
        unreadable.startedAnew("/s/podnet.json.damaged-1");
        isDamaged = false;
        origin = "missing";
      }
      const changed = structuredClone(current);
      if (!await change(changed, origin)) return;
      current = changed;
      origin = "written";
    },
    rebuild: () => Promise.resolve(undefined),
    sweep: () => Promise.resolve(),
    mustBeReadable: () => {},
    mustBeWritable: () => {},
  };
  const leases = leasesIn(store, NETWORK, NEVER);
  const veths = async () => {
    looks++;
    const live = await Promise.all(
      (world.live ?? []).map(async (id) => {
        const { attachment } = request(id);
        return [await hostVethName(attachment), aliasOf(attachment, undefined)] as const;
      }),
    );
    return new Map(
      [...live, ...world.veths ?? []].map((
        [ifname, alias],
      ) => [ifname, { ifname, alias, mac: HOST_MAC as string, master: "br0" }]),
    );
  };
  const warnings: string[] = [];
  const evidence: Evidence = {
    veths,
    holders: () => Promise.resolve(world.holders ?? []),
    warn: (sentence) => warnings.push(sentence),
  };
  return {
    leases,
    veths,
    evidence,
    warnings,
    looks: () => looks,
    held: () => current.containerToIP,
    state: () => current,
    reserve: (wanted: LeaseRequest) => leases.reserve(wanted, evidence),
  };
}

const SEEN: Holder = { name: "c9/eth0", key: "c9/eth0", host: "av9", isSeen: true };

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

Deno.test("a full pool heals by the veths that are gone; a live one is never taken", async () => {
  const full = opened(emptyState(), { live: ["c1", "c3"] });
  for (const id of ["c1", "c2", "c3"]) await full.reserve(request(id));
  assertEquals(full.held(), { "c1/eth0": "10.0.0.2", "c3/eth0": "10.0.0.3" });
  assertEquals(await full.leases.free(SMALL, full.veths), [0n]);
  const error = await assertRejects(() => full.reserve(request("c4")), CniError, "all are held");
  assertEquals(error.code, 101);
  assertEquals(full.held(), { "c1/eth0": "10.0.0.2", "c3/eth0": "10.0.0.3" });
});

Deno.test("healing knows a live lease by name, by alias after a rename, and by any of an imported one's names", async () => {
  const renamed = ["renamed0", "web/front podnet/c10.0.0.2/eth0"] as const;
  const rows: [World["veths"], LeaseRecord | undefined, boolean][] = [
    [[], undefined, false],
    [[renamed], undefined, true],
    [[["renamed0", "other/c10.0.0.2/eth0"]], undefined, false],
    [[["veth1", ""]], { ...RECORD, hosts: "veth0 veth1" }, true],
    [[["veth2", ""]], { ...RECORD, hosts: "veth0 veth1" }, false],
  ];
  for (const [veths, record, isKept] of rows) {
    const initial = state("10.0.0.2", "10.0.0.2");
    if (record !== undefined) initial.leases["c10.0.0.2/eth0"] = record;
    const one = opened(initial, veths === undefined ? {} : { veths });
    const stale = await one.leases.releaseStale(one.veths);
    assertEquals([stale.length, Object.keys(one.held()).length], isKept ? [0, 1] : [1, 0]);
  }
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
  const rows: [string, string][] = [
    ["02:00:00:00:00:01", '"c1/eth0" has it'],
    ["0a:58:0a:00:00:05", "it belongs to 10.0.0.5"],
  ];
  for (const [text, found] of rows) {
    assertEquals((await assertRejects(() => asked(text), CniError, found)).code, 102, text);
  }
  // Its own, or one of another network's address.
  await asked("0a:58:0a:00:00:03");
  assertEquals(some.held()["c2/eth0"], ["10.0.0.3", "fd00::3"]);
  await some.leases.undoReserve();
  await asked("0a:58:0a:09:00:05");
});

Deno.test("nothing is given beside leases of another subnet, nor where a container has the gateway", async () => {
  const rows: [State, Origin, RangeSet[], number | undefined, string][] = [
    [state("", "10.9.0.2"), "changed", SMALL, 104, "it holds 10.9.0.2"],
    [state("", "10.9.0.2"), "written", SMALL, 104, "it holds 10.9.0.2"],
    [{ ...state("", "10.9.0.2"), ranges: SMALL }, "changed", SMALL, 104, "it holds 10.9.0.2"],
    [state("", "fd00::2"), "changed", SMALL, 104, "it holds fd00::2"],
    [
      state("", "10.0.0.1"),
      "changed",
      SMALL,
      105,
      'as the gateway of network "podnet": "c10.0.0.1/eth0"',
    ],
    // A wider range, or one family more, fits what is held.
    [state("", "10.0.0.3"), "written", DUAL, undefined, ""],
    [{ ...state("", "10.0.0.3"), ranges: SMALL }, "written", SMALL, undefined, ""],
  ];
  for (const [initial, origin, sets, code, message] of rows) {
    const one = opened(initial, { origin });
    if (code === undefined) {
      one.leases.mustFit(sets);
      await one.reserve(request("c1", { sets }));
      continue;
    }
    const error = await assertRejects(
      () => one.reserve(request("c1", { sets })),
      CniError,
      message,
    );
    assertEquals([error.code, one.state()], [code, initial]);
  }
  const foreign = opened(state("", "10.9.0.2"));
  assertThrows(() => foreign.leases.mustFit(SMALL), CniError, "it holds 10.9.0.2");
});

Deno.test("who may have an address and no lease keeps another from being given, code 104", async () => {
  const more = { ...SEEN, name: "c8/eth0", key: "c8/eth0" };
  const hidden = { ...SEEN, isSeen: false };
  const stranger: Holder = { name: "veth0", key: undefined, host: "veth0", isSeen: true };
  const rows: [World, string | undefined][] = [
    [{ origin: "missing", holders: [SEEN, more] }, '"c9/eth0" and 1 more holds an address'],
    [{ origin: "missing", holders: [hidden] }, "may hold an address and can't be looked into"],
    [{ origin: "missing", holders: [stranger] }, '"veth0" holds an address'],
    [{ origin: "changed", holders: [SEEN] }, "Cannot use the state"],
    [{ origin: "changed", holders: [stranger] }, '"veth0" holds an address'],
    // What this program wrote last is whole; who has a lease is no stranger.
    [{ origin: "written", holders: [SEEN, stranger] }, undefined],
    [{ origin: "changed", holders: [{ ...SEEN, key: "c10.0.0.2/eth0" }] }, undefined],
    [{ origin: "missing", holders: [] }, undefined],
  ];
  for (const [world, message] of rows) {
    const one = opened(state("", "10.0.0.2"), world);
    const reserve = () => one.reserve(request("c1"));
    if (message === undefined) {
      await reserve();
      continue;
    }
    assertEquals((await assertRejects(reserve, CniError, message)).code, 104);
    await assertRejects(() => one.leases.mustBeWhole(one.evidence), CniError, "has no lease");
  }
});

Deno.test("a damaged state is begun anew only where no host veth of the network stands, and nobody has an address", async () => {
  const rows: [World, boolean][] = [
    [{}, true],
    // The run's own veth is there already.
    [{ live: ["c1"] }, true],
    [{ live: ["c1", "c2"] }, false],
    [{ holders: [SEEN] }, false],
    [{ veths: [["av0123456789abc", "other/c2/eth0"]] }, true],
  ];
  for (const [world, isAnew] of rows) {
    const one = opened(emptyState(), { ...world, isDamaged: true });
    if (isAnew) {
      await one.reserve(request("c1"));
      assertEquals(one.held(), { "c1/eth0": "10.0.0.2" });
      assertStringIncludes(one.warnings.join(), "the old file is kept as /s/podnet.json.damaged-1");
    } else {
      const error = await assertRejects(() => one.reserve(request("c1")), CniError, "it is empty");
      assertEquals([error.code, one.warnings], [104, []]);
    }
  }
  const unused = opened(emptyState(), { isDamaged: true });
  assertEquals(await unused.leases.wouldBeginAnew(unused.evidence), true);
  unused.leases.preload();
  unused.leases.mustFit(SMALL);
  const whole = opened(emptyState());
  assertEquals(await whole.leases.wouldBeginAnew(whole.evidence), false);
});

Deno.test("free() counts what an ADD could get of each set, healing included", async () => {
  const whole = [[range("10.0.0.0/29", { start: "10.0.0.0", end: "10.0.0.7" })]];
  const rows: [RangeSet[], State, bigint[]][] = [
    [whole, emptyState(), [5n]],
    [SMALL, emptyState(), [2n]],
    [SMALL, state("", "10.0.0.2"), [1n]],
    [SMALL, state("", "10.0.0.5"), [2n]],
    [DUAL, state("", "10.0.0.2"), [4n, 6n]],
    // Their veths are gone: the next ADD would take them back.
    [SMALL, state("", "10.0.0.2", "10.0.0.3"), [2n]],
    [[], emptyState(), []],
  ];
  for (const [sets, current, expected] of rows) {
    const { leases, veths } = opened(current);
    assertEquals(await leases.free(sets, veths), expected);
  }
});

function adoption(id: string, ips: string[], record: Partial<LeaseRecord> = {}): Adoption {
  return {
    owner: { containerId: parseContainerId(id), ifname: ETH0 },
    ips: ips.map((it) => parseIp(it)),
    record: { ...RECORD, hosts: "veth0", ...record },
  };
}

Deno.test("adopt() holds all leases or none, and can be done again", async () => {
  const one = opened(emptyState(), { origin: "missing" });
  const last = [parseIp("10.0.0.3")];
  const adopt = (...leases: Adoption[]) => one.leases.adopt(leases, DUAL, last, one.evidence);
  await adopt(adoption("c9", ["10.0.0.3", "fd00::3"], { hostMac: "", hosts: "veth0 veth1" }));
  assertEquals(one.held(), { "c9/eth0": ["10.0.0.3", "fd00::3"] });
  assertEquals([one.state().ranges, one.state().lastReserved], [DUAL, last]);
  const before = formatState(one.state());
  await adopt(adoption("c9", ["10.0.0.3", "fd00::3"], { hostMac: "", hosts: "veth0 veth1" }));
  assertEquals(formatState(one.state()), before);
  // What could not be told last time is known now.
  await adopt(adoption("c9", ["10.0.0.3", "fd00::3"]));
  assertEquals(one.state().leases["c9/eth0"], { ...RECORD, hosts: "veth0" });
  const held = structuredClone(one.state());
  const rows: [Adoption, string][] = [
    [adoption("c9", ["10.0.0.4"]), "it has 10.0.0.3, fd00::3 here"],
    [adoption("c8", ["10.0.0.3"]), '"c9/eth0" holds it here'],
    [adoption("c8", ["10.0.0.4", "fd00::3"]), '"c9/eth0" holds it here'],
  ];
  for (const [lease, message] of rows) {
    const error = await assertRejects(
      () => adopt(adoption("c7", ["10.0.0.6"]), lease),
      CniError,
      message,
    );
    assertEquals([error.code, one.state()], [102, held]);
  }
});

Deno.test("an imported lease's hosts and MAC are its record's", async () => {
  const { owner, ips } = adoption("c1", ["10.0.0.2"]);
  const own = await hostVethName({ network: NETWORK, ...owner });
  const rows: [LeaseRecord | undefined, readonly string[], string | undefined, boolean][] = [
    [RECORD, [own], "0a:58:0a:00:00:02", false],
    [{ ...RECORD, mac: "02:00:00:00:00:01" }, [own], "02:00:00:00:00:01", false],
    [{ ...RECORD, hosts: "veth0 veth1" }, ["veth0", "veth1"], undefined, true],
    [{ ...RECORD, hosts: "veth0", mac: "02:00:00:00:00:01" }, ["veth0"], "02:00:00:00:00:01", true],
    [undefined, [own], undefined, false],
  ];
  for (const [record, hosts, mac, imported] of rows) {
    const lease = { owner, ips, record };
    assertEquals(await hostsOf(lease, NETWORK), hosts);
    assertEquals([containerMac(lease), isImported(lease)], [mac, imported]);
  }
  const legacy = { owner: { ...owner, ifname: undefined }, ips, record: undefined };
  assertEquals<readonly string[]>(await hostsOf(legacy, NETWORK), ["av2f22765d04931"]);
});

Deno.test("poolFull() says how the range can be widened, where it can", () => {
  assertStringIncludes(
    poolFull(SMALL[0] ?? []).details,
    "widen the range, the subnet has 10.0.0.1 to 10.0.0.6",
  );
  assertStringIncludes(poolFull(DUAL[0] ?? []).details, "the range is the whole subnet");
});
