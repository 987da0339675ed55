import { assertEquals, assertThrows } from "@std/assert";
import { CniError, Malformed } from "../lib/errors.ts";
import {
  Fields,
  isObject,
  parseBoolean,
  parseInteger,
  parseList,
  parseObject,
  parseString,
  parseStrings,
} from "../lib/fields.ts";

Deno.test("a parser takes its own type and coerces nothing", () => {
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

Deno.test("parseInteger() holds its bounds", () => {
  const parse = parseInteger(68, 65535);
  for (const good of [68, 1500, 65535]) assertEquals(parse(good), good);
  for (const bad of [67, 65536, -1, 1500.5, 1e9, NaN, Infinity, "big", "1500"]) {
    assertThrows(() => parse(bad), Malformed, "a whole number from 68 to 65535");
  }
});

Deno.test("Fields names key, value, and what was wanted", () => {
  const fields = new Fields({ ipam: { n: "x", none: null, list: ["a", 2] }, flag: "yes" });
  const ipam = fields.object("ipam");
  const rows: [() => unknown, string][] = [
    [() => ipam.required("gone", parseString, "give it"), 'without "ipam.gone": it is missing'],
    [() => ipam.required("none", parseString), 'without "ipam.none": it is missing'],
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
