import { assertEquals, assertThrows } from "@std/assert";
import { CniError, Malformed } from "../../../lib/base/errors.ts";
import {
  Fields,
  isObject,
  parseBoolean,
  parseInteger,
  parseList,
  parseObject,
  parseString,
  parseStrings,
} from "../../../lib/base/fields.ts";

Deno.test("a parser accepts its own type and coerces nothing", () => {
  const values = ["a", true, 7, 1.5, null, ["a"], { a: 1 }];
  const rows: [(value: unknown) => unknown, unknown[]][] = [
    [parseString, ["a"]],
    [parseBoolean, [true]],
    [parseInteger(0, 10), [7]],
    [parseList, [["a"]]],
    [parseStrings, [["a"]]],
    [parseObject, [{ a: 1 }]],
  ];
  for (const [parse, good] of rows) {
    for (const value of values) {
      if (good.some((it) => JSON.stringify(it) === JSON.stringify(value))) {
        assertEquals(parse(value), value);
      } else assertThrows(() => parse(value), Malformed);
    }
  }
  assertEquals(isObject([]), false);
});

Deno.test("parseInteger() enforces its bounds", () => {
  const parse = parseInteger(68, 65535);
  for (const good of [68, 1500, 65535]) assertEquals(parse(good), good);
  for (const bad of [67, 65536, -1, 1500.5, 1e9, NaN, Infinity, "big", "1500"]) {
    assertThrows(() => parse(bad), Malformed, "a whole number from 68 to 65535");
  }
});

Deno.test("Fields names key, value and the wanted form", () => {
  const fields = new Fields({ ipam: { n: "x", none: null, list: ["a", 2] }, flag: "yes" });
  const ipam = fields.object("ipam");
  const rows: [() => unknown, string][] = [
    [() => ipam.required("gone", parseString, "give it"), '"ipam.gone" is required'],
    [() => ipam.required("none", parseString), '"ipam.none" is required'],
    [() => ipam.optional("n", parseBoolean), 'use ipam.n "x" as true or false: got a string'],
    [() => ipam.list("list", parseString), "use ipam.list[1] 2 as a string: got a number"],
    [() => ipam.list("n", parseString), 'use ipam.n "x" as a list'],
    [() => fields.boolean("flag"), 'use flag "yes" as true or false'],
    [() => fields.object("flag"), 'use flag "yes" as an object'],
    [() => fields.reject("flag", "a flag", "it is silly"), 'use flag "yes" as a flag: it is silly'],
  ];
  for (const [take, message] of rows) {
    assertEquals(assertThrows(take, CniError, message).code, 7);
  }
  assertEquals(fields.optional("gone", parseString), undefined);
  assertEquals(fields.list("gone", parseString), undefined);
  assertEquals(fields.boolean("gone"), false);
  assertEquals(fields.object("gone").raw, {});
  assertEquals(new Fields({ a: 1 }).has("constructor"), false);
  assertThrows(() =>
    fields.required("flag", () => {
      throw new RangeError("a bug");
    }), RangeError);
});

Deno.test("Fields finds a key as Go's decoder does: the exact spelling first, then any letter case", () => {
  const rows: [Record<string, unknown>, unknown, string | undefined][] = [
    [{ bridge: 1 }, 1, "bridge"],
    [{ BRIDGE: 1 }, 1, "BRIDGE"],
    [{ Bridge: 1, bridge: 2 }, 2, "bridge"],
    [{ bridge: 2, Bridge: 1 }, 2, "bridge"],
    // Go's decoder reads them one after another, so the last one counts.
    [{ Bridge: 1, BRIDGE: 2 }, 2, "BRIDGE"],
    [{ BRIDGE: 2, Bridge: 1 }, 1, "Bridge"],
    [{ bridges: 1 }, undefined, undefined],
    [{}, undefined, undefined],
  ];
  for (const [raw, value, spelling] of rows) {
    const fields = new Fields(raw);
    assertEquals([fields.get("bridge"), fields.spelling("bridge")], [value, spelling]);
    assertEquals(fields.has("bridge"), value !== undefined);
  }
  const fields = new Fields({ IPAM: { SubNet: 7, LIST: [1] } });
  const ipam = fields.object("ipam");
  assertThrows(
    () => ipam.required("subnet", parseString),
    CniError,
    "use ipam.subnet 7 as a string",
  );
  assertThrows(() => ipam.list("list", parseString), CniError, "use ipam.list[0] 1 as a string");
  assertEquals(new Fields({ Constructor: 1 }).get("constructor"), 1);
  assertEquals(new Fields({}).get("constructor"), undefined);
});

Deno.test("Fields throws the given kind of error, with a default remedy", () => {
  const fields = new Fields({ a: { b: 7 } }, "x.", "DecodingFailure");
  const inner = () => fields.object("a").required("b", parseString);
  const error = assertThrows(inner, CniError, "Cannot use x.a.b 7 as a string: got a number");
  assertEquals([error.code, error.details], [6, "set x.a.b to a string"]);
  const missing = assertThrows(() => fields.required("c", parseString), CniError);
  assertEquals([missing.message, missing.details], ['"x.c" is required', 'write "c" there']);
  const given = assertThrows(() => fields.required("c", parseString, "do it"), CniError);
  assertEquals(given.details, "do it");
});
