import { assertEquals, assertRejects } from "@std/assert";
import { hostVethName } from "../../../lib/base/attachment.ts";
import { CniError } from "../../../lib/base/errors.ts";
import type { InterfaceName } from "../../../lib/base/names.ts";
import type { Link } from "../../../lib/netops.ts";
import { add, UNVERIFIED_MAC } from "../../../lib/plugin.ts";
import type { Result } from "../../../lib/result.ts";
import { config, effects, GUARDED, HOST, INVOCATION, lease, NETWORK, RECORD } from "./world.ts";

const MAC = { runtimeConfig: { mac: "02:00:00:00:00:01" } };

Deno.test("ADD creates the veth before the lease, configures the container last, and holds a mark throughout", async () => {
  const rows: [object, string[]][] = [
    [{}, ["attach", "reserve c1/eth0", "configure"]],
    [MAC, ["attach", "reserve c1/eth0", "configure", "flush 10.86.0.2"]],
    [{ macspoofchk: true }, ["attach", "reserve c1/eth0", "configure", "guard"]],
    [{ macspoofchk: true, ...MAC }, ["attach", "reserve c1/eth0", "configure", "guard"]],
    [{ subnet: undefined, gateway: undefined, ipam: {} }, ["attach", "configure"]],
  ];
  for (const [changes, steps] of rows) {
    const plain = effects();
    await add(config(changes), INVOCATION, plain, () => {});
    assertEquals(plain.steps, ["mark", ...steps, "unmark"]);
  }
});

Deno.test("ADD appends bridge, host veth, container and the addresses of both families to the previous result", async () => {
  const before = {
    interfaces: [{ name: "other", mac: "02:00:00:00:00:09" }],
    ips: [{ address: "10.9.0.2/24", interface: 0 }],
    routes: [{ dst: "10.9.0.0/16" }],
    dns: { domain: "x" },
  };
  const dual = config({ subnet6: "fd00::/64", gateway6: "fd00::1", prevResult: before });
  const delivered: Result[] = [];
  await add(dual, INVOCATION, effects(), (it) => delivered.push(it));
  const [result, ...more] = delivered;
  assertEquals(more, []);
  const hostMac = result?.interfaces[2]?.mac ?? "";
  assertEquals<unknown>(result, {
    interfaces: [
      ...before.interfaces,
      { name: "br0", mac: "0a:58:0a:56:00:01", mtu: 1500 },
      { name: HOST, mac: hostMac, mtu: 1500 },
      { name: "eth0", mac: "0a:58:0a:56:00:02", mtu: 1500, sandbox: "/run/netns/c1" },
    ],
    ips: [
      ...before.ips,
      { interface: 3, address: "10.86.0.2/24", gateway: "10.86.0.1" },
      { interface: 3, address: "fd00::2/64", gateway: "fd00::1" },
    ],
    routes: [
      ...before.routes,
      { dst: "0.0.0.0/0", gw: "10.86.0.1" },
      { dst: "::/0", gw: "fd00::1" },
    ],
    dns: { domain: "x" },
  });
  assertEquals(hostMac.startsWith("fe:"), true);
});

const RELEASED = "unverified release c1/eth0";
const ignore = () => {};

Deno.test("an ADD changes nothing while another ADD of the attachment is in progress", async () => {
  const second = effects({ failing: "mark" });
  await assertRejects(() => add(config(), INVOCATION, second, ignore), CniError, "mark");
  assertEquals(second.steps, ["mark"]);
  // Leases of another subnet are reported before the bridge is changed.
  const unfit = effects({ madeBridge: true, held: [lease("c2/eth0", "10.9.0.2")] });
  await assertRejects(
    () => add(config(), INVOCATION, unfit, ignore),
    CniError,
    "it holds 10.9.0.2",
  );
  assertEquals(unfit.steps, ["mark", "examine", "unmark"]);
});

Deno.test("an ADD that ran out of time keeps its mark; one that can't deliver its result rolls back its changes", async () => {
  // A later DEL waits for an abandoned ip.
  const slow = effects({ late: "attach" });
  await assertRejects(() => add(config(), INVOCATION, slow, ignore), CniError, "attach");
  assertEquals(slow.steps.at(-1), "mark stays");
  const lost = effects();
  const deliver = () => {
    throw new CniError("IOFailure", "Cannot print the result", "a remedy");
  };
  await assertRejects(() => add(config(), INVOCATION, lost, deliver), CniError, "Cannot print");
  assertEquals(lost.steps.slice(-3), ["undo attach", RELEASED, "unmark"]);
});

Deno.test("an ADD that re-creates the bridge puts the network's veths without a master back into it", async () => {
  const veth = async (key: string, changes: Partial<Link> = {}): Promise<Partial<Link>> => {
    const { containerId, ifname = INVOCATION.ifname } = lease(key).owner;
    return {
      ifname: await hostVethName({ network: NETWORK.name, containerId, ifname }),
      alias: `podnet/${key}`,
      mac: RECORD.hostMac,
      ...changes,
    };
  };
  const OTHER = "fe:00:00:00:00:03";
  const [EIGHT, NINE] = ["fe:00:00:00:00:08", "fe:00:00:00:00:19"];
  const [own, guarded, plain, undecided, unleased, unproven] = [
    await veth("c1/eth0", { mac: "" }),
    await veth("c2/eth0"),
    await veth("c3/eth0", { mac: OTHER }),
    await veth("c6/eth0", { mac: "fe:00:00:00:00:09" }),
    await veth("c7/eth0", { mac: "fe:00:00:00:00:0a" }),
    await veth("c8/eth0", { mac: "fe:00:00:00:00:0b" }),
  ];
  const tools = effects({
    madeBridge: true,
    faults: [{ host: plain.ifname as InterfaceName, found: "it is down" }],
    held: [
      { ...lease("c2/eth0", "10.86.0.3"), record: { ...RECORD, ...GUARDED.record } },
      { ...lease("c3/eth0", "10.86.0.4"), record: { ...RECORD, hostMac: OTHER } },
      { ...lease("c6/eth0", "10.86.0.6"), record: { ...RECORD, hostMac: "fe:00:00:00:00:06" } },
      {
        ...lease("c8/eth0", "10.86.0.8"),
        record: { ...RECORD, ...GUARDED.record, hostMac: EIGHT },
      },
      { ...lease("c9/eth0", "10.86.0.9"), record: { ...RECORD, hostMac: NINE } },
    ],
    veths: [
      own,
      guarded,
      plain,
      undecided,
      unleased,
      unproven,
      // Each of the two may be the veth of the lease.
      ...["x8", "x9"].map((ifname) => ({ ...unleased, ifname, alias: "", mac: NINE })),
      await veth("c4/eth0", { master: "br1", mac: "" }),
      await veth("c5/eth0", { alias: "other/c5/eth0", mac: "" }),
      { ifname: "veth0", alias: "" },
    ],
  });
  await add(config(), INVOCATION, tools, ignore);
  assertEquals(tools.steps, [
    "mark",
    "examine",
    "ensureBridge",
    "attach",
    "view",
    // The lease says that the container is guarded, and not with which MAC.
    `warn did not put "${unproven.ifname}" into "br0" again: ${UNVERIFIED_MAC}`,
    `reattach ${guarded.ifname} guarded, ${plain.ifname}, ${undecided.ifname}, ${unleased.ifname}`,
    `warn did not put "${plain.ifname}" into "br0" again: it is down`,
    "view", // for the MAC that the guarded containers know
    "reserve c1/eth0",
    "configure",
    "unmark",
  ]);
});
