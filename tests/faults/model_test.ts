import { assert, assertEquals } from "@std/assert";
import {
  addCopied,
  addThatFreesFirst,
  addThatReplaces,
  addThatWritesTwice,
  addWithLeaseFirst,
  delThatDoesNotWait,
  delThatFreesAnyway,
  delThatFreesFirst,
  delThatLeavesNeighbours,
  gcByName,
} from "./model/wrong.ts";
import { add, del } from "../../lib/plugin.ts";
import { recordFault } from "./fault.ts";
import { SIZE } from "../size.ts";
import { say } from "../outcomes.ts";
import { explore } from "./model/explore.ts";
import { adding, collecting, deleting, DUAL, type Parts, scenario } from "./model/scenario.ts";

const [A, B] = [adding("A", "a"), adding("B", "b")];
/** A DEL and then an ADD of one attachment. */
const RENEWED = adding("A", "a", async (config, invocation, effects) => {
  await del(config, invocation, effects);
  return await add(config, invocation, effects, () => {});
});
const SCENARIOS: Record<string, Parts> = {
  "an ADD, a DEL of another, a GC without a list; killed anywhere": {
    before: { p: "live" },
    runs: [A, deleting("D", "p"), collecting("G")],
    killsOnly: true,
  },
  "two ADDs of one attachment, a GC with a list; killed anywhere": {
    before: { p: "live" },
    runs: [A, adding("B", "a"), collecting("G", ["a"])],
    killsOnly: true,
  },
  "an ADD, a DEL of another, a GC with a list; killed anywhere": {
    before: { p: "live" },
    runs: [A, deleting("D", "p"), collecting("G", ["a"])],
    killsOnly: true,
  },
  "two ADDs and a DEL; killed, failed, late, signalled anywhere": {
    before: { p: "live" },
    runs: [A, B, deleting("D", "p")],
  },
  "two ADDs into a pool of stale leases; killed anywhere": {
    before: { p: "stale lease", q: "stale lease" },
    runs: [A, B],
    killsOnly: true,
  },
  "an ADD into a pool of stale leases and a GC with a list; any fault": {
    before: { p: "stale lease", q: "stale lease" },
    runs: [A, collecting("G", ["a", "b"])],
  },
  "an ADD and the DEL of one attachment, line by line; any fault": {
    before: { a: "veth" },
    runs: [A, deleting("D", "a")],
    byLine: true,
  },
  "one ADD without a bridge, line by line; any fault": {
    bridge: false,
    runs: [A],
    byLine: true,
  },
  "an ADD of a live attachment, with its GC; any fault": {
    before: { a: "live" },
    runs: [A, collecting("G")],
  },
  "an ADD whose bridge is gone, while a container lives; any fault": {
    before: { p: "live" },
    bridge: false,
    runs: [A],
  },
  "a guarded dual-stack ADD whose bridge is gone, while a container lives; killed anywhere": {
    network: DUAL,
    before: { p: "live" },
    bridge: false,
    runs: [A],
    killsOnly: true,
  },
  "a guarded dual-stack ADD, line by line; any fault": {
    network: DUAL,
    before: { p: "live" },
    runs: [A],
    byLine: true,
  },
  "a guarded dual-stack DEL, line by line; any fault": {
    network: DUAL,
    before: { p: "live", q: "live" },
    runs: [deleting("D", "p")],
    byLine: true,
  },
  "a guarded dual-stack ADD and a DEL of another; killed anywhere": {
    network: DUAL,
    before: { p: "live" },
    runs: [A, deleting("D", "p")],
    killsOnly: true,
  },
  "two dual-stack ADDs for the one pair that is left; any fault": {
    network: { ...DUAL, guarded: false },
    before: { p: "live" },
    runs: [A, B],
  },
  "a guarded dual-stack ADD into a pool of stale leases and a GC; killed anywhere": {
    network: DUAL,
    before: { p: "stale lease", q: "stale lease" },
    runs: [A, collecting("G")],
    killsOnly: true,
  },
};

/** Each takes long: only in the full form. */
const LONG: Record<string, Parts> = {
  "one ADD without a bridge, line by line; any two faults": {
    bridge: false,
    runs: [A],
    faults: 2,
    byLine: true,
  },
  "a guarded dual-stack ADD whose bridge is gone, while a container lives; any fault": {
    network: DUAL,
    before: { p: "live" },
    bridge: false,
    runs: [A],
  },
  "two ADDs of one attachment, a DEL of another, a GC with a list; killed anywhere": {
    before: { p: "live" },
    runs: [A, adding("B", "a"), deleting("D", "p"), collecting("G", ["a"])],
    killsOnly: true,
  },
  "two ADDs whose bridge is gone, while a container lives": {
    before: { p: "live" },
    bridge: false,
    runs: [A, B],
    faults: 0,
  },
  "two ADDs, a DEL of a third, a GC without a list; killed anywhere": {
    before: { p: "live" },
    runs: [A, B, deleting("D", "p"), collecting("G")],
    killsOnly: true,
  },
  "two ADDs into a pool of stale leases and a GC with a list; any fault": {
    before: { p: "stale lease", q: "stale lease" },
    runs: [A, B, collecting("G", ["a", "b"])],
  },
  // Any fault, instead of kills, needs more than 4 GB.
  "two ADDs whose bridge is gone, while a container lives; killed anywhere": {
    before: { p: "live" },
    bridge: false,
    runs: [A, B],
    killsOnly: true,
  },
  "two ADDs of one attachment whose last container is left over; killed anywhere": {
    before: { a: "old namespace" },
    runs: [A, adding("B", "a")],
    killsOnly: true,
  },
  "two ADDs of one attachment, its DEL, a GC without a list; killed anywhere": {
    before: { a: "stale lease", q: "stale lease" },
    runs: [A, adding("B", "a"), deleting("D", "a"), collecting("G")],
    killsOnly: true,
  },
  "an ADD of an attachment whose last container is left over, its DEL, a GC; any fault": {
    before: { a: "old namespace" },
    runs: [A, deleting("D", "a"), collecting("G")],
  },
  "two ADDs of one attachment without a bridge; killed anywhere": {
    bridge: false,
    runs: [A, adding("B", "a")],
    killsOnly: true,
  },
};

/** Copies of the steps with a mistake. The correct steps pass each of the scenarios. */
const WRONG: Record<string, { parts: Parts; right: Parts }> = {
  "the lease before the veth": {
    parts: { before: { p: "live" }, runs: [adding("A", "a", addWithLeaseFirst), B], faults: 0 },
    right: { before: { p: "live" }, runs: [adding("A", "a", addCopied), B], faults: 0 },
  },
  "release before delete": {
    parts: { before: { p: "live" }, runs: [A, deleting("D", "p", delThatFreesFirst)], faults: 0 },
    right: { before: { p: "live" }, runs: [A, deleting("D", "p")], faults: 0 },
  },
  "release though the delete failed": {
    parts: { before: { p: "live" }, runs: [deleting("D", "p", delThatFreesAnyway)] },
    right: { before: { p: "live" }, runs: [deleting("D", "p")] },
  },
  "an undo that frees the address before the veth is gone": {
    parts: { runs: [adding("A", "a", addThatFreesFirst), B] },
    right: { runs: [adding("A", "a", addCopied), B] },
  },
  "a GC that removes by name": {
    parts: {
      before: { a: "renamed veth" },
      runs: [RENEWED, collecting("G", undefined, gcByName)],
      faults: 0,
    },
    right: {
      before: { a: "renamed veth" },
      runs: [RENEWED, collecting("G")],
      faults: 0,
    },
  },
  "an ADD that replaces an existing host veth": {
    parts: { before: { a: "live" }, runs: [adding("A", "a", addThatReplaces)], faults: 0 },
    right: { before: { a: "live" }, runs: [adding("A", "a", addCopied)], faults: 0 },
  },
  "a DEL that does not wait for the veth of a killed ADD": {
    parts: { runs: [A], killsOnly: true, removing: delThatDoesNotWait },
    right: { runs: [A], killsOnly: true },
  },
  "a reserve that writes the two families one after the other": {
    parts: { network: DUAL, runs: [adding("A", "a", addThatWritesTwice)], faults: 0 },
    right: { network: DUAL, runs: [adding("A", "a", addCopied)], faults: 0 },
  },
  "a DEL that leaves permanent neighbours": {
    parts: {
      network: DUAL,
      before: { p: "live" },
      runs: [deleting("D", "p", delThatLeavesNeighbours)],
      faults: 0,
    },
    right: { network: DUAL, before: { p: "live" }, runs: [deleting("D", "p")], faults: 0 },
  },
};

function shown(history: readonly string[] | undefined): string {
  return (history ?? []).map((line, at) => `  ${at + 1}. ${line}`).join("\n");
}

for (
  const [name, parts] of Object.entries(SIZE === "short" ? SCENARIOS : { ...SCENARIOS, ...LONG })
) {
  Deno.test(`model: ${name}`, async () => {
    const began = performance.now();
    const { states, broken } = await explore(await scenario(parts));
    assertEquals(broken, undefined, `a history breaks it:\n${shown(broken)}`);
    const seconds = Math.round((performance.now() - began) / 1000);
    recordFault({
      fault: `model: ${name}`,
      tries: `${states} states`,
      outcome: `all right (${seconds} s)`,
    });
  });
}

for (const [name, { parts, right }] of Object.entries(WRONG)) {
  Deno.test(`model finds: ${name}`, async () => {
    assertEquals((await explore(await scenario(right))).broken, undefined);
    const { states, broken } = await explore(await scenario(parts));
    assert(broken !== undefined, "the model sees nothing wrong");
    recordFault({
      fault: `model, to see that it finds mistakes: ${name}`,
      tries: `${states} states`,
      outcome: `found: ${broken.at(-1)?.slice(2)}, after ${broken.length - 1} steps`,
    });
    say(`the shortest history:\n${shown(broken)}`);
  });
}
