import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { parseDocument, parseName, parseVersion } from "../../../lib/config/document.ts";

Deno.test("parseDocument() accepts one JSON object with a name", () => {
  const rows: [string, number, string][] = [
    ["", 6, "it is empty"],
    [" \n", 6, "it is empty"],
    ["{", 6, "as a network configuration"],
    ["[]", 6, "it is not a JSON object"],
    ['"x"', 6, "it is not a JSON object"],
    ['{"name":"a"} {}', 6, "as a network configuration"],
    ['{"name":"a"} // comment', 6, "as a network configuration"],
    ["null", 7, "missing network name"],
    ["{}", 7, "missing network name"],
    ['{"name":""}', 7, "missing network name"],
    ['{"name":"../x"}', 7, "invalid characters found in network name"],
    ['{"name":7}', 6, "as a string"],
    ['{"name":"a","cniVersion":1.1}', 6, "as a string"],
    ['{"NAME":"../x"}', 7, "invalid characters found in network name"],
    ['{"name":null}', 7, "missing network name"],
    [`{"name":"${"a".repeat(201)}"}`, 7, "201 characters"],
  ];
  for (const [text, code, message] of rows) {
    assertEquals(assertThrows(() => parseDocument(text), CniError, message).code, code, text);
  }
  assertEquals(parseVersion(parseDocument('{"name":"a"}'), "ADD"), "0.1.0");
  assertEquals(parseVersion(parseDocument('{"Name":"a","CNIVersion":"1.0.0"}'), "ADD"), "1.0.0");
  assertEquals<string>(parseName(parseDocument('{"NAME":"a"}')), "a");
});
