import { assert, assertEquals, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path/posix";
import { type Line, LINES } from "./guard/lines.ts";
import type { Outcome } from "./guard/finding.ts";
import { securityTable, STATES, tableOf } from "./guard/security.ts";

const PAGE = Deno.readTextFileSync(fromFileUrl(new URL("../SECURITY.md", import.meta.url)));
const CELL = /^(works|stopped), (\d+) of [1-9]\d*$/;
const STATE_NAMES = Object.keys(STATES);

const cellsOf = (row: string): string[] => row.split("|").slice(1, -1).map((it) => it.trim());

Deno.test("SECURITY.md has each line of the guard's table, with an outcome in each state", () => {
  const [, , ...rows] = tableOf(PAGE).trim().split("\n").map(cellsOf);
  assertEquals(
    rows.map((row) => [row[0], row.at(-1)]),
    LINES.map(({ tries, why }) => [tries, why]),
  );
  for (const [at, row] of rows.entries()) {
    const { tries } = LINES[at] as Line;
    for (const cell of row.slice(1, -1)) {
      const [, verdict, got] = CELL.exec(cell) ?? [];
      assert(verdict !== undefined, `${tries}: ${cell}`);
      assertEquals(verdict === "stopped", got === "0", `${tries}: ${cell}`);
    }
    assertEquals(row.length, STATE_NAMES.length + 2);
  }
});

/** Names of attacks, one for each line that has some. */
const ATTACKS = [
  "take bob's MAC: host → bob",
  "take the bridge's MAC: ann → host",
  "pose as bob, MAC and address, to host",
  "pose as bob, MAC and address, to reserved group addresses, to host",
  "flood of random source MACs: entries of the bridge's table",
  "ARP 'I am bob' to the host",
  "ARP 'I am the gateway' to bob: bob → host",
  "ARP 'I am the gateway behind a port' to bob",
  "ARP 'I am bob' to ann",
  "ICMP redirect 'as the gateway' to bob: bob → outside",
  "forged foreign source, to host",
  "UDP from ::, to host",
  "in a network that lacks this family, to host",
  "forged source of bob, to host",
  "router advertisement, to host",
  "multicast query, on a bridge that AtomicNI made",
  "multicast query, on a bridge with multicast snooping",
  "DHCP answers from port 67, to host",
  "reach an isolated neighbour through the gateway",
];
const SEEN: readonly Outcome[] = STATE_NAMES.flatMap((state) =>
  ATTACKS.map((name) => ({ attack: `IPv4: ${name}`, state, got: 10, of: 10 }))
);

Deno.test("the guard's table: a line without an outcome is an error, and an outcome without a line", () => {
  assertEquals(cellsOf(securityTable(SEEN)[2] ?? "").slice(1, 4), [
    ...new Array(3).fill("works, 10 of 10"),
  ]);
  for (const left of SEEN) {
    assertThrows(() => securityTable(SEEN.filter((it) => it !== left)), Error);
  }
  const unknown = { attack: "IPv4: something else", state: "guard on", got: 0, of: 10 };
  assertThrows(() => securityTable([...SEEN, unknown]), Error, "belongs to 0 lines");
});

Deno.test("the guard's table: what neither works nor is stopped is an error", () => {
  const few = SEEN.map((it) => ({ ...it, got: 1 }));
  assertThrows(() => securityTable(few), Error, "1 of 10");
});
