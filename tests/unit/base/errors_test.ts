import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  asCniError,
  CniError,
  ERROR_CODES,
  ioError,
  isError,
  Malformed,
  printable,
  quote,
} from "../../../lib/base/errors.ts";

Deno.test("quote() keeps a value on one line of bounded length", () => {
  assertEquals(quote("a\nb"), '"a\\nb"');
  assertEquals(quote(undefined), "undefined");
  assertEquals(quote({ a: [1, null] }), '{"a":[1,null]}');
  assertEquals(quote("x".repeat(500)).length, 121);
});

Deno.test("withDetails() appends a sentence to the details", () => {
  const error = new CniError("PoolExhausted", "Cannot give an address", "a remedy");
  const more = error.withDetails("second");
  assertEquals([more.code, more.message, more.details], [101, error.message, "a remedy; second"]);
  assertEquals(more.sentence, "Cannot give an address (a remedy; second)");
});

Deno.test("asCniError() turns any other error into code 199 with its location", () => {
  const known = new CniError("InvalidNetworkConfig", "Cannot use it", "a remedy");
  assertEquals(asCniError(known), known);
  const bug = asCniError(new TypeError("x is not a function"));
  assertEquals(bug.code, 199);
  assertStringIncludes(bug.message, "TypeError: x is not a function");
  assertMatch(bug.details, /errors_test\.ts:\d+/);
  assertEquals(bug.details.includes("\n"), false);
  assertEquals(asCniError("thrown text").code, 199);
});

Deno.test("each name has the code of the specification or of the design, and no two have one", () => {
  const codes = Object.values(ERROR_CODES);
  assertEquals(codes, [
    ...[1, 2, 3, 4, 5, 6, 7, 8, 11, 50],
    ...[100, 101, 102, 103, 104, 105, 106, 199],
  ]);
  assertEquals(new Set(codes).size, codes.length);
  const error = new CniError("StateDamaged", "Cannot read it", "a remedy");
  assertEquals([error.code, error.details], [104, "a remedy"]);
  assertEquals([isError(error, "StateDamaged"), isError(error, "Bug")], [true, false]);
  assertEquals(isError(new Error("Cannot read it"), "StateDamaged"), false);
});

Deno.test("an error contains nothing that a terminal would interpret", () => {
  const rows: [string, string][] = [
    ["a\u001b[31mb", "a\\u001b[31mb"],
    ["a\u009b1b", "a\\u009b1b"],
    ["a\u202eb\u2066", "a\\u202eb\\u2066"],
    ["a\rb", "a\\u000db"],
    ["a\nb\tc", "a\nb\tc"],
    ["é€\u{1f600}", "é€\u{1f600}"],
  ];
  for (const [text, shown] of rows) {
    assertEquals(printable(text), shown);
    const { message, details } = new CniError("IpFailed", text, text);
    assertEquals([message, details], [shown, shown]);
  }
});

Deno.test("Malformed becomes an error that names key and value", () => {
  const error = new Malformed("a number", "got a string").withName(
    "DecodingFailure",
    "mtu",
    "x",
    "say",
  );
  assertEquals([error.code, error.message, error.details], [
    6,
    'Cannot use mtu "x" as a number: got a string',
    "say",
  ]);
});

Deno.test("ioError() names action, path and folder", () => {
  const error = ioError("write", "/s/net.json", new Error("no space"));
  assertEquals([error.code, error.message], [5, 'Cannot write "/s/net.json": no space']);
  assertStringIncludes(error.details, "ls -ld /s)");
  assertStringIncludes(ioError("make", "/s", "x").details, "ls -ld /)");
  const limit = ioError(
    "open",
    "/s/x",
    new Error("Too many open files (os error 24): open '/s/x'"),
  );
  assertStringIncludes(limit.details, "raise the limit of open files");
});
