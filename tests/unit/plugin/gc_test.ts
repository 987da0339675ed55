import { assertEquals, assertRejects } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import type { Link } from "../../../lib/netops.ts";
import { gc } from "../../../lib/plugin.ts";
import { BOUND, effects, HOST, LEASE, lease, NETWORK, type World } from "./world.ts";

Deno.test("GC releases what is not listed, and without a list only what is stale", async () => {
  const keep = [{ containerId: "c1", ifname: "eth0" }];
  const own: Partial<Link> = { ifname: HOST, alias: "podnet/c1/eth0" };
  const cut: Partial<Link> = { ifname: "av0123456789abc", alias: `podnet/${"c".repeat(248)}` };
  const rows: [Parameters<typeof gc>[1], World, string[]][] = [
    [keep, { held: [LEASE] }, ["veths", "release"]],
    [keep, { held: [LEASE, lease("c2/eth0", "10.88.0.3")] }, ["veths", "release c2/eth0"]],
    [[], { held: [LEASE] }, ["veths", "release c1/eth0"]],
    [[], { held: [LEASE], veths: [own] }, ["veths", `remove ${HOST}`, "release c1/eth0"]],
    [[], { held: [BOUND] }, ["veths", "forget 10.88.0.2", "release c1/eth0"]],
    [keep, { held: [LEASE], veths: [own] }, ["veths", "release"]],
    // A listed one keeps its veth under whatever name; another network's is nobody's here.
    [keep, { held: [LEASE], veths: [{ ...own, ifname: "renamed0" }] }, ["veths", "release"]],
    [[], { veths: [{ ...own, ifname: "renamed0" }] }, ["veths", "remove renamed0", "release"]],
    [[], { veths: [{ ...own, alias: "other/c1/eth0" }] }, ["veths", "release"]],
    [[], { veths: [cut] }, ["veths", `remove ${cut.ifname}`, "release"]],
    // Without an alias it may be anybody's, but for what an ADD left that died.
    [[], { veths: [{ ...own, alias: "" }] }, ["veths", "release"]],
    [[], { veths: [{ ...own, alias: "" }], mark: "died" }, ["veths", `remove ${HOST}`, "release"]],
    // A veth that stays keeps its lease.
    [[], { held: [LEASE], veths: [own], failing: `remove ${HOST}` }, [
      "veths",
      `remove ${HOST}`,
      "release",
    ]],
    [undefined, { held: [LEASE] }, ["releaseStale", "veths"]],
    [undefined, { held: [LEASE], veths: [own] }, ["releaseStale", "veths"]],
    [undefined, { veths: [own] }, ["releaseStale", "veths", "lookInside"]],
    [undefined, { veths: [own], mark: "running" }, ["releaseStale", "veths"]],
  ];
  for (const [valid, world, steps] of rows) {
    const tools = effects(world);
    const run = () => gc(NETWORK, valid, tools);
    if (world.failing === undefined) await run();
    else await assertRejects(run, CniError, world.failing);
    assertEquals(tools.steps, steps, JSON.stringify([valid, world]));
  }
});
