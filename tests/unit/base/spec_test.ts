import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import {
  isAtLeast,
  isUnreleased,
  negotiate,
  shapeOf,
  SPEC_VERSIONS,
} from "../../../lib/base/spec.ts";

Deno.test("shapeOf() distinguishes the three result shapes", () => {
  assertEquals(SPEC_VERSIONS.map(shapeOf), ["0.1", "0.1", "0.3", "0.3", "0.3", "1.0", "1.0"]);
  assertEquals(isAtLeast("0.3.1", "0.4.0"), false);
  assertEquals(isAtLeast("0.4.0", "0.4.0"), true);
});

Deno.test("negotiate() accepts each version of a command; a missing version means 0.1.0", () => {
  for (const version of SPEC_VERSIONS) {
    assertEquals(negotiate(version, "ADD"), version);
    assertEquals(negotiate(version, "DEL"), version);
  }
  assertEquals(negotiate("", "ADD"), "0.1.0");
  assertEquals(negotiate("0.4.0", "CHECK"), "0.4.0");
  assertEquals(negotiate("1.1.0", "GC"), "1.1.0");
  assertEquals(negotiate("1.1.0", "STATUS"), "1.1.0");
});

Deno.test("isUnreleased() knows the versions above the newest one", () => {
  const later = ["1.1.1", "1.2", "2.0.0", "1.10.0"];
  const rest = [...SPEC_VERSIONS, "1.1", "", "v2.0.0", "latest"];
  assertEquals([...later, ...rest].filter(isUnreleased), later);
});

Deno.test("negotiate() refuses the rest", () => {
  const rows: [string, string, number, string][] = [
    ["0.9.0", "ADD", 1, "incompatible CNI versions"],
    ["1.0", "ADD", 1, "incompatible CNI versions"],
    ["v1.0.0", "DEL", 1, "incompatible CNI versions"],
    ["2.0.0", "ADD", 1, "incompatible CNI versions"],
    ["0.3.1", "CHECK", 1, "config version does not allow CHECK"],
    ["", "CHECK", 1, "config version does not allow CHECK"],
    ["1.0.0", "GC", 1, "config version does not allow GC"],
    ["1.0.0", "STATUS", 1, "config version does not allow STATUS"],
    ["1.2.0", "CHECK", 1, "plugin version does not allow CHECK"],
    ["0.9.0", "CHECK", 1, "incompatible CNI versions"],
    ["latest", "CHECK", 6, "as a version"],
    ["1.1.0.0", "STATUS", 6, "as a version"],
  ];
  for (const [version, command, code, message] of rows) {
    const error = assertThrows(() => negotiate(version, command), CniError, message);
    assertEquals(error.code, code, `${command} in ${version}`);
  }
});
