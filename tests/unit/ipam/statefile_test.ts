import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { join } from "@std/path/posix";
import { CniError } from "../lib/errors.ts";
import { parseNetworkName } from "../lib/names.ts";
import { emptyState, Ledger, type State } from "../lib/ledger.ts";
import {
  parseState,
  readState,
  statePath,
  sweepTemporaries,
  writeState,
} from "../lib/statefile.ts";

const NET = parseNetworkName("podnet");
const NOTE = { since: "2026-01-01T00:00:00Z", veth: "fe:00:00:00:00:01" };
const GOOD = {
  schema: 2,
  lastReserved: "10.88.0.3",
  containerToIP: { "c1/eth0": "10.88.0.2", "c2/eth0": "10.88.0.3" },
  ipToContainer: { "10.88.0.2": "c1/eth0", "10.88.0.3": "c2/eth0" },
  leases: { "10.88.0.2": { ...NOTE, pod: "web/front" }, "10.88.0.3": NOTE },
};

function parse(text: string): State {
  return parseState(new TextEncoder().encode(text), "/s/podnet.json");
}

Deno.test("parseState() reads what this program and the Go original write", () => {
  const state = parse(JSON.stringify(GOOD));
  const { schema: _, ...good } = GOOD;
  assertEquals(state, good);
  const original = {
    containerToIP: { c1: "10.22.0.2" },
    ipToContainer: { "10.22.0.2": "c1" },
    lastReserved: "10.22.0.2",
  };
  assertEquals(parse(JSON.stringify(original, undefined, 2)).leases, {});
  assertEquals(parse(JSON.stringify(original, undefined, 2)).containerToIP, { c1: "10.22.0.2" });
  const { containerToIP, ipToContainer, lastReserved, leases } = parse(
    '{"containerToIP":{},"ipToContainer":{}}',
  );
  assertEquals({ containerToIP, ipToContainer, lastReserved, leases }, emptyState());
});

Deno.test("parseState() refuses each kind of damage", () => {
  const good = JSON.stringify(GOOD);
  const changed = (changes: object) => JSON.stringify({ ...GOOD, ...changes });
  const rows: [string, string][] = [
    ["", "it is empty"],
    ["\0".repeat(64), "state file"],
    [good.slice(0, good.length / 2), "state file"],
    [`${good}${good}`, "state file"],
    ["noise \u0007", "state file"],
    ["\ufeff" + good, "state file"],
    ["[]", "it holds no object"],
    ["null", "it holds no object"],
    ["7", "it holds no object"],
    ["{}", "containerToIP is undefined"],
    [changed({ schema: 3 }), "it has schema 3"],
    [changed({ schema: "2" }), 'its schema is "2"'],
    [changed({ schema: 1 }), "its schema is 1"],
    [changed({ containerToIP: [] }), "containerToIP is []"],
    [changed({ ipToContainer: "x" }), 'ipToContainer is "x"'],
    [changed({ containerToIP: { ...GOOD.containerToIP, "c1/eth0": 7 } }), "has 7, no IPv4 address"],
    [changed({ containerToIP: { ...GOOD.containerToIP, "c1/eth0": "10.88.0.02" } }), "no IPv4"],
    [changed({ containerToIP: { "c1/eth0": "10.88.0.2" } }), "1 owners have 2 addresses"],
    [changed({ ipToContainer: { "10.88.0.2": "c1/eth0" } }), "noted for nobody"],
    [changed({ ipToContainer: { "10.88.0.2": "c2/eth0", "10.88.0.3": "c1/eth0" } }), "noted for"],
    [
      changed({ containerToIP: { "c1/eth0": "10.88.0.2", "c2/eth0": "10.88.0.2" } }),
      'noted for "c1/eth0"',
    ],
    [changed({ lastReserved: 7 }), "lastReserved is 7"],
    [changed({ lastReserved: "10.88.0" }), 'lastReserved is "10.88.0"'],
    [changed({ leases: [] }), "leases is []"],
    [changed({ leases: { "10.88.0.9": NOTE } }), "which nobody holds"],
    [changed({ leases: { "10.88.0.2": {} } }), 'leases["10.88.0.2"] is {}'],
    [changed({ leases: { "10.88.0.2": { ...NOTE, pod: 7 } } }), "pod is 7"],
    [changed({ pool: "x" }), 'pool is "x"'],
    [changed({ pool: { subnet: "10.88.0.0/24" } }), "pool is {"],
    [good.replace('"c1/eth0":', '"c2/eth0":"10.88.0.3","c1/eth0":'), "a key stands in it twice"],
    [good.replace('{"schema":2', '{"schema":2,"schema":2'), "a key stands in it twice"],
  ];
  for (const [text, message] of rows) {
    const error = assertThrows(() => parse(text), CniError, message);
    assertEquals(error.code, 104, text);
    assert(error.message.includes("/s/podnet.json"), error.message);
  }
  assertThrows(() => parseState(new Uint8Array([0x7b, 0xff, 0x7d]), "/s"), CniError, "state file");
});

Deno.test("writeState() replaces the file whole, private, and leaves no temporary", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    await writeState(folder, NET, new Ledger(emptyState()));
    const before = Deno.statSync(statePath(folder, NET));
    const { schema: _, ...state } = GOOD;
    await writeState(folder, NET, new Ledger(state));
    const after = Deno.statSync(statePath(folder, NET));
    assertNotEquals(after.ino, before.ino);
    assertEquals((after.mode ?? 0) & 0o777, 0o600);
    const { seal, ...written } = JSON.parse(Deno.readTextFileSync(statePath(folder, NET)));
    assertEquals(written, GOOD);
    assertMatch(seal, /^[0-9a-f]{32}$/);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["podnet.json"]);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("writeState() that fails is code 5 and leaves the folder as it was", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.mkdirSync(statePath(folder, NET));
    const error = await assertRejects(
      () => writeState(folder, NET, new Ledger(emptyState())),
      CniError,
      "Cannot write",
    );
    assertEquals(error.code, 5);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["podnet.json"]);
    await assertRejects(
      () => writeState(join(folder, "gone"), NET, new Ledger(emptyState())),
      CniError,
      "Cannot write",
    );
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("readState() believes the seal, and checks all where it is broken", async () => {
  const folder = Deno.makeTempDirSync();
  const path = statePath(folder, NET);
  const { schema: _, ...good } = GOOD;
  const read = async () => {
    const { ledger, file } = await readState(folder, NET);
    file?.close();
    return ledger;
  };
  try {
    await writeState(folder, NET, new Ledger(good));
    assertEquals((await read()).state(), good);
    assertEquals((await read()).origin, "sealed");
    const text = Deno.readTextFileSync(path);
    // Sealed, but with more in it than is known here.
    const more = `${text.slice(0, text.lastIndexOf(',"seal"'))},"more":{}`;
    const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(more));
    Deno.writeTextFileSync(
      path,
      `${more},"seal":"${new Uint8Array(hash).toHex().slice(0, 32)}"}\n`,
    );
    assertEquals((await read()).origin, "checked");
    assertEquals((await read()).state(), good);
    // Changed by hand, but true: taken, without trusting the seal.
    Deno.writeTextFileSync(path, text.replaceAll("10.88.0.3", "10.88.0.9"));
    assertEquals((await read()).origin, "checked");
    assertEquals((await read()).addressOf("c2/eth0"), "10.88.0.9");
    for (
      const damage of [
        text.replace('"c2/eth0":"10.88.0.3"', '"c2/eth0":"10.88.0.2"'),
        text.slice(0, -30),
        text.slice(1),
        `${text}${text}`,
      ]
    ) {
      Deno.writeTextFileSync(path, damage);
      assertEquals((await assertRejects(read, CniError, "state file")).code, 104, damage);
    }
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("sweepTemporaries() removes this network's and nobody else's", () => {
  const folder = Deno.makeTempDirSync();
  const kept = [
    ".pod.0123456789abcdef.tmp",
    ".podnet.a.0123456789abcdef.tmp",
    ".podnet.0123.tmp",
    "podnet.json",
  ];
  try {
    for (const name of [...kept, ".podnet.0123456789abcdef.tmp", ".podnet.fedcba9876543210.tmp"]) {
      Deno.writeTextFileSync(join(folder, name), "x");
    }
    sweepTemporaries(folder, NET);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name).sort(), kept.sort());
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
