import { assertEquals } from "@std/assert";
import { parseCidr, parseIpv4, usable } from "../lib/ipv4.ts";
import { noteOf, poolOf } from "../lib/pool.ts";

Deno.test("a pool's note leads back to the pool", () => {
  const subnet = parseCidr("10.88.0.0/24");
  const pool = { subnet, gateway: parseIpv4("10.88.0.1"), range: usable(subnet) };
  const note = noteOf(pool);
  assertEquals(note, {
    subnet: "10.88.0.0/24",
    gateway: "10.88.0.1",
    rangeStart: "10.88.0.1",
    rangeEnd: "10.88.0.254",
  });
  assertEquals(poolOf(note), pool);
  assertEquals(poolOf(undefined), undefined);
  assertEquals(poolOf({ ...note, gateway: "10.88.0.01" }), undefined);
  assertEquals(poolOf({ ...note, subnet: "10.88.0.7/24" }), undefined);
});
