import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import type { RangeSet } from "../../../lib/base/range.ts";
import { emptyState, type LeaseRecord, poolFull, type State } from "../../../lib/ipam.ts";
import { range } from "../sets.ts";
import { DUAL, opened, RECORD, request, SMALL, state, type World } from "./world.ts";

Deno.test("a full pool heals by the veths that are gone; a live one is never taken", async () => {
  const full = opened(emptyState(), { live: ["c1", "c3"] });
  for (const id of ["c1", "c2", "c3"]) await full.reserve(request(id));
  assertEquals(full.held(), { "c1/eth0": "10.0.0.2", "c3/eth0": "10.0.0.3" });
  assertEquals(await full.leases.free(SMALL, full.veths), [0n]);
  const error = await assertRejects(() => full.reserve(request("c4")), CniError, "all are held");
  assertEquals(error.code, 101);
  assertEquals(full.held(), { "c1/eth0": "10.0.0.2", "c3/eth0": "10.0.0.3" });
});

Deno.test("healing knows a live lease by name, by alias or MAC after a rename, and by any of an imported one's names", async () => {
  const renamed = ["renamed0", "web/front podnet/c10.0.0.2/eth0"] as const;
  const rows: [World["veths"], LeaseRecord | undefined, boolean][] = [
    [[], undefined, false],
    [[renamed], undefined, true],
    [[["renamed0", "other/c10.0.0.2/eth0"]], undefined, false],
    [[["veth1", ""]], { ...RECORD, hosts: "veth0 veth1" }, true],
    [[["veth2", ""]], { ...RECORD, hosts: "veth0 veth1", hostMac: "fe:00:00:00:00:99" }, false],
    [[["renamed0", "the web server"]], RECORD, true],
  ];
  for (const [veths, record, isKept] of rows) {
    const initial = state("10.0.0.2", "10.0.0.2");
    if (record !== undefined) initial.leases["c10.0.0.2/eth0"] = record;
    const one = opened(initial, veths === undefined ? {} : { veths });
    const stale = await one.leases.releaseStale(one.veths);
    assertEquals([stale.length, Object.keys(one.held()).length], isKept ? [0, 1] : [1, 0]);
  }
});

Deno.test("free() counts what an ADD could get of each set, healing included", async () => {
  const whole = [[range("10.0.0.0/29", { start: "10.0.0.0", end: "10.0.0.7" })]];
  const rows: [RangeSet[], State, bigint[]][] = [
    [whole, emptyState(), [5n]],
    [SMALL, emptyState(), [2n]],
    [SMALL, state("", "10.0.0.2"), [1n]],
    [SMALL, state("", "10.0.0.5"), [2n]],
    [DUAL, state("", "10.0.0.2"), [4n, 6n]],
    // Their veths are gone: the next ADD would take them back.
    [SMALL, state("", "10.0.0.2", "10.0.0.3"), [2n]],
    [[], emptyState(), []],
  ];
  for (const [sets, current, expected] of rows) {
    const { leases, veths } = opened(current);
    assertEquals(await leases.free(sets, veths), expected);
  }
});

Deno.test("poolFull() says how the range can be widened, where it can", () => {
  assertStringIncludes(
    poolFull(SMALL[0] ?? []).details,
    "widen the range, the subnet has 10.0.0.1 to 10.0.0.6",
  );
  assertStringIncludes(poolFull(DUAL[0] ?? []).details, "the range is the whole subnet");
});
