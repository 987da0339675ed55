import { assert, assertEquals } from "@std/assert";
import { Fabric, type Member } from "./fabric.ts";
import { test } from "../both_errors.ts";

/** The number of nodes; the figures of docs/clusters-bgp.md are for 32. */
const NODES = Number(Deno.env.get("KUBERNETES_BGP_NODES") ?? 32);
/** The most MB of FRR on a node and on a reflector of 32 nodes; docs/clusters-bgp.md has the measured figures. */
const MEMORY = { n1: 40, r1: 80 } as const;
/** Hold time, and the time limit of a restart; a loaded machine needs more. */
const GONE = 9 + 20 + 20;

test(`${NODES} nodes with FRR (BGP) and two reflectors: death, return, a restart`, async () => {
  await using fabric = await Fabric.create(NODES);
  const [first, second, third] = fabric.nodes as [Member, Member, Member];
  const all = async (node: Member) => (await fabric.reached(node)).size === 2 * (NODES - 1);
  const figures: Record<string, number> = {};

  for (const member of ["r1", "r2", ...fabric.nodes] as Member[]) await fabric.start(member);
  figures["all routes on all nodes, after the last start"] = await fabric.until(
    "every node reaches every range",
    async () => (await Promise.all(fabric.nodes.map(all))).every((it) => it),
  );
  for (const member of ["n1", "r1"] as const) {
    const memory = await fabric.memory(member);
    assert(memory > 5 && memory < MEMORY[member], `${member}: ${memory} MB`);
    figures[`MB of FRR on ${member}`] = memory;
  }
  const has = async (node: Member) => {
    const reached = await fabric.reached(first);
    return fabric.ranges(node).filter((it) => reached.has(it)).length;
  };

  await fabric.powerOff(second);
  figures["a node's death"] = await fabric.until("it is gone", async () => await has(second) === 0);
  assert(figures["a node's death"] < GONE, JSON.stringify(figures));
  assertEquals((await fabric.reached(first)).size, 2 * (NODES - 2), "only its routes are gone");
  await fabric.start(second);
  figures["its return"] = await fabric.until("it is back", async () => await has(second) === 2);

  await fabric.kill(third, "bgpd");
  await fabric.sh(`rm -f /run/frr/${third}/bgpd.pid /run/frr/${third}/bgpd.vty`);
  const until = performance.now() + 4000;
  while (performance.now() < until) assertEquals(await has(third), 2, "a restart lost a route");
  await fabric.bgp(third);
  const restarted = performance.now();
  figures["a restarted node has all routes after at most"] = await fabric.until(
    "the restarted node has all routes",
    async () => {
      assertEquals(await has(third), 2, "a restart lost a route");
      return await all(third) && performance.now() - restarted > 12_000;
    },
  );

  await fabric.powerOff("r1");
  for (let seconds = 0; seconds < GONE; seconds++) {
    assert(await all(first), "a reflector's death lost a route");
    await new Promise((resume) => setTimeout(resume, 1000));
  }
  figures["routes lost by a reflector's death and by a restart of FRR"] = 0;
  const file = Deno.env.get("KUBERNETES_FIGURES");
  if (file !== undefined) await Deno.writeTextFile(file, JSON.stringify(figures, null, 2));
});
