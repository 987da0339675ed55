import { assertEquals, assertThrows } from "@std/assert";
import { parseIp } from "../../../lib/base/address.ts";
import { hostVethName } from "../../../lib/base/attachment.ts";
import { CniError } from "../../../lib/base/errors.ts";
import { parseContainerId } from "../../../lib/base/names.ts";
import {
  addLease,
  type Adoption,
  containerMac,
  emptyState,
  hostsOf,
  isImported,
  type Lease,
  type LeaseRecord,
  mayAdopt,
} from "../../../lib/ipam.ts";
import { ETH0, NETWORK, RECORD } from "./world.ts";

function adoption(id: string, ips: string[], record: Partial<LeaseRecord> = {}): Adoption {
  return {
    owner: { containerId: parseContainerId(id), ifname: ETH0 },
    ips: ips.map((it) => parseIp(it)),
    record: { ...RECORD, hosts: "veth0", ...record },
  };
}

Deno.test("mayAdopt() refuses an address of another owner, and accepts a repeated lease", () => {
  const state = emptyState();
  const blind = adoption("c9", ["10.0.0.3", "fd00::3"], { hostMac: "", hosts: "veth0 veth1" });
  const seen = adoption("c9", ["10.0.0.3", "fd00::3"]);
  assertEquals(mayAdopt(state, blind), true);
  addLease(state, blind);
  assertEquals(mayAdopt(state, blind), false);
  // The second import has a host veth's MAC that the first one lacked.
  assertEquals(mayAdopt(state, seen), true);
  addLease(state, seen);
  const held = structuredClone(state);
  // A third import of a container that can't be inspected now would lose the MAC.
  assertEquals([mayAdopt(state, blind), mayAdopt(state, seen), state], [false, false, held]);
  const rows: [Adoption, string][] = [
    [adoption("c9", ["10.0.0.4"]), "it has 10.0.0.3, fd00::3 here"],
    [adoption("c8", ["10.0.0.3"]), '"c9/eth0" holds it here'],
    [adoption("c8", ["10.0.0.4", "fd00::3"]), '"c9/eth0" holds it here'],
  ];
  for (const [lease, message] of rows) {
    const error = assertThrows(() => mayAdopt(state, lease), CniError, message);
    assertEquals([error.code, state], [102, held]);
  }
});

Deno.test("mayAdopt() drops no lease that is as good: the same one, one of this program, one of the Go original", () => {
  const { owner, ips, record } = adoption("c9", ["10.0.0.3"], { hostMac: "fe:00:00:00:00:01" });
  const { hosts: _, ...own } = record;
  const rows: [string, Lease][] = [
    ["the same", { owner, ips, record }],
    ["of this program", { owner, ips, record: { ...own, hostMac: "fe:00:00:00:00:02" } }],
    ["of the Go original", { owner: { ...owner, ifname: undefined }, ips, record: undefined }],
  ];
  for (const [name, held] of rows) {
    const state = emptyState();
    addLease(state, held);
    const before = structuredClone(state);
    assertEquals([mayAdopt(state, { owner, ips, record }), state], [false, before], name);
  }
});

Deno.test("mayAdopt() takes over a lease without interface if the container is found later", () => {
  const state = emptyState();
  const found = adoption("c9", ["10.0.0.3"]);
  const owner = { ...found.owner, ifname: undefined };
  addLease(state, { ...found, owner, record: { ...found.record, hostMac: "" } });
  assertEquals([mayAdopt(state, found), state.containerToIP], [true, {}]);
  addLease(state, { ...found, owner });
  assertEquals([mayAdopt(state, found), state.containerToIP], [false, { c9: "10.0.0.3" }]);
});

Deno.test("an imported lease has the host veths and the MAC of its record", async () => {
  const { owner, ips } = adoption("c1", ["10.0.0.2"]);
  const own = await hostVethName({ network: NETWORK, ...owner });
  const rows: [LeaseRecord | undefined, readonly string[], string | undefined, boolean][] = [
    [RECORD, [own], "0a:58:0a:00:00:02", false],
    [{ ...RECORD, mac: "02:00:00:00:00:01" }, [own], "02:00:00:00:00:01", false],
    [{ ...RECORD, hosts: "veth0 veth1" }, ["veth0", "veth1"], undefined, true],
    [{ ...RECORD, hosts: "veth0", mac: "02:00:00:00:00:01" }, ["veth0"], "02:00:00:00:00:01", true],
    [undefined, [own], undefined, false],
  ];
  for (const [record, hosts, mac, imported] of rows) {
    const lease = { owner, ips, record };
    assertEquals(await hostsOf(lease, NETWORK), hosts);
    assertEquals([containerMac(lease), isImported(lease)], [mac, imported]);
  }
  const legacy = { owner: { ...owner, ifname: undefined }, ips, record: undefined };
  assertEquals<readonly string[]>(await hostsOf(legacy, NETWORK), ["av2f22765d04931"]);
});
