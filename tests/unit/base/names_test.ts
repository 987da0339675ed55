import { assertEquals, assertThrows } from "@std/assert";
import { Malformed } from "../../../lib/base/errors.ts";
import {
  parseAnyInterfaceName,
  parseContainerId,
  parseInterfaceName,
  parseNetworkName,
  podName,
} from "../../../lib/base/names.ts";

Deno.test("parseInterfaceName() accepts names that the kernel reads literally", () => {
  for (const name of ["e", "eth0", "a.b-c_d", "123456789012345", "ethé", "x;y"]) {
    assertEquals<string>(parseInterfaceName(name), name);
  }
  const rows: [unknown, string][] = [
    ["", "empty"],
    ["1234567890123456", "too long, 16 bytes"],
    ["éééééééé", "too long, 16 bytes"],
    [".", "is . or .."],
    ["..", "is . or .."],
    ["a/b", "contains / or :"],
    ["a:b", "contains / or :"],
    ["a b", "whitespace"],
    ["a\tb", "whitespace"],
    ["a\u00a0b", "whitespace"],
    ["a\u0085b", "whitespace"],
    ["eth%d", "replace the %"],
    ["-h", "starts with -"],
    ["all", "keeps it for its settings"],
    ["default", "keeps it for its settings"],
    ["a\u0000b", "control character"],
    ["a\u001bb", "control character"],
    ["a\u009bb", "control character"],
    ['a"b', 'it has a "'],
    ["a'b", "it has a '"],
    ["a#b", "it has a #"],
    ["a\\b", "it has a \\"],
    [7, "got 7"],
  ];
  for (const [name, found] of rows) {
    assertThrows(() => parseInterfaceName(name), Malformed, found);
  }
});

Deno.test("parseAnyInterfaceName() accepts every name of the specification, because a DEL passes none to the kernel", () => {
  for (const name of ["eth%d", "-h", "a\u001bb", 'a"b', "a#b", "if7"]) {
    assertEquals<string>(parseAnyInterfaceName(name), name);
  }
  for (const name of ["", "1234567890123456", ".", "..", "a/b", "a:b", "a b", 7]) {
    assertThrows(() => parseAnyInterfaceName(name), Malformed);
  }
});

Deno.test("container IDs and network names start with a letter or digit and contain no path", () => {
  for (const name of ["a", "0", "a_b.c-d", "A".repeat(200)]) {
    assertEquals<string>(parseContainerId(name), name);
    assertEquals<string>(parseNetworkName(name), name);
  }
  for (
    const name of ["../x", "..", ".a", "-h", "_a", "a/b", "a b", "a\n", "x; reboot", "%d", "é"]
  ) {
    assertThrows(() => parseContainerId(name), Malformed, "invalid characters in containerID");
    assertThrows(() => parseNetworkName(name), Malformed, "invalid characters found");
  }
  assertThrows(() => parseContainerId(""), Malformed);
  assertThrows(() => parseNetworkName(""), Malformed, "missing network name");
  assertThrows(() => parseNetworkName(undefined), Malformed, "missing network name");
  assertThrows(() => parseNetworkName("a".repeat(201)), Malformed, "201 characters");
});

Deno.test("podName() removes everything that a terminal or ip could misread", () => {
  assertEquals(podName("web", "front-1"), "web/front-1");
  assertEquals(podName("we b", "\u001b[31m\"'#\\\n"), "we?b/??31m?????");
  assertEquals(podName("n", "x".repeat(400)).length, 320);
});
