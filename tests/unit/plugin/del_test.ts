import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import type { Kernel, Link } from "../../../lib/netops.ts";
import { parseLink } from "../../../lib/netops/links.ts";
import { del } from "../../../lib/plugin.ts";
import {
  BOUND,
  effects,
  GUARDED,
  HOST,
  INVOCATION,
  LEASE,
  lease,
  NETWORK,
  type World,
} from "./world.ts";

Deno.test("DEL sees the veth gone before it releases, and goes on past what fails", async () => {
  const other: Partial<Link> = { ifname: HOST, alias: "podnet/c9/eth0" };
  const own: Partial<Link> = { ifname: HOST, alias: "podnet/c1/eth0" };
  const rows: [World, string[]][] = [
    [{}, ["link", "veths", "release"]],
    [{ held: [LEASE] }, ["detach", "release c1/eth0"]],
    [{ held: [BOUND] }, ["detach", "forget 10.88.0.2", "release c1/eth0"]],
    [{ held: [GUARDED] }, ["detach", "forget 10.88.0.2", "release c1/eth0"]],
    // Without a lease the name may be another attachment's.
    [{ veths: [own] }, ["link", `remove ${HOST}`, "release"]],
    [{ veths: [{ ...own, alias: "" }] }, ["link", `remove ${HOST}`, "release"]],
    [{ veths: [other] }, ["link", "release"]],
    [{ veths: [{ ...own, alias: "other/c1/eth0" }] }, ["link", "release"]],
    [{ isGone: true, veths: [{ ...own, ifname: "renamed0" }] }, [
      "link",
      "veths",
      "remove renamed0",
      "release",
    ]],
    // With one it may have been renamed.
    [{ held: [LEASE], isGone: true }, ["detach", "veths", "release c1/eth0"]],
    [{ held: [LEASE], isGone: true, veths: [{ ...own, ifname: "renamed0" }] }, [
      "detach",
      "veths",
      "remove renamed0",
      "release c1/eth0",
    ]],
    [{ held: [LEASE], mark: "died" }, ["detach", "clear mark", "release c1/eth0"]],
    [{ held: [LEASE], mark: "running" }, ["detach", "release c1/eth0"]],
    [{ held: [LEASE, lease("c1", "10.88.0.3")] }, ["veths", "detach", "release c1,c1/eth0"]],
    [{ failing: "detach", held: [LEASE] }, ["detach", "release"]],
    [{ failing: "release c1/eth0", held: [LEASE] }, ["detach", "release c1/eth0"]],
    [{ failing: "forget 10.88.0.2", held: [BOUND] }, [
      "detach",
      "forget 10.88.0.2",
      "release",
    ]],
  ];
  for (const [world, steps] of rows) {
    const tools = effects(world);
    const run = () => del(NETWORK, INVOCATION, tools);
    if (world.failing !== undefined) await assertRejects(run, CniError, world.failing);
    else await run();
    assertEquals(tools.steps, steps, JSON.stringify(world));
  }
});

Deno.test("DEL waits for the late veth of an ADD that was killed, and for no other", async () => {
  const late = effects({ mark: "died", veths: [] });
  let looks = 0;
  const kernel: Kernel = {
    ...late.kernel,
    link: (ifname) => Promise.resolve(++looks === 3 ? parseLink({ ifname }) : undefined),
  };
  await del(NETWORK, INVOCATION, { ...late, kernel });
  assertEquals([looks, late.steps], [3, ["detach", "clear mark", "release"]]);
  for (const mark of ["none", "running"] as const) {
    const tools = effects({ mark });
    const began = performance.now();
    await del(NETWORK, INVOCATION, tools);
    assertEquals([tools.steps, performance.now() - began < 1000], [
      ["link", "veths", "release"],
      true,
    ]);
  }
});

Deno.test("DEL removes the veth even where the state can't be read", async () => {
  const tools = effects({ failing: "read" });
  const error = await assertRejects(() => del(NETWORK, INVOCATION, tools), CniError, "read");
  assertEquals(error.code, 104);
  assertStringIncludes(error.details, "is gone");
  assertEquals(tools.steps, ["link", "veths", "wouldBeginAnew"]);
});
