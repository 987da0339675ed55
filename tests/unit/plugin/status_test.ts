import { assertEquals, assertRejects } from "@std/assert";
import { CniError } from "../../../lib/base/errors.ts";
import { groupOf } from "../../../lib/base/names.ts";
import { NewerSchema } from "../../../lib/ipam.ts";
import { checkServable, status } from "../../../lib/plugin.ts";
import { config, effects, HOST, lease, NETWORK, RECORD, type World } from "./world.ts";

const VETH = {
  ...{ ifname: HOST, alias: "podnet/c1/eth0", mac: "fe:00:00:00:00:77", master: "br0" },
  group: groupOf(NETWORK.name),
};
const SMALL = config({ ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.2" } });

Deno.test("STATUS is code 50 for every failure of an ADD", async () => {
  const damage = new CniError("StateDamaged", "it is empty", "a remedy");
  const full = [lease("c1/eth0", "10.86.0.2")];
  const rows: [World, string | undefined][] = [
    [{ held: [lease("c2/eth0", "10.9.0.2")] }, "it holds 10.9.0.2"],
    [{ held: full, veths: [{ ...VETH, mac: RECORD.hostMac }] }, "all are held"],
    // The next ADD reclaims it.
    [{ held: full }, undefined],
    [{ provenance: "changed", veths: [VETH] }, '"c1/eth0" may hold an address'],
    [{ provenance: "missing", veths: [VETH] }, "Cannot start the state"],
    [{ provenance: damage, veths: [VETH] }, "it is empty"],
    // An ADD starts empty.
    [{ provenance: damage }, undefined],
    [{ provenance: "missing" }, undefined],
    [{ veths: [VETH] }, undefined],
  ];
  for (const [world, message] of rows) {
    const run = () => status(SMALL, effects(world));
    if (message === undefined) await run();
    else assertEquals((await assertRejects(run, CniError, message)).code, 50);
  }
  const layer2 = config({ subnet: undefined, gateway: undefined, ipam: {} });
  await checkServable(layer2, effects({ provenance: damage, veths: [VETH] }));
  const unguardable = effects({ veths: [{ ifname: "veth0", kind: "veth", master: "br0" }] });
  const guarded = config({ macspoofchk: true });
  assertEquals(
    (await assertRejects(() => checkServable(guarded, unguardable), CniError, "can't be locked"))
      .code,
    2,
  );
});

Deno.test("STATUS reports a newer version's state before it looks at the kernel and takes the lock", async () => {
  const tools = effects({ provenance: new NewerSchema("/s/podnet.json", 4), late: "view" });
  assertEquals((await assertRejects(() => status(SMALL, tools), CniError, "schema 4")).code, 50);
  assertEquals(tools.steps.filter((it) => it === "view" || it === "examine"), []);
});

Deno.test("STATUS reports a damaged state only under the lock, because another run may be writing", async () => {
  const tools = effects({ veths: [VETH] });
  const { state } = tools.leases.read();
  const leases = { ...tools.leases, read: () => ({ state, provenance: "changed" as const }) };
  await status(SMALL, { ...tools, leases });
  assertEquals(tools.steps.includes("examine"), true);
});
