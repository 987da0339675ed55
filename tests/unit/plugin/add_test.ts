import { assertEquals, assertRejects } from "@std/assert";
import { hostVethName } from "../../../lib/base/attachment.ts";
import { CniError } from "../../../lib/base/errors.ts";
import type { Link } from "../../../lib/netops.ts";
import { add } from "../../../lib/plugin.ts";
import { config, effects, GUARDED, HOST, INVOCATION, lease, NETWORK } from "./world.ts";

const MAC = { runtimeConfig: { mac: "02:00:00:00:00:01" } };

Deno.test("ADD makes the veth before the lease, configures last, and is marked meanwhile", async () => {
  const rows: [object, string[]][] = [
    [{}, ["attach", "reserve", "configure"]],
    [MAC, ["attach", "reserve", "configure", "forget 10.88.0.2"]],
    [{ macspoofchk: true }, ["attach", "reserve", "configure", "guard"]],
    [{ macspoofchk: true, ...MAC }, ["attach", "reserve", "configure", "guard"]],
    [{ subnet: undefined, gateway: undefined, ipam: {} }, ["attach", "configure"]],
  ];
  for (const [changes, steps] of rows) {
    const plain = effects();
    await add(config(changes), INVOCATION, plain);
    assertEquals(plain.steps, ["mark", ...steps, "unmark"]);
  }
});

Deno.test("ADD returns bridge, host veth and container, and the addresses of both families behind what was there", async () => {
  const before = {
    interfaces: [{ name: "other", mac: "02:00:00:00:00:09" }],
    ips: [{ address: "10.9.0.2/24", interface: 0 }],
    routes: [{ dst: "10.9.0.0/16" }],
    dns: { domain: "x" },
  };
  const dual = config({ subnet6: "fd00::/64", gateway6: "fd00::1", prevResult: before });
  const delivered: unknown[] = [];
  const result = await add(dual, INVOCATION, effects(), (it) => delivered.push(it));
  assertEquals(delivered, [result]);
  const hostMac = result.interfaces[2]?.mac ?? "";
  assertEquals<unknown>(result, {
    interfaces: [
      ...before.interfaces,
      { name: "br0", mac: "0a:58:0a:58:00:01", mtu: 1500 },
      { name: HOST, mac: hostMac, mtu: 1500 },
      { name: "eth0", mac: "0a:58:0a:58:00:02", mtu: 1500, sandbox: "/run/netns/c1" },
    ],
    ips: [
      ...before.ips,
      { interface: 3, address: "10.88.0.2/24", gateway: "10.88.0.1" },
      { interface: 3, address: "fd00::2/64", gateway: "fd00::1" },
    ],
    routes: [
      ...before.routes,
      { dst: "0.0.0.0/0", gw: "10.88.0.1" },
      { dst: "::/0", gw: "fd00::1" },
    ],
    dns: { domain: "x" },
  });
  assertEquals(hostMac.startsWith("fe:"), true);
});

Deno.test("ADD that fails undoes what it had made, newest first", async () => {
  const asked = { ...MAC };
  const guarded = { macspoofchk: true };
  const rows: [string, object, string[]][] = [
    // `undoReserve` knows by itself that nothing was reserved yet.
    ["attach", asked, ["undo reserve"]],
    ["reserve", asked, ["undo attach", "undo reserve"]],
    ["configure", asked, ["undo attach", "undo reserve"]],
    ["forget 10.88.0.2", asked, ["undo attach", "undo reserve"]],
    ["configure", guarded, ["undo guard", "undo attach", "undo reserve"]],
    ["guard", guarded, ["undo guard", "undo attach", "undo reserve"]],
  ];
  for (const [failing, changes, undone] of rows) {
    const tools = effects({ failing });
    await assertRejects(() => add(config(changes), INVOCATION, tools), CniError, failing);
    assertEquals(tools.steps.filter((it) => it.startsWith("undo")), undone, failing);
    assertEquals(tools.steps.at(-1), "unmark");
  }
});

Deno.test("ADD whose state can't be read, or that another one of it is beside, touches nothing", async () => {
  const unreadable = effects({ failing: "readable" });
  await assertRejects(() => add(config(), INVOCATION, unreadable), CniError, "readable");
  assertEquals(unreadable.steps, []);
  const beside = effects({ failing: "mark" });
  await assertRejects(() => add(config(), INVOCATION, beside), CniError, "mark");
  assertEquals(beside.steps, ["mark"]);
  const unfit = effects({ failing: "mustFit", madeBridge: true });
  await assertRejects(() => add(config(), INVOCATION, unfit), CniError, "mustFit");
  assertEquals(unfit.steps, ["mark", "mustFit", "undo reserve", "unmark"]);
});

Deno.test("ADD that is told to stop, or whose result nobody gets, undoes what it had made", async () => {
  for (const stopping of ["attach", "reserve", "configure"]) {
    const tools = effects({ stopping });
    const error = await assertRejects(() => add(config(), INVOCATION, tools), CniError, "SIGTERM");
    assertEquals(error.code, 11);
    assertEquals(tools.steps.slice(-3), ["undo attach", "undo reserve", "unmark"], stopping);
  }
  // What an ip that was given up may still do, a later DEL waits for.
  const slow = effects({ late: "attach" });
  await assertRejects(() => add(config(), INVOCATION, slow), CniError, "attach");
  assertEquals(slow.steps.slice(-2), ["undo reserve", "mark stays"]);
  const lost = effects();
  const deliver = () => {
    throw new CniError("IOFailure", "Cannot print the result");
  };
  await assertRejects(() => add(config(), INVOCATION, lost, deliver), CniError, "Cannot print");
  assertEquals(lost.steps.slice(-3), ["undo attach", "undo reserve", "unmark"]);
});

Deno.test("ADD that makes the bridge anew puts the network's veths that have no master back into it", async () => {
  const veth = async (key: string, changes: Partial<Link> = {}): Promise<Partial<Link>> => {
    const { containerId, ifname = INVOCATION.ifname } = lease(key).owner;
    return {
      ifname: await hostVethName({ network: NETWORK.name, containerId, ifname }),
      alias: `podnet/${key}`,
      ...changes,
    };
  };
  const [own, guarded, plain] = [
    await veth("c1/eth0"),
    await veth("c2/eth0"),
    await veth("c3/eth0"),
  ];
  const tools = effects({
    madeBridge: true,
    held: [
      { ...lease("c2/eth0", "10.88.0.3"), record: GUARDED.record },
      lease("c3/eth0", "10.88.0.4"),
    ],
    veths: [
      own,
      guarded,
      plain,
      await veth("c4/eth0", { master: "br1" }),
      await veth("c5/eth0", { alias: "other/c5/eth0" }),
      { ifname: "veth0", alias: "" },
    ],
  });
  await add(config(), INVOCATION, tools);
  assertEquals(tools.steps, [
    "mark",
    "mustFit",
    "veths",
    `reattach ${guarded.ifname} guarded, ${plain.ifname}`,
    "attach",
    "reserve",
    "configure",
    "unmark",
  ]);
});
