import { assertEquals, assertStringIncludes } from "@std/assert";
import { examineVersion } from "../../../../lib/cli/doctor/prerequisites.ts";

Deno.test("examineVersion() reads numbers and snapshots, and knows the version that the guard needs", () => {
  const rows: [string, boolean, string, string][] = [
    ["ip utility, iproute2-6.1.0, libbpf 1.1.0", false, "ok", "6.1.0"],
    ["ip utility, iproute2-6.1.0", true, "ok", "6.1.0"],
    ["ip utility, iproute2-5.18.0", true, "ok", "5.18"],
    ["ip utility, iproute2-5.17.0", true, "error", "can't lock a port"],
    ["ip utility, iproute2-5.9.0", true, "error", "can't lock a port"],
    ["ip utility, iproute2-5.0.0", false, "ok", "5.0.0"],
    ["ip utility, iproute2-4.20.0", false, "warning", "older than iproute2 5.0"],
    ["ip utility, iproute2-ss190708", false, "ok", "ss190708"],
    ["ip utility, iproute2-ss190708", true, "error", "can't lock a port"],
    ["ip utility, iproute2-ss180129", false, "warning", "older than iproute2 5.0"],
    ["something else", true, "warning", "cannot find a version"],
  ];
  for (const [text, guarded, level, said] of rows) {
    const found = examineVersion(text, guarded);
    assertEquals(found.level, level, `${text} ${guarded}`);
    assertStringIncludes(found.found, said);
  }
});
