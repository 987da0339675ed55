import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json, STATE_FOLDER } from "./host.ts";

/** The owner of an address, a MAC or a host veth if a container requests another's or root removes its labels. */

const GUARDED = { ...CONFIG, macspoofchk: true };
const { cniVersion, type } = CONFIG;
const V6 = {
  cniVersion,
  type,
  name: "v6net",
  bridge: "br6",
  subnet6: "fd09::/64",
  gateway6: "fd09::1",
  macspoofchk: true,
};
/**
 * An ADD that is refused with this code and message, and leaves the container and the bridge's entries as they
 * were.
 */
async function refused(host: Host, code: number, words: string, call: Json): Promise<void> {
  const look = `ip -n ${call.id} -br link; ip -B neigh show nud all | grep NOARP || :`;
  const before = await host.sh(look);
  const { json, stdout } = await host.cni("ADD", call);
  assertEquals(json?.code, code, stdout);
  assertStringIncludes(`${json.msg} ${json.details}`, words);
  assertEquals(await host.sh(look), before);
}

async function macOf(host: Host, namespace: string, ifname: string): Promise<string> {
  return (await host.ip(namespace, "link", "show", "dev", ifname))[0]?.address;
}

for (const [how, config] of [["", CONFIG], [", guarded", GUARDED]] as const) {
  hostTest(`identity: no request gets the bridge's MAC${how}`, async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "c1", config });
    const args = `MAC=${await macOf(host, "", "atomic0")}`;
    await refused(host, 102, 'the bridge "atomic0" has it', { id: "c2", config, args });
    assert(await host.pings("c1", CONFIG.gateway));
    await host.add({ id: "c2", config });
  });
}

for (const macspoofchk of [false, true]) {
  const what = macspoofchk ? "guarded" : "not guarded";
  hostTest(
    `identity: two IPv6-only networks on one bridge have different MACs: ${what}`,
    async (host) => {
      const ids = ["c1", "c2", "c3", "c4"];
      await host.containers(...ids);
      const one = { ...V6, macspoofchk };
      // The same groups in another order, for which a MAC folded from them would be the same.
      const two = { ...one, name: "two", subnet6: "fd0a::/64", gateway6: "fd0a::1" };
      const far = { ...one, name: "far", subnet6: "fd09:3::/64", gateway6: "fd09:3::1" };
      await host.add({ id: "c1", config: one, args: "IP=fd09::3:0:3" });
      await host.add({ id: "c2", config: one, args: "IP=fd09::4:0:4" });
      await host.add({ id: "c3", config: two, args: "IP=fd0a::3:0:0" });
      await host.add({ id: "c4", config: far });
      const macs = await Promise.all(ids.map((id) => macOf(host, id, "eth0")));
      assertEquals(new Set([...macs, await macOf(host, "", V6.bridge)]).size, 5, macs.join());
      for (const [id, gateway] of [["c1", one], ["c2", one], ["c3", two], ["c4", far]] as const) {
        assert(await host.pings(id, gateway.gateway6), id);
      }
    },
  );
}

hostTest(
  "identity: a bridge without a gateway has the same MAC, whichever ADD creates it",
  async (host) => {
    const ids = ["c1", "c2", "c3"];
    await host.containers(...ids);
    const ipam = { type: "host-local", subnet: "10.9.0.0/24" };
    const config = { cniVersion, type, name: "plain", bridge: "br9", ipam };
    const results = await Promise.all(["c1", "c2"].map((id) => host.add({ id, config })));
    await host.sh("ip link del dev br9");
    results.push(await host.add({ id: "c3", config }));
    const mac = await macOf(host, "", "br9");
    assertEquals(results.map(({ interfaces: [bridge] }) => bridge.mac), [mac, mac, mac]);
    for (const [at, id] of ids.entries()) {
      const { code, stdout } = await host.cni("CHECK", {
        id,
        config: { ...config, prevResult: results[at] },
      });
      assertEquals([code, stdout], [0, ""], id);
    }
  },
);

hostTest(
  "identity: a guarded MAC stays where it is, whichever network requests it",
  async (host) => {
    await host.containers("c1", "c2", "c3", "c4");
    await host.add({ id: "c1", config: GUARDED });
    const mac = await macOf(host, "c1", "eth0");
    const other = { ...V6, bridge: CONFIG.bridge };
    await refused(host, 102, "it is the MAC of", { id: "c2", config: other, args: `MAC=${mac}` });
    assert(await host.pings("c1", CONFIG.gateway));
    const layer2 = { cniVersion, type, name: "l2", bridge: "br8", ipam: {}, macspoofchk: true };
    const args = "MAC=02:00:00:00:00:09";
    await host.add({ id: "c3", config: layer2, args });
    await refused(host, 102, "it is the MAC of", { id: "c4", config: layer2, args });
    await host.add({ id: "c4", config: layer2 });
  },
);

hostTest(
  "identity: an address with the MAC of another network's port is left out, not a failed ADD",
  async (host) => {
    await host.containers("c1", "c2", "c3");
    const layer2 = { ...{ cniVersion, type, name: "l2", bridge: CONFIG.bridge }, ipam: {} };
    await host.add({
      id: "c1",
      config: { ...layer2, macspoofchk: true },
      args: "MAC=0a:58:0a:56:00:02",
    });
    const status = await host.cni("STATUS", { config: { ...GUARDED, cniVersion: "1.1.0" } });
    assertEquals([status.code, status.stdout], [0, ""]);
    const { ips } = await host.add({ id: "c2", config: GUARDED });
    assertEquals(ips[0].address, "10.86.0.3/24");
    assert(await host.pings("c2", CONFIG.gateway));
    const asked = { ...GUARDED, runtimeConfig: { ips: ["10.86.0.2/24"] } };
    await refused(host, 102, "another container has its MAC", { id: "c3", config: asked });
    assertEquals(await host.leases(), { "c2/eth0": "10.86.0.3" });
  },
);

hostTest("identity: a MAC that only a stale lease has is available", async (host) => {
  await host.containers("c1", "c2", "c3");
  const args = "MAC=02:00:00:00:00:07";
  await host.add({ id: "c1", args });
  await refused(host, 102, '"c1/eth0" has it', { id: "c2", args });
  await host.end("c1");
  await host.add({ id: "c2", args });
  assertEquals(await host.leases(), { "c2/eth0": "10.86.0.3" });
});

hostTest("identity: an address that is removed for a moment is not free", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ id: "c1" });
  await host.sh(`rm ${STATE_FOLDER}/podnet.json; ip -n c1 addr flush dev eth0`);
  const { json } = await host.cni("ADD", { id: "c2" });
  assertEquals(json?.code, 104);
  assertStringIncludes(json.msg, '"c1/eth0" is attached, and has no lease');
});
