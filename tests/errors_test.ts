import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { asCniError, CniError, quote } from "../lib/errors.ts";

Deno.test("quote() keeps a value on one line of bounded length", () => {
  assertEquals(quote("a\nb"), '"a\\nb"');
  assertEquals(quote(undefined), "undefined");
  assertEquals(quote({ a: [1, null] }), '{"a":[1,null]}');
  assertEquals(quote("x".repeat(500)).length, 121);
});

Deno.test("withDetails() puts a sentence behind those that are there", () => {
  const error = new CniError(101, "Cannot give an address");
  assertEquals(error.withDetails("first").details, "first");
  const both = error.withDetails("first").withDetails("second");
  assertEquals([both.code, both.message, both.details], [101, error.message, "first; second"]);
});

Deno.test("asCniError() makes code 199 of what is not one already, and says where", () => {
  const known = new CniError(7, "Cannot use it");
  assertEquals(asCniError(known), known);
  const bug = asCniError(new TypeError("x is not a function"));
  assertEquals(bug.code, 199);
  assertStringIncludes(bug.message, "TypeError: x is not a function");
  assertMatch(bug.details, /errors_test\.ts:\d+/);
  assertEquals(bug.details.includes("\n"), false);
  assertEquals(asCniError("thrown text").code, 199);
});
