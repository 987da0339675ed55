import { assertEquals, assertThrows } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { parseState } from "../../../lib/ipam/parse_state.ts";
import { formatted } from "./world.ts";

const NOTE = { since: "2026-01-01T00:00:00Z", veth: "fe:00:00:00:00:01" };
const RECORD = { since: NOTE.since, hostMac: NOTE.veth };
const POOL = {
  subnet: "10.86.0.0/24",
  gateway: "10.86.0.1",
  rangeStart: "10.86.0.1",
  rangeEnd: "10.86.0.254",
};
const SCHEMA_2 = {
  schema: 2,
  lastReserved: "10.86.0.3",
  containerToIP: { "c1/eth0": "10.86.0.2", c2: "10.86.0.3" },
  ipToContainer: { "10.86.0.2": "c1/eth0", "10.86.0.3": "c2" },
  leases: { "10.86.0.2": { ...NOTE, pod: "web/front" } },
  pool: POOL,
  seal: "0123456789abcdef0123456789abcdef",
};
/** Formats the value as Go's encoding/json does. */
const ORIGINAL = {
  containerToIP: { c1: "10.22.0.2" },
  ipToContainer: { "10.22.0.2": "c1" },
  lastReserved: "10.22.0.2",
};

function rewritten(file: object, space?: number): unknown {
  const bytes = new TextEncoder().encode(JSON.stringify(file, undefined, space));
  return JSON.parse(formatted(parseState(bytes, "/s/podnet.json")));
}

Deno.test("a file of an older format is read, and written as schema 3", () => {
  const { containerToIP, ipToContainer, lastReserved } = SCHEMA_2;
  const maps = { schema: 3, containerToIP, ipToContainer, lastReserved };
  const { pool: _, ...poolless } = SCHEMA_2;
  const rows: [object, object][] = [
    [SCHEMA_2, {
      ...maps,
      leases: { "c1/eth0": { ...RECORD, pod: "web/front" } },
      ranges: [[POOL]],
    }],
    [{ ...poolless, lastReserved: "" }, {
      ...maps,
      lastReserved: "",
      leases: { "c1/eth0": { ...RECORD, pod: "web/front" } },
    }],
    [{ ...poolless, leases: {} }, { ...maps, leases: {} }],
    [{
      ...poolless,
      leases: { "10.86.0.3": { ...NOTE, hosts: "veth0", mac: "02:00:00:00:00:01" } },
    }, {
      ...maps,
      leases: { c2: { ...RECORD, hosts: "veth0", mac: "02:00:00:00:00:01" } },
    }],
    [ORIGINAL, { schema: 3, ...ORIGINAL, leases: {} }],
    [{ containerToIP: {}, ipToContainer: {} }, {
      schema: 3,
      containerToIP: {},
      ipToContainer: {},
      lastReserved: "",
      leases: {},
    }],
  ];
  for (const [file, expected] of rows) {
    assertEquals(rewritten(file), expected);
    assertEquals(rewritten(file, 2), expected);
    // The next write uses the present format.
    assertEquals(rewritten(rewritten(file) as object), expected);
  }
});

Deno.test("a damaged file of an older format is refused like a damaged file of the present format", () => {
  const rows: [object, string][] = [
    [{ ...SCHEMA_2, schema: 1 }, "its schema is 1"],
    [{ ...SCHEMA_2, schema: "2" }, 'its schema is "2"'],
    [{ ...SCHEMA_2, containerToIP: [] }, "containerToIP is []"],
    [{ ...SCHEMA_2, leases: [] }, "leases is []"],
    [{ ...SCHEMA_2, leases: { "10.86.0.9": NOTE } }, "which has no owner"],
    [{ ...SCHEMA_2, leases: { "10.86.0.2": {} } }, 'leases["c1/eth0"] is'],
    [{ ...SCHEMA_2, leases: { "10.86.0.2": 7 } }, 'leases["10.86.0.2"] is 7'],
    [{ ...SCHEMA_2, leases: { "10.86.0.2": { ...NOTE, pod: 7 } } }, "pod is 7"],
    [{ ...SCHEMA_2, pool: "x" }, "ranges is"],
    [{ ...SCHEMA_2, pool: { subnet: "10.86.0.0/24" } }, "ranges is"],
    [{ ...SCHEMA_2, pool: null }, "ranges is"],
    [{ ...SCHEMA_2, lastReserved: "10.86.0" }, "lastReserved is"],
    [{ ...SCHEMA_2, containerToIP: { "c1/eth0": "10.86.0.2" } }, 'held by "c2", which has nothing'],
    [{ ...ORIGINAL, containerToIP: { c1: "10.22.0.3" } }, 'held by "c1", which has "10.22.0.3"'],
    [{ ...ORIGINAL, ipToContainer: { "10.22.0.2": "c2" } }, 'held by "c2", which has nothing'],
    [{ ...ORIGINAL, ipToContainer: undefined }, "ipToContainer is undefined"],
  ];
  for (const [file, message] of rows) {
    assertEquals(assertThrows(() => rewritten(file), CniError, message).code, 104, message);
  }
});
