import { assert, assertEquals, assertMatch } from "@std/assert";
import {
  type Answer,
  type CniCall,
  CONFIG,
  type Host,
  hostTest,
  type Mode,
  MODES,
} from "./host.ts";
import { snapshot } from "./snapshot.ts";

export interface Row {
  readonly name: string;
  readonly call: CniCall;
  readonly code: number;
  readonly message: RegExp;
  /** Shell to run before and after the plugin. */
  readonly prepare?: string;
  readonly restore?: string;
}

/** A bridge that no run creates: the error is known before. */
export const FRESH = { ...CONFIG, bridge: "fresh0" };

function assertRefused(answer: Answer, { name, code, message }: Row): void {
  assertEquals(answer.code, 1, `${name}: exit status; ${answer.stdout}`);
  assert(answer.json !== undefined, `${name}: not one JSON document: ${answer.stdout}`);
  const { cniVersion, code: found, msg, details = "", ...rest } = answer.json;
  assertEquals(
    { cniVersion, code: found, rest },
    { cniVersion: "1.1.0", code, rest: {} },
    `${name}: ${msg}`,
  );
  assertMatch(`${msg}; ${details}`, message, name);
  const said = answer.stdout + answer.stderr;
  assert(!/\n\s+at |\\n\s+at |Stack backtrace/.test(said), `${name}: a stack trace: ${said}`);
}

/** Rows that need no preparation run in parallel, this many at a time, each with its own container. */
const CONTAINERS = ["c1", "c2", "c3", "c4"];

/** ADDs that have to be refused next to a live neighbour. The neighbour must not notice, and nothing may change. */
async function refuseAll(host: Host, rows: readonly Row[]): Promise<void> {
  await host.containers("n1", ...CONTAINERS);
  await host.add({ id: "n1" });
  assert(await host.pings("n1", CONFIG.gateway));
  for (const group of groups(rows)) {
    const names = group.map(({ name }) => name).join(", ");
    for (const { prepare } of group) if (prepare !== undefined) await host.sh(prepare);
    const before = await snapshot(host);
    await Promise.all(group.map(async (row, index) => {
      assertRefused(await host.cni("ADD", { id: CONTAINERS[index] ?? "", ...row.call }), row);
    }));
    assertEquals(await snapshot(host), before, `something was changed: ${names}`);
    assert(await host.pings("n1", CONFIG.gateway), `the neighbour is cut off: ${names}`);
    for (const { restore } of group) if (restore !== undefined) await host.sh(restore);
  }
  assertEquals(await host.leases(), { "n1/eth0": "10.86.0.2" });
  await host.del({ id: "n1" });
  await host.assertNothingLeft();
}

function groups(rows: readonly Row[]): Row[][] {
  const all: Row[][] = [];
  const simple = ({ prepare, restore }: Row) => prepare === undefined && restore === undefined;
  for (const row of rows) {
    const last = all.at(-1);
    if (last !== undefined && last.length < CONTAINERS.length && [...last, row].every(simple)) {
      last.push(row);
    } else all.push([row]);
  }
  return all;
}

export function badInputTest(
  name: string,
  rows: readonly Row[],
  modes: readonly Mode[] = MODES.slice(0, 1),
): void {
  hostTest(
    `bad input is refused and changes nothing: ${name}`,
    (host) => refuseAll(host, rows),
    modes,
  );
}
