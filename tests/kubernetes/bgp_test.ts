import { assert, assertEquals } from "@std/assert";
import { Fabric, type Member } from "./fabric.ts";
import { record } from "./figures.ts";
import { test } from "../both_errors.ts";

/** The number of nodes; the figures of docs/clusters-bgp.md are for 32. */
const NODES = Number(Deno.env.get("KUBERNETES_BGP_NODES") ?? 32);
/** The most MB of FRR on a node and on a reflector of 32 nodes; docs/clusters-bgp.md has the measured figures. */
const MEMORY = { n1: 40, r1: 80 } as const;
/** Seconds of deploy/frr-bgp: the hold time, and the time limit of a restart. */
const HOLD = 9;
const RESTART = 20;
/** Hold time and restart; a loaded machine needs more. */
const GONE = HOLD + RESTART + 20;
/** Seconds for which a new reflector tells nodes that it restarts; FRR then drops the routes of a restarted node for 1.5 s. */
const YOUNG = 120;
/** Packets may be lost for this time by the load of the machine alone. */
const MOMENT = 2;

type Figures = Record<string, number>;

const [n1, n2, n3, n4, n5] = ["n1", "n2", "n3", "n4", "n5"] as const;

/** The number of a node's ranges that the first node reaches. */
async function has(fabric: Fabric, node: Member): Promise<number> {
  const reached = await fabric.reached(n1);
  return fabric.ranges(node).filter((it) => reached.has(it)).length;
}

async function isComplete(fabric: Fabric): Promise<boolean> {
  return (await fabric.counts()).every((it) => it === 2 * (NODES - 1));
}

/** Asserts once a second that the condition holds. */
async function stays(seconds: number, what: string, holds: () => Promise<boolean>): Promise<void> {
  for (const end = performance.now() + 1000 * seconds; performance.now() < end;) {
    assert(await holds(), what);
    await new Promise((resume) => setTimeout(resume, 1000));
  }
}

async function start(fabric: Fabric, figures: Figures): Promise<void> {
  for (const member of ["r1", "r2", ...fabric.nodes] as Member[]) await fabric.start(member);
  figures["all routes on all nodes, after the last start"] = await fabric.until(
    "every node reaches every range",
    () => isComplete(fabric),
  );
  for (const member of ["n1", "r1"] as const) {
    const memory = await fabric.memory(member);
    assert(memory > 5 && memory < MEMORY[member], `${member}: ${memory} MB`);
    figures[`MB of FRR on ${member}`] = memory;
  }
}

async function death(fabric: Fabric, figures: Figures): Promise<void> {
  await fabric.powerOff(n2);
  const gone = await fabric.until("it is gone", async () => await has(fabric, n2) === 0);
  figures["a node's death: no route after"] = gone;
  assert(gone < GONE, JSON.stringify(figures));
  assertEquals((await fabric.reached(n1)).size, 2 * (NODES - 2), "only its routes are gone");
  await fabric.start(n2);
  figures["its return: reached after"] = await fabric.until(
    "it is back",
    async () => await has(fabric, n2) === 2,
  );
}

/** Its routes stay on the other nodes and its own routes stay in the kernel, so packets pass. */
async function restart(fabric: Fabric, figures: Figures): Promise<void> {
  await new Promise((resume) => setTimeout(resume, 1000 * YOUNG));
  const lost = await fabric.lost(n3, n1, async () => {
    await fabric.kill(n3, "bgpd");
    await stays(4, "a dead bgpd lost a route", async () => await has(fabric, n3) === 2);
    await fabric.bgp(n3);
    figures["graceful restart: all sessions again after"] = await fabric.until(
      "the sessions are back",
      async () => await fabric.sessions("r1") === 2 * NODES,
    );
    await stays(
      RESTART + 5,
      "a restart lost a route",
      async () => await has(fabric, n3) === 2 && await isComplete(fabric),
    );
  });
  figures["graceful restart: seconds without packets"] = lost;
  assert(lost <= MOMENT, JSON.stringify(figures));
}

/** The contrast: without graceful restart, the same end of bgpd takes the routes away. */
async function abruptRestart(fabric: Fabric, figures: Figures): Promise<void> {
  await fabric.kill(n4, "bgpd");
  await fabric.bgp(n4, false);
  await fabric.until(
    "the sessions are back",
    async () => await fabric.sessions("r1") === 2 * NODES && await isComplete(fabric),
  );
  await stays(RESTART + 5, "a route is lost", async () => await has(fabric, n4) === 2);
  const lost = await fabric.lost(n1, n4, async () => {
    await fabric.kill(n4, "bgpd");
    const gone = await fabric.until("it is gone", async () => await has(fabric, n4) === 0);
    figures["without graceful restart: no route after"] = gone;
    assert(gone < HOLD, JSON.stringify(figures));
    await new Promise((resume) => setTimeout(resume, 4000));
    await fabric.bgp(n4);
    await fabric.until("it is back", () => isComplete(fabric));
  });
  figures["without graceful restart: seconds without packets"] = lost;
  assert(lost > MOMENT, JSON.stringify(figures));
}

/** Routes of a bgpd that does not return are kept for the time of a restart, and no longer. */
async function noReturn(fabric: Fabric, figures: Figures): Promise<void> {
  await fabric.kill(n5, "bgpd");
  const gone = await fabric.until("it is gone", async () => await has(fabric, n5) === 0);
  figures["bgpd does not return: no route after"] = gone;
  assert(gone > RESTART - 2 && gone < GONE, JSON.stringify(figures));
  await fabric.bgp(n5);
  await fabric.until("it is back", () => isComplete(fabric));
}

/** One reflector at a time dies without a lost route; with both, the routes are gone. */
async function reflectors(fabric: Fabric, figures: Figures): Promise<void> {
  const lost = await fabric.lost(n1, n3, async () => {
    await fabric.powerOff("r1");
    await stays(GONE, "a reflector's death lost a route", () => isComplete(fabric));
    await fabric.start("r1");
    figures["a reflector's return: all sessions again after"] = await fabric.until(
      "its sessions are back",
      async () => await fabric.sessions("r1") === 2 * NODES,
    );
    await stays(RESTART, "a reflector's return lost a route", () => isComplete(fabric));
    await fabric.powerOff("r2");
    await stays(GONE, "the other reflector's death lost a route", () => isComplete(fabric));
  });
  figures["a reflector's death and return: seconds without packets"] = lost;
  assert(lost <= MOMENT, JSON.stringify(figures));
  await fabric.powerOff("r1");
  const gone = await fabric.until(
    "it is gone",
    async () => (await fabric.counts()).every((it) => it === 0),
  );
  figures["the death of both reflectors: no route after"] = gone;
  assert(gone < GONE, JSON.stringify(figures));
}

test(`${NODES} nodes with FRR (BGP) and two reflectors: deaths, returns, restarts`, async () => {
  await using fabric = await Fabric.create(NODES);
  const figures: Figures = {};
  for (const part of [start, death, restart, abruptRestart, noReturn, reflectors]) {
    await part(fabric, figures);
  }
  for (const [name, value] of Object.entries(figures)) await record(name, value.toFixed(1));
});
