import { assert, assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { parseIp } from "../../../lib/base/address.ts";
import { type Owner, tryOwner } from "../../../lib/base/attachment.ts";
import { parseState } from "../../../lib/ipam/parse_state.ts";
import {
  addLease,
  dropLeases,
  emptyState,
  findLease,
  holderOf,
  isSameLease,
  type Lease,
  listLeases,
  type State,
} from "../../../lib/ipam/state.ts";
import { NewerSchema } from "../../../lib/ipam/damage.ts";
import { Random } from "../../random.ts";
import { seed } from "../generated.ts";
import { range } from "../sets.ts";
import { formatted } from "./world.ts";

const RECORD = { since: "2026-01-01T00:00:00Z", hostMac: "fe:00:00:00:00:01" };
const RANGE = {
  subnet: "10.86.0.0/24",
  rangeStart: "10.86.0.1",
  rangeEnd: "10.86.0.254",
  gateway: "10.86.0.1",
};
const SIX = {
  subnet: "fd00::/64",
  rangeStart: "fd00::1",
  rangeEnd: "fd00::ffff",
  gateway: "fd00::1",
};
const GOOD = {
  schema: 3,
  containerToIP: { "c1/eth0": "10.86.0.2", "c2/eth0": ["10.86.0.3", "fd00::3"] },
  ipToContainer: { "10.86.0.2": "c1/eth0", "10.86.0.3": "c2/eth0", "fd00::3": "c2/eth0" },
  lastReserved: ["10.86.0.3", "fd00::3"],
  leases: {
    "c1/eth0": { ...RECORD, pod: "web/front", mac: "02:00:00:00:00:01", bridge: "br0" },
    "c2/eth0": { ...RECORD, guarded: true, hosts: "veth0 veth1" },
  },
  ranges: [[RANGE], [SIX]],
};

function parse(text: string): State {
  return parseState(new TextEncoder().encode(text), "/s/podnet.json");
}

/** The file as the program writes it: a line for each key. */
function laidOut(file: object): string {
  const lines = Object.entries(file).map(([key, value]) => `"${key}":${JSON.stringify(value)}`);
  return `{${lines.join(",\n")}}\n`;
}

function owner(key: string): Owner {
  const found = tryOwner(key);
  assert(found !== undefined);
  return found;
}

Deno.test("parseState() reads what formatState() writes, byte by byte", () => {
  const small = {
    schema: 3,
    containerToIP: { "c1/eth0": "10.86.0.2" },
    ipToContainer: { "10.86.0.2": "c1/eth0" },
    lastReserved: "10.86.0.2",
    leases: { "c1/eth0": RECORD },
    ranges: [[RANGE]],
  };
  const empty = { schema: 3, containerToIP: {}, ipToContainer: {}, lastReserved: "", leases: {} };
  for (const file of [GOOD, small, empty]) {
    const text = laidOut(file);
    assertEquals(formatted(parse(text)), text);
    assertEquals(formatted(parse(JSON.stringify(file))), text);
  }
  assertEquals(parse(JSON.stringify(empty)), emptyState());
  const { ranges, lastReserved } = parse(JSON.stringify(GOOD));
  assertEquals(ranges, [[range("10.86.0.0/24")], [range("fd00::/64", { end: "fd00::ffff" })]]);
  assertEquals<string[]>(lastReserved, ["10.86.0.3", "fd00::3"]);
});

Deno.test("parseState() refuses each kind of damage", () => {
  const good = JSON.stringify(GOOD);
  const changed = (changes: object) => JSON.stringify({ ...GOOD, ...changes });
  const owners = (changes: object) =>
    changed({ containerToIP: { ...GOOD.containerToIP, ...changes } });
  const record = (changes: object) =>
    changed({ leases: { ...GOOD.leases, "c1/eth0": { ...RECORD, ...changes } } });
  const rows: [string, string][] = [
    ["", "it is empty"],
    ["\0".repeat(64), "state file"],
    [good.slice(0, good.length / 2), "state file"],
    [good.slice(0, -1), "state file"],
    [`${good}${good}`, "state file"],
    ["noise \u0007", "state file"],
    ["\ufeff" + good, "state file"],
    ["[]", "it is not a JSON object"],
    ["null", "it is not a JSON object"],
    ["7", "it is not a JSON object"],
    ["{}", "containerToIP is undefined"],
    [changed({ schema: 4 }), "it has schema 4"],
    [changed({ schema: "3" }), 'its schema is "3"'],
    [changed({ schema: 1 }), "its schema is 1"],
    [changed({ schema: null }), "its schema is null"],
    [changed({ containerToIP: [] }), "containerToIP is []"],
    [changed({ ipToContainer: "x" }), 'ipToContainer is "x"'],
    [owners({ "c1/eth0": 7 }), '10.86.0.2 is held by "c1/eth0", which has 7'],
    [owners({ "c1/eth0": "10.86.0.02" }), 'held by "c1/eth0", which has "10.86.0.02"'],
    [owners({ "c2/eth0": ["10.86.0.3", "FD00::3"] }), '"c2/eth0" has ["10.86.0.3","FD00::3"], and'],
    [owners({ "c2/eth0": ["10.86.0.3", "fd00:0::3"] }), "and ipToContainer says otherwise"],
    [owners({ "c2/eth0": ["10.86.0.3", ["fd00::3"]] }), "and ipToContainer says otherwise"],
    [owners({ "c2/eth0": ["10.86.0.9", "10.86.0.3"] }), "and ipToContainer says otherwise"],
    [owners({ "c2/eth0": [] }), '"c2/eth0" has [], and ipToContainer says otherwise'],
    [owners({ "c9/eth0": [] }), '"c9/eth0" has [], and ipToContainer says otherwise'],
    [owners({ "c2/eth0": { 0: "10.86.0.3" } }), 'held by "c2/eth0", which has {'],
    [owners({ "c2/eth0": "10.86.0.3" }), 'fd00::3 is held by "c2/eth0", which has "10.86.0.3"'],
    [
      owners({ "c2/eth0": ["10.86.0.3", "10.86.0.3", "fd00::3"] }),
      "and ipToContainer says otherwise",
    ],
    [owners({ "c2/eth0": ["10.86.0.3", "fd00::3", 7] }), "and ipToContainer says otherwise"],
    [
      owners({ "c2/eth0": ["10.86.0.3", "fd00::3", "10.86.0.2"] }),
      "and ipToContainer says otherwise",
    ],
    [owners({ "c2/eth0": ["10.86.0.3", "fd00::4"] }), "and ipToContainer says otherwise"],
    [owners({ "c1/eth0": "10.86.0.3" }), '10.86.0.2 is held by "c1/eth0", which has "10.86.0.3"'],
    [owners({ "c9/eth0": "10.86.0.9" }), '"c9/eth0" has "10.86.0.9", and ipToContainer says'],
    [owners({ "c9/eth0": "10.86.0.2" }), '"c9/eth0" has "10.86.0.2", and ipToContainer says'],
    [
      changed({ containerToIP: { "c1/eth0": "10.86.0.2" } }),
      '10.86.0.3 is held by "c2/eth0", which has nothing',
    ],
    [changed({ ipToContainer: { "10.86.0.2": "c1/eth0" } }), '"c2/eth0" has ["10.86.0.3"'],
    [
      changed({ ipToContainer: { ...GOOD.ipToContainer, "10.86.0.2": "c2/eth0" } }),
      '"c1/eth0" has "10.86.0.2", and ipToContainer says otherwise',
    ],
    [
      changed({ ipToContainer: { ...GOOD.ipToContainer, "10.86.0.9": "toString" } }),
      '10.86.0.9 is held by "toString"',
    ],
    [changed({ ipToContainer: { ...GOOD.ipToContainer, "10.86.0.9": 7 } }), "held by 7, which has"],
    [
      changed({
        containerToIP: { "c1/eth0": "10.86.0.02" },
        ipToContainer: { "10.86.0.02": "c1/eth0" },
      }),
      'ipToContainer has "10.86.0.02", not an IP address',
    ],
    [
      changed({ containerToIP: { "c1/eth0": "FD00::3" }, ipToContainer: { "FD00::3": "c1/eth0" } }),
      'ipToContainer has "FD00::3", not an IP address',
    ],
    [
      changed({
        containerToIP: { "c1/eth0": ["10.86.0.2", "fd00:0::3"] },
        ipToContainer: { "10.86.0.2": "c1/eth0", "fd00:0::3": "c1/eth0" },
      }),
      'ipToContainer has "fd00:0::3", not an IP address',
    ],
    [changed({ lastReserved: 7 }), "lastReserved is 7"],
    [changed({ lastReserved: "10.86.0" }), 'lastReserved is "10.86.0"'],
    [changed({ lastReserved: ["10.86.0.2", "FD00::1"] }), "lastReserved is"],
    [changed({ lastReserved: [7] }), "lastReserved is [7]"],
    [changed({ leases: [] }), "leases is []"],
    [changed({ leases: { "c9/eth0": RECORD } }), 'leases has "c9/eth0", which has no address'],
    [
      changed({ leases: { constructor: RECORD } }),
      'leases has "constructor", which has no address',
    ],
    [changed({ leases: { "c1/eth0": {} } }), 'leases["c1/eth0"] is {}'],
    [changed({ leases: { "c1/eth0": "x" } }), 'leases["c1/eth0"] is "x"'],
    [record({ since: 7 }), 'leases["c1/eth0"] is {'],
    [record({ hostMac: undefined }), 'leases["c1/eth0"] is {'],
    [record({ pod: 7 }), "pod is 7"],
    [record({ mac: null }), "mac is null"],
    [record({ guarded: "true" }), 'guarded is "true"'],
    [record({ hosts: ["veth0"] }), "hosts is ["],
    [record({ bridge: 7 }), "bridge is 7"],
    [record({ ranges: 7 }), "ranges is 7"],
    [record({ later: 7 }), "later is 7"],
    [changed({ ranges: "x" }), 'ranges is "x"'],
    [changed({ ranges: null }), "ranges is null"],
    [changed({ ranges: [RANGE] }), "ranges is ["],
    [changed({ ranges: [[{ ...RANGE, gateway: "10.86.0.01" }]] }), "ranges is ["],
    [changed({ ranges: [[{ ...RANGE, subnet: "10.86.0.7/24" }]] }), "ranges is ["],
    [changed({ ranges: [[{ ...RANGE, rangeStart: undefined }]] }), "ranges is ["],
    [changed({ ranges: [[null]] }), "ranges is ["],
    [changed({ ranges: [null] }), "ranges is ["],
  ];
  for (const [text, message] of rows) {
    const error = assertThrows(() => parse(text), CniError, message);
    assertEquals(error.code, 104, text);
    assertStringIncludes(error.message, "/s/podnet.json");
    assertEquals(error instanceof NewerSchema, message === "it has schema 4");
  }
  assertThrows(() => parseState(new Uint8Array([0x7b, 0xff, 0x7d]), "/s"), CniError, "state file");
  // A byte that is not UTF-8 is refused. A name may contain the replacement character U+FFFD itself.
  const pod = record({ pod: "web/\ufffd" });
  assertEquals(parse(pod).leases["c1/eth0"]?.pod, "web/\ufffd");
  const bytes = new TextEncoder().encode(pod);
  bytes.set([0x41, 0xff, 0x41], bytes.indexOf(0xef));
  assertThrows(() => parseState(bytes, "/s"), CniError, "state file");
});

Deno.test("a lease added to the lines of a file makes the same bytes as formatting all leases", () => {
  const from = seed();
  const random = new Random(from);
  const say = (text: string) => `${text} (TEST_SEED=${from})`;
  for (let round = 0; round < 60; round++) {
    let state = emptyState();
    for (let step = 0; step < 12; step++) {
      const file = formatted(state);
      state = parse(file);
      const isWhole = file.includes('"ranges"') &&
        new TextEncoder().encode(file).length === file.length;
      assertEquals(state.lines !== undefined, isWhole, say(file));
      state.ranges = [[range("10.86.0.0/24")]];
      for (let more = random.between(1, 3); more > 0; more--) change(state, random);
      assertEquals(formatted(state), formatted({ ...state, lines: undefined }), say(file));
    }
  }
});

Deno.test("an added lease is written as if all leases were formatted again", () => {
  let state = emptyState();
  state.ranges = [[range("10.86.0.0/16")]];
  for (let count = 0; count < 2000; count++) {
    const ips = [parseIp(`10.86.${1 + (count >> 8)}.${count & 255}`)];
    addLease(state, { owner: owner(`c${count}/eth0`), ips, record: RECORD });
  }
  state = parse(formatted(state));
  addLease(state, { owner: owner("c/eth0"), ips: [parseIp("10.86.99.1")], record: RECORD });
  assert(state.lines !== undefined);
  const text = formatted(state);
  assertEquals(text, formatted({ ...state, lines: undefined }));
  assertEquals(Object.keys(parse(text).containerToIP).length, 2001);
});

/** Adds, replaces or drops one lease. */
function change(state: State, random: Random): void {
  const key = owner(`c${random.between(1, 9)}${random.one(["", "/eth0", "/net1", "/\u00e9"])}`);
  const old = findLease(state, key);
  if (old !== undefined) {
    if (random.chance(0.5)) dropLeases(state, [old]);
    else addLease(state, { ...old, record: { ...RECORD, pod: "again/`" } });
    return;
  }
  const held = Object.keys(state.ipToContainer).length;
  const ips = [`10.86.1.${held}`, ...(random.chance(0.5) ? [`fd00::${held}:1`] : [])].map((it) =>
    parseIp(it)
  );
  if (ips.some((ip) => holderOf(state, ip) !== undefined)) return;
  const pod = random.one(['web/"},\n{', "web/\u2028", "web/front"]);
  const record = random.one([undefined, RECORD, { ...RECORD, pod }]);
  addLease(state, { owner: key, ips, record });
}

Deno.test("the maps may have different orders, and agree by their content only", () => {
  const entries = Object.entries(GOOD.ipToContainer);
  const ipToContainer = Object.fromEntries(entries.toReversed());
  const state = parse(JSON.stringify({ ...GOOD, ipToContainer }));
  assertEquals(holderOf(state, parseIp("10.86.0.2")), "c1/eth0");
  // The two addresses at the first place differ, and the owners agree.
  const text = JSON.stringify(GOOD).replace('"c1/eth0":"10.86.0.2"', '"c1/eth0":"10.86.0.9"');
  assertEquals(assertThrows(() => parse(text), CniError).code, 104);
});

Deno.test("a repeated key is damage if the maps then disagree", () => {
  const good = JSON.stringify(GOOD);
  const rows = [
    good.replace('"c1/eth0":', '"c2/eth0":"10.86.0.3","c1/eth0":').replace(
      '"c2/eth0":["',
      '"c3/eth0":["',
    ),
    good.replace('"10.86.0.2":"c1/eth0"', '"10.86.0.2":"c1/eth0","10.86.0.2":"c2/eth0"'),
  ];
  for (const text of rows) {
    assert(text !== good);
    assertEquals(assertThrows(() => parse(text), CniError).code, 104);
  }
});

Deno.test("leases are found, listed by address, added and dropped with all addresses", () => {
  const state = parse(JSON.stringify(GOOD));
  const two = findLease(state, owner("c2/eth0"));
  assertEquals<unknown>(two, {
    owner: { containerId: "c2", ifname: "eth0" },
    ips: ["10.86.0.3", "fd00::3"],
    record: GOOD.leases["c2/eth0"],
  });
  assertEquals(holderOf(state, parseIp("fd00::3")), "c2/eth0");
  assertEquals(holderOf(state, parseIp("fd00::4")), undefined);
  for (const key of ["c1", "c2/eth1", "constructor", "toString"]) {
    assertEquals(findLease(state, owner(key)), undefined, key);
  }
  const legacy: Lease = { owner: owner("c0"), ips: [parseIp("10.86.0.1")], record: undefined };
  addLease(state, legacy);
  assertEquals(findLease(state, legacy.owner), legacy);
  assertEquals(state.containerToIP["c0"], "10.86.0.1");
  assertEquals(listLeases(state).map(({ ips }) => ips[0]).map(String), [
    "10.86.0.1",
    "10.86.0.2",
    "10.86.0.3",
  ]);
  dropLeases(state, [legacy]);
  const { schema: _, ...file } = JSON.parse(formatted(state));
  const { schema: __, ...good } = GOOD;
  assertEquals(file, good);
  if (two !== undefined) {
    dropLeases(state, [two]);
    assertEquals(Object.keys(state.ipToContainer), ["10.86.0.2"]);
    addLease(state, two);
    assertEquals<unknown>(state.containerToIP["c2/eth0"], ["10.86.0.3", "fd00::3"]);
  }
});

Deno.test("the MACs of records are known after reading, adding and dropping", () => {
  const state = parse(JSON.stringify(GOOD));
  assertEquals([...state.macs], ["02:00:00:00:00:01"]);
  const lease = (key: string, ip: string): Lease => {
    const record = { ...RECORD, mac: "02:00:00:00:00:02" };
    return { owner: owner(key), ips: [parseIp(ip)], record };
  };
  addLease(state, lease("c3/eth0", "10.86.0.4"));
  addLease(state, lease("c4/eth0", "10.86.0.5"));
  dropLeases(state, [lease("c3/eth0", "10.86.0.4")]);
  assertEquals([...state.macs], ["02:00:00:00:00:01", "02:00:00:00:00:02"]);
  dropLeases(state, [lease("c4/eth0", "10.86.0.5")]);
  assertEquals([...state.macs], ["02:00:00:00:00:01"]);
});

Deno.test("isSameLease() distinguishes a lease from a later lease of the same owner", () => {
  const lease: Lease = {
    owner: owner("c1/eth0"),
    ips: [parseIp("10.86.0.2"), parseIp("fd00::2")],
    record: RECORD,
  };
  const rows: [Lease | undefined, boolean][] = [
    [{ ...lease }, true],
    [undefined, false],
    [{ ...lease, ips: lease.ips.slice(0, 1) }, false],
    [{ ...lease, record: undefined }, false],
    [{ ...lease, record: { ...RECORD, hostMac: "fe:00:00:00:00:02" } }, false],
    [{ ...lease, record: { ...RECORD, since: "2026-01-01T00:00:01Z" } }, false],
    [{ ...lease, record: { ...RECORD, pod: "web/front" } }, true],
  ];
  for (const [other, same] of rows) assertEquals(isSameLease(other, lease), same);
});
