import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Ip, ipOf, parseIp, valueOf } from "../../../lib/base/address.ts";
import { CniError } from "../../../lib/base/errors.ts";
import { isAllocatable, type RangeSet } from "../../../lib/base/range.ts";
import { checkRequested, choose, countFree } from "../../../lib/ipam/choose.ts";
import { drawFrom, seed } from "../generated.ts";
import { range } from "../sets.ts";

/** The chosen addresses, or the index of the set that is full. */
function chosen(
  sets: readonly RangeSet[],
  { last = [], held = [], requested = [], kept = [] }: {
    last?: string[];
    held?: string[];
    requested?: string[];
    kept?: string[];
  },
): string[] | number {
  const ips = (texts: string[]) => texts.map((it) => parseIp(it));
  const taken = new Set<string>(ips(held));
  const wanted = { sets, last: ips(last), requested: ips(requested), kept: ips(kept) };
  return choose(wanted, (ip) => taken.has(ip));
}

Deno.test("choose() is next-fit after the last allocated address, inside the range", () => {
  const plain = range("10.0.0.0/29");
  const middle = range("10.0.0.0/29", { gateway: "10.0.0.3" });
  const ranged = range("10.0.0.0/24", { start: "10.0.0.10", end: "10.0.0.12" });
  const top = range("223.255.255.248/29");
  const whole = range("10.0.0.0/29", { start: "10.0.0.0", end: "10.0.0.7" });
  const six = range("fd00::/125", { start: "fd00::" });
  const all = ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"];
  const some = ["10.0.0.10", "10.0.0.11", "10.0.0.12"];
  const rows: [string, RangeSet[number], string, string[], string | undefined][] = [
    ["the first is after the gateway", plain, "", [], "10.0.0.2"],
    ["the next", plain, "10.0.0.4", [], "10.0.0.5"],
    [
      "a released address is not allocated again at once",
      plain,
      "10.0.0.4",
      ["10.0.0.3"],
      "10.0.0.5",
    ],
    ["wrap at the end", plain, "10.0.0.6", [], "10.0.0.2"],
    ["held ones are skipped", plain, "10.0.0.2", ["10.0.0.3", "10.0.0.4"], "10.0.0.5"],
    ["the gateway is skipped", middle, "10.0.0.2", [], "10.0.0.4"],
    ["full", plain, "10.0.0.4", all, undefined],
    ["one left", plain, "10.0.0.4", all.slice(1), "10.0.0.2"],
    [
      "the last one itself is left",
      plain,
      "10.0.0.4",
      all.filter((it) => it !== "10.0.0.4"),
      "10.0.0.4",
    ],
    ["the range's first", ranged, "", [], "10.0.0.10"],
    ["the last allocated is outside", ranged, "10.0.0.200", [], "10.0.0.10"],
    ["the last allocated is of another family", ranged, "fd00::1", [], "10.0.0.10"],
    ["the range wraps", ranged, "10.0.0.12", [], "10.0.0.10"],
    ["the range is full", ranged, "", some, undefined],
    ["no overflow", top, "223.255.255.254", [], "223.255.255.250"],
    ["no overflow from the broadcast address", top, "223.255.255.255", [], "223.255.255.250"],
    ["never the network address", whole, "10.0.0.7", [], "10.0.0.2"],
    ["never the broadcast address", whole, "10.0.0.6", [], "10.0.0.2"],
    ["never the subnet-router anycast address", six, "fd00::7", [], "fd00::2"],
    ["IPv6 has no broadcast address", six, "fd00::6", [], "fd00::7"],
  ];
  for (const [name, from, last, held, expected] of rows) {
    const found = chosen([[from]], { last: last === "" ? [] : [last], held });
    assertEquals(found, expected === undefined ? 0 : [expected], name);
  }
});

Deno.test("choose() continues from range to range of one set, and wraps around", () => {
  const set = [
    range("10.0.0.0/30"), // has .2
    range("10.0.1.0/29", { start: "10.0.1.2", end: "10.0.1.4" }),
    range("10.0.2.0/30", { gateway: "10.0.2.2" }), // has .1
  ];
  const order = ["10.0.0.2", "10.0.1.2", "10.0.1.3", "10.0.1.4", "10.0.2.1"];
  for (const [index, last] of order.entries()) {
    const next = order[(index + 1) % order.length] ?? "";
    assertEquals(chosen([set], { last: [last] }), [next], `behind ${last}`);
    // The next free address, and the last allocated address at the end.
    const around = [...order.slice(index + 1), ...order.slice(0, index + 1)];
    for (let count = 0; count <= order.length; count++) {
      const held = around.slice(0, count);
      assertEquals(chosen([set], { last: [last], held }), count === 5 ? 0 : [around[count] ?? ""]);
    }
  }
  assertEquals(chosen([set], {}), ["10.0.0.2"]);
  assertEquals(chosen([set], { last: ["10.0.1.5"] }), ["10.0.0.2"]);
  // The gateway is never allocated, but next-fit continues from it.
  assertEquals(chosen([set], { last: ["10.0.2.2"] }), ["10.0.0.2"]);
});

Deno.test("choose() returns each address once before any address twice", () => {
  const from = [range("10.0.0.0/28", { gateway: "10.0.0.5" }), range("10.0.1.0/30")];
  const given = new Set<string>();
  for (let last = "10.0.0.9";;) {
    const found = chosen([from], { last: [last], held: [...given] });
    if (typeof found === "number") break;
    last = found[0] ?? "";
    assertEquals(given.has(last), false);
    given.add(last);
  }
  assertEquals(BigInt(given.size), countFree(from, []));
  assertEquals([given.size, given.has("10.0.0.5")], [14, false]);
});

Deno.test("an IPv6 address has the same offset in its range as the IPv4 address", () => {
  const four = [range("10.0.0.0/24")];
  const six = [range("fd00::/64")];
  const short = [range("fd00::/125")];
  const shifted = [range("fd00::/64", { start: "fd00::100" })];
  const two = [range("fd00::/125"), range("fd01::/125")];
  const rows: [string, RangeSet[], Parameters<typeof chosen>[1], string[] | number][] = [
    ["from the start", [four, six], {}, ["10.0.0.2", "fd00::2"]],
    ["after the last", [four, six], { last: ["10.0.0.16", "fd00::99"] }, [
      "10.0.0.17",
      "fd00::11",
    ]],
    ["IPv6 first", [six, four], { last: ["fd00::99", "10.0.0.16"] }, ["fd00::11", "10.0.0.17"]],
    ["at the range's start, gateways not counted", [four, shifted], {}, ["10.0.0.2", "fd00::100"]],
    ["held: next-fit", [four, six], { last: ["10.0.0.16", "fd00::99"], held: ["fd00::11"] }, [
      "10.0.0.17",
      "fd00::9a",
    ]],
    ["no such place: next-fit", [four, short], { last: ["10.0.0.16", "fd00::3"] }, [
      "10.0.0.17",
      "fd00::4",
    ]],
    ["its gateway does not count", [four, [range("fd00::/64", { gateway: "fd00::10" })]], {
      last: ["10.0.0.16", "fd00::7"],
    }, ["10.0.0.17", "fd00::11"]],
    ["the second range's second", [[range("10.0.0.0/30"), range("10.0.1.0/29")], two], {
      last: ["10.0.0.2", "fd00::2"],
      held: ["10.0.1.1"],
    }, ["10.0.1.2", "fd01::2"]],
    ["a requested IPv4 address", [four, six], { requested: ["10.0.0.50"] }, [
      "10.0.0.50",
      "fd00::32",
    ]],
    ["a requested address before the one that it had", [four, six], {
      requested: ["10.0.0.60"],
      kept: ["10.0.0.50"],
    }, ["10.0.0.60", "fd00::3c"]],
    ["an IPv4 address that it had", [four, six], { kept: ["10.0.0.50"] }, [
      "10.0.0.50",
      "fd00::32",
    ]],
    ["a requested IPv6 address", [four, six], { requested: ["fd00::7"] }, [
      "10.0.0.2",
      "fd00::7",
    ]],
    ["without IPv4", [six], { last: ["fd00::9"] }, ["fd00::a"]],
    ["with the first of two IPv4 sets", [four, [range("10.1.0.0/24")], six], {
      last: ["10.0.0.16", "10.1.0.40"],
    }, ["10.0.0.17", "10.1.0.41", "fd00::11"]],
  ];
  for (const [name, sets, given, expected] of rows) {
    assertEquals(chosen(sets, given), expected, name);
  }
});

Deno.test("choose() returns the index of a full set, and no addresses", () => {
  const [a, b] = [[range("10.0.0.0/30")], [range("10.0.1.0/30")]];
  const six = [range("fd00::/126")];
  const rows: [RangeSet[], string[], string[] | number][] = [
    [[a, b], [], ["10.0.0.2", "10.0.1.2"]],
    [[a, b], ["10.0.1.2"], 1],
    [[a, b], ["10.0.0.2"], 0],
    [[a, six], ["fd00::2", "fd00::3"], 1],
    // IPv4 is chosen first, independent of the order of the sets.
    [[six, a], ["10.0.0.2", "fd00::2", "fd00::3"], 1],
    [[], [], []],
  ];
  for (const [sets, held, expected] of rows) assertEquals(chosen(sets, { held }), expected);
});

Deno.test("the time to choose depends on the held addresses, not on the size of the pool", () => {
  const wide = [range("fd00::/8")];
  const held = Array.from(
    { length: 1000 },
    (_, index) => ipOf(valueOf(parseIp("fd00::2")) + BigInt(index), 6),
  );
  assertEquals(chosen([wide], { held }), ["fd00::3ea"]);
  assertEquals(countFree(wide, held), (1n << 120n) - 2n - 1000n);
  assertEquals(countFree([range("10.0.0.0/8")], []), (1n << 24n) - 3n);
});

Deno.test("choose() never returns a held, reserved or outside address, whatever the state has", () => {
  const from = seed();
  const draw = drawFrom(from);
  for (let round = 0; round < 1500; round++) {
    const why = `TEST_SEED=${from}, round ${round}`;
    const set = ["10.0.0", "10.0.1", "10.0.2"].slice(0, 1 + draw(3)).map((net) => {
      const first = draw(8);
      const at = (host: number) => `${net}.${host}`;
      return range(`${net}.0/29`, {
        start: at(first),
        end: at(first + draw(8 - first)),
        gateway: at(draw(8)),
      });
    });
    const all = ["10.0.0", "10.0.1", "10.0.2"].flatMap((net) =>
      Array.from({ length: 8 }, (_, host) => parseIp(`${net}.${host}`))
    );
    const held = all.filter(() => draw(3) === 0);
    const last = all[draw(all.length)] as Ip;
    const free = all.filter((ip) => !held.includes(ip) && set.some((it) => isAllocatable(it, ip)));
    const found = chosen([set], { last: [last], held });
    if (typeof found === "number") assertEquals(free, [], why);
    else assert(free.some((ip) => ip === found[0]), `${why}: ${found}`);
    assertEquals(countFree(set, held), BigInt(free.length), why);
  }
});

Deno.test("checkRequested() reports why an address can't be allocated, and accepts one of each set", () => {
  const sets = [
    [range("10.0.0.0/29", { start: "10.0.0.2", end: "10.0.0.3" }), range("10.0.1.0/30")],
    [range("fd00::/64", { start: "fd00::10" })],
  ];
  const check = (...ips: string[]) => checkRequested(sets, ips.map((it) => parseIp(it)));
  check();
  check("10.0.0.3");
  check("fd00::10", "10.0.1.2");
  const rows: [string[], string][] = [
    [["10.0.0.1"], "it is the gateway"],
    [["10.0.0.0"], "reserved in the subnet"],
    [["10.0.0.7"], "reserved in the subnet"],
    [["10.0.0.5"], "outside the range"],
    [["10.0.2.2"], "outside 10.0.0.0/29, 10.0.1.0/30, fd00::/64"],
    [["fd00::"], "reserved in the subnet"],
    [["fd00::1"], "it is the gateway"],
    [["fd00::f"], "outside the range"],
    [["fd01::1"], "outside 10.0.0.0/29"],
    [["10.0.0.2", "10.0.0.3"], "10.0.0.2 is requested too"],
    [["10.0.0.2", "10.0.1.2"], "10.0.0.2 is requested too"],
    [["fd00::11", "10.0.0.2", "fd00::12"], "fd00::11 is requested too"],
  ];
  for (const [ips, found] of rows) {
    assertEquals(assertThrows(() => check(...ips), CniError, found).code, 102, ips.join());
  }
  const none = () => checkRequested([], [parseIp("10.0.0.2")]);
  assertEquals(
    assertThrows(none, CniError, "allocates no addresses").details,
    "request none of that family",
  );
  const { details } = assertThrows(() => check("10.0.0.5"), CniError);
  assertEquals(details, "request one from 10.0.0.2 to 10.0.0.3, 10.0.1.1 to 10.0.1.2");
});
