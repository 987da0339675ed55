import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { hostVethName } from "../../../lib/base/attachment.ts";
import { CniError } from "../../../lib/base/errors.ts";
import { groupOf } from "../../../lib/base/names.ts";
import { NewerSchema } from "../../../lib/ipam.ts";
import type { Kernel, Link } from "../../../lib/netops.ts";
import { parseLink } from "../../../lib/netops/links.ts";
import { del } from "../../../lib/plugin.ts";
import {
  BOUND,
  effects,
  GUARDED,
  HOST,
  INVOCATION,
  LEASE,
  lease,
  NETWORK,
  RECORD,
  type World,
} from "./world.ts";

const GROUP = groupOf(NETWORK.name);
const OWN: Partial<Link> = {
  ...{ ifname: HOST, alias: "podnet/c1/eth0", mac: RECORD.hostMac, group: GROUP, master: "br0" },
};
const RELEASED = "unverified release c1/eth0";
const NINE = await hostVethName({ network: NETWORK.name, ...lease("c9/eth0").owner });

Deno.test("DEL removes the veth before it releases the lease, and continues after a failure", async () => {
  const renamed = { ...OWN, ifname: "renamed0" };
  const others = { ...OWN, alias: "podnet/c9/eth0", mac: "fe:00:00:00:00:09" };
  const nine = { ...lease("c9/eth0", "10.86.0.9"), record: { ...RECORD, hostMac: others.mac } };
  const rows: [World, string[]][] = [
    [{}, ["view", "link", "sweep"]],
    [{ held: [LEASE], veths: [OWN] }, ["detach", RELEASED]],
    [{ held: [BOUND], veths: [OWN] }, ["detach", "flush 10.86.0.2", RELEASED]],
    [{ held: [GUARDED], veths: [OWN] }, ["detach", "flush 10.86.0.2", RELEASED]],
    [{ held: [LEASE] }, ["detach", "view", "link", RELEASED]],
    // With another MAC, the veth may belong to another lease, so the claims decide.
    [{ held: [LEASE, nine], veths: [others] }, ["detach", "view", "link", RELEASED]],
    [{ held: [LEASE], veths: [{ ...OWN, mac: "fe:00:00:00:00:77" }] }, [
      "detach",
      "view",
      `remove ${HOST}`,
      RELEASED,
    ]],
    // Without a lease, the name and the group decide. An alias alone proves nothing.
    [{ veths: [OWN] }, ["view", `remove ${HOST}`, "sweep"]],
    [{ veths: [{ ...OWN, alias: "" }] }, ["view", "link", `remove ${HOST}`, "sweep"]],
    [{ veths: [{ ...OWN, alias: "dc1/rack2/web" }] }, ["view", "link", `remove ${HOST}`, "sweep"]],
    [{ held: [nine], veths: [others] }, ["view", "link", "sweep"]],
    // Only its name is left, while another attachment lives.
    [{
      held: [nine],
      veths: [{ ...others, ifname: NINE }, { ...OWN, alias: "", group: 0, master: "br9" }],
    }, ["view", "link", `remove ${HOST}`, "sweep"]],
    [{ veths: [renamed] }, ["view", "remove renamed0", "link", "sweep"]],
    [{ veths: [{ ...renamed, group: 0 }] }, ["view", "link", "sweep"]],
    // With a lease, the veth is found under any name.
    [{ held: [LEASE], veths: [renamed] }, [
      "detach",
      "view",
      "remove renamed0",
      "link",
      RELEASED,
    ]],
    // Root gave it the name of another lease's veth; the MAC decides.
    [{ held: [LEASE, nine], veths: [{ ...OWN, ifname: NINE, alias: "" }] }, [
      "detach",
      "view",
      `remove ${NINE}`,
      "link",
      RELEASED,
    ]],
    [{ held: [LEASE], veths: [OWN], mark: "died" }, ["detach", "clear mark", RELEASED]],
    [{ held: [LEASE], veths: [OWN], mark: "running" }, ["detach", RELEASED]],
    [{ held: [LEASE, lease("c1", "10.86.0.3")], veths: [OWN] }, [
      "view",
      `remove ${HOST}`,
      "flush 10.86.0.3",
      "unverified release c1/eth0, release c1",
    ]],
    [{ failing: RELEASED, held: [LEASE], veths: [OWN] }, ["detach", RELEASED]],
    [{ failing: "flush 10.86.0.2", held: [BOUND], veths: [OWN] }, [
      "detach",
      "flush 10.86.0.2",
      "look",
    ]],
  ];
  for (const [world, steps] of rows) {
    const tools = effects(world);
    const run = () => del(NETWORK, INVOCATION, tools);
    if (world.failing !== undefined) await assertRejects(run, CniError, world.failing);
    else await run();
    assertEquals(tools.steps, steps, JSON.stringify(world));
  }
});

Deno.test("DEL flushes the neighbours of an imported lease on the bridge of its veth", async () => {
  const imported = { ...LEASE, record: { ...RECORD, hosts: "veth1", mac: "02:00:00:00:00:01" } };
  const tools = effects({ held: [imported], veths: [{ ...OWN, ifname: "veth1", alias: "" }] });
  await del({ ...NETWORK, bridge: undefined }, INVOCATION, tools);
  assertEquals(tools.steps, ["view", "remove veth1", "link", "flush 10.86.0.2", RELEASED]);
});

Deno.test("DEL waits for the late veth of a killed ADD, and for no other", async () => {
  const late = effects({ mark: "died", veths: [] });
  let looks = 0;
  const kernel: Kernel = {
    ...late.kernel,
    link: (ifname) => Promise.resolve(++looks === 4 ? parseLink({ ifname }) : undefined),
  };
  await del(NETWORK, INVOCATION, { ...late, kernel });
  assertEquals([looks, late.steps], [4, ["view", `remove ${HOST}`, "clear mark", "sweep"]]);
  for (const mark of ["none", "running"] as const) {
    const tools = effects({ mark });
    await del(NETWORK, INVOCATION, tools);
    assertEquals(tools.steps, ["view", "link", "sweep"]);
  }
});

Deno.test("DEL removes the veth even if the state can't be read", async () => {
  const tools = effects({ failing: "read", veths: [OWN] });
  const error = await assertRejects(() => del(NETWORK, INVOCATION, tools), CniError, "read");
  assertEquals(error.code, 104);
  assertStringIncludes(error.details, "is gone");
  assertEquals(tools.steps.slice(0, 2), ["view", `remove ${HOST}`]);
  // Only a damaged state can be in use by nobody.
  const closed = effects({ veths: [OWN] });
  const read = () => {
    throw new CniError("IOFailure", "no permission", "a remedy");
  };
  const refused = await assertRejects(
    () => del(NETWORK, INVOCATION, { ...closed, leases: { ...closed.leases, read } }),
    CniError,
    "no permission",
  );
  assertStringIncludes(refused.details, "is gone");
  // Without a host veth, no address of a damaged state is in use.
  const provenance = new CniError("StateDamaged", "it is empty", "a remedy");
  await del(NETWORK, INVOCATION, effects({ provenance }));
  const others = effects({
    provenance,
    veths: [{ ...OWN, ifname: "av0", alias: "podnet/c2/eth0" }],
  });
  await assertRejects(() => del(NETWORK, INVOCATION, others), CniError, "it is empty");
});

Deno.test("DEL under a newer version's state removes the veth, and leaves the lease to that version", async () => {
  for (const veths of [[], [OWN]]) {
    const tools = effects({ provenance: new NewerSchema("/s/podnet.json", 4), veths });
    await del(NETWORK, INVOCATION, tools);
    assertEquals(tools.steps.filter((it) => it.startsWith("remove")).length, veths.length);
    assertStringIncludes(tools.steps.at(-1) ?? "", "warn the lease is left to the newer version");
  }
  const stuck = effects({
    provenance: new NewerSchema("/s/podnet.json", 4),
    veths: [OWN],
    failing: `remove ${HOST}`,
  });
  await assertRejects(() => del(NETWORK, INVOCATION, stuck), CniError, "schema 4");
});
