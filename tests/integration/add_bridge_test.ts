import { assert, assertEquals, assertNotEquals, assertStringIncludes } from "@std/assert";
import { breakIp } from "./broken_ip.ts";
import { CONFIG, type Host, hostTest, type Json } from "./host.ts";
import { untilSh } from "../until.ts";
import { REFERENCE } from "./reference_config.ts";

/** With the setting for a bridge that has another address. */
const FORCED = { ...REFERENCE, forceAddress: true };
/** The bridge of another network, with that network's gateway. */
const OTHERS = `ip link add atomic0 address 02:00:00:00:00:01 up type bridge
  ip addr add 10.77.0.1/24 dev atomic0`;

async function linkOf(host: Host, name: string): Promise<Json> {
  const [link] = await host.ip("", "link", "show", "dev", name);
  return link;
}

hostTest(
  "forceAddress: an ADD that fails leaves the other network's gateway on the bridge",
  async (host) => {
    await host.sh(OTHERS);
    await host.containers("c1");
    // The container has a default route already, so the ADD's own route can't be added.
    await host.sh(`ip -n c1 route add default dev lo
    ip link add veth0 master atomic0 up type veth peer name eth9 netns c1`);
    const { code, stdout } = await host.cni("ADD", { config: FORCED });
    assertEquals(code, 1, stdout);
    // The other network's port needs its gateway, and not the gateway of this network.
    assertEquals(await host.addresses("", "atomic0"), ["10.77.0.1/24"]);
    await host.assertNothingLeft();
    // Without the cause of the failure, forceAddress works.
    await host.sh("ip -n c1 route del default dev lo");
    await host.add({ config: FORCED });
    assertEquals(await host.addresses("", "atomic0"), ["10.86.0.1/24"]);
  },
);

hostTest(
  "forceAddress: an ADD that fails leaves the gateway of a successful one",
  async (host) => {
    await host.sh(OTHERS);
    await host.containers("c1", "c2");
    // The first waits in its container for the second, and then fails.
    await breakIp(
      host,
      `case "$*" in *"netns/c1 "*-batch*) : >/run/waits
    ${untilSh("[ -e /run/go ]")}; in='link set dev nosuch up' ;; esac`,
    );
    const failing = host.cni("ADD", { id: "c1", config: FORCED });
    await host.sh(untilSh("[ -e /run/waits ]"));
    await host.add({ id: "c2", config: FORCED });
    await host.sh(": >/run/go");
    assertEquals((await failing).code, 1);
    const addresses = await host.addresses("", "atomic0");
    assertEquals(addresses.sort(), ["10.77.0.1/24", "10.86.0.1/24"]);
    assert(await host.pings("c2", "10.86.0.1"), "the successful one has lost its gateway");
  },
);

hostTest("a gateway that is a live container's address is refused", async (host) => {
  await host.containers("c1", "c2");
  const taken = (await host.add({ id: "c1", config: FORCED })).ips[0].address.split("/")[0];
  const config = { ...FORCED, ipam: { ...FORCED.ipam, gateway: taken } };
  const { code, json, stdout } = await host.cni("ADD", { id: "c2", config });
  assertEquals(code, 1, `the gateway has the address of c1: ${stdout}`);
  const said = `${json.msg} ${json.details}`;
  assertStringIncludes(said, taken);
  assertStringIncludes(said, "c1/eth0");
  assertEquals(await host.addresses("", "atomic0"), ["10.86.0.1/24"]);
  assert(await host.pings("c1", "10.86.0.1"), "c1 is cut off from its gateway");
});

hostTest("an existing bridge keeps its MAC while ports come and go", async (host) => {
  const ids = ["c1", "c2", "c3", "c4", "c5", "c6"];
  await host.containers(...ids);
  await host.sh("ip link add atomic0 type bridge; ip link set atomic0 up");
  const results: Json[] = [await host.add({ id: "c1" })];
  const before = results[0].interfaces[0].mac;
  assertEquals((await linkOf(host, "atomic0")).address, before);
  for (const id of ids.slice(1)) {
    results.push(await host.add({ id }));
    assertEquals((await linkOf(host, "atomic0")).address, before, `after ADD of ${id}`);
  }
  for (const id of ids.slice(1)) {
    await host.del({ id });
    assertEquals((await linkOf(host, "atomic0")).address, before, `after DEL of ${id}`);
    const checked = await host.cni("CHECK", { config: { ...CONFIG, prevResult: results[0] } });
    assertEquals(checked.code, 0, `CHECK of c1 after DEL of ${id}: ${checked.stdout}`);
  }
  await host.del();
  assertEquals((await linkOf(host, "atomic0")).address, before, "without ports");
});

hostTest("concurrent ADDs on a bridge without a fixed MAC agree on one", async (host) => {
  const ids = ["c1", "c2", "c3", "c4"];
  await host.containers(...ids);
  const config = { ...CONFIG, macspoofchk: true };
  for (let round = 0; round < 6; round++) {
    await host.sh("ip link add atomic0 type bridge; ip link set atomic0 up");
    const results = await Promise.all(ids.map((id) => host.add({ id, config })));
    const { address } = await linkOf(host, "atomic0");
    assertEquals(results.map(({ interfaces }) => interfaces[0].mac), ids.map(() => address));
    for (const id of ids) assert(await host.pings(id, CONFIG.gateway), `${id} in round ${round}`);
    for (const id of ids) await host.del({ id, config });
    await host.sh("ip link del atomic0");
  }
});

hostTest(
  "a bridge keeps a MAC that root fixed, whatever its prefix",
  async (host) => {
    await host.containers("c1");
    const given = "fe:12:34:56:78:9a";
    await host.sh(`ip link add atomic0 address ${given} type bridge; ip link set atomic0 up
    ip link add theirs0 address ${given} master atomic0 up type veth peer name theirs1`);
    assertEquals((await host.add()).interfaces[0].mac, given);
    assertEquals((await linkOf(host, "atomic0")).address, given);
  },
);

for (const [port, alias] of [["av0123456789abc", ""], ["renamed0", "podnet/c9/eth0"]]) {
  hostTest(
    `a bridge that has taken the MAC of an ADD's port gets its own fixed MAC: ${port}`,
    async (host) => {
      await host.containers("c1");
      // An ADD that was killed before it fixed the bridge's MAC leaves this.
      await host.sh(`ip link add atomic0 type bridge; ip link set atomic0 up
    ip link add ${port} address fe:00:00:00:00:01 master atomic0 up type veth peer name left0
    ip link set dev ${port} alias '${alias}'`);
      const taken = "fe:00:00:00:00:01";
      await host.sh(untilSh(`ip link show atomic0 | grep -q ${taken}`));
      const [bridge] = (await host.add()).interfaces;
      assertNotEquals(bridge.mac, taken);
      await host.sh(`ip link del dev ${port}`);
      assertEquals((await linkOf(host, "atomic0")).address, bridge.mac);
    },
  );
}

hostTest(
  "an ADD that re-creates the bridge puts the earlier containers back into it",
  async (host) => {
    await host.containers("c1", "c2", "c3", "other");
    for (const id of ["c1", "c2"]) await host.add({ id });
    // A veth of another network, with its own bridge that is gone as well, and a veth without an owner.
    const other = { ...CONFIG, name: "othernet", bridge: "other0", subnet: "10.99.0.0/24" };
    const theirs = (await host.add({ id: "other", config: { ...other, gateway: "10.99.0.1" } }))
      .interfaces[1].name;
    await host.sh(`ip link add stranger0 type veth peer name stranger1
    ip link del atomic0; ip link del other0`);
    await host.add({ id: "c3" });
    for (const id of ["c1", "c2", "c3"]) {
      assert(await host.pings(id, CONFIG.gateway), `${id} is cut off`);
    }
    assert(await host.pings("c1", "10.86.0.3"), "c1 to c2");
    for (const name of [theirs, "stranger0", "stranger1"]) {
      assertEquals((await linkOf(host, name)).master, undefined, name);
    }
  },
);

hostTest("an ADD puts a port that has lost the bridge back into it", async (host) => {
  await host.containers("c1", "c2");
  const veth = (await host.add({ id: "c1" })).interfaces[1].name;
  await host.sh(`ip link set dev ${veth} nomaster`);
  assert(!await host.pings("c1", CONFIG.gateway));
  await host.add({ id: "c2" });
  assertEquals((await host.ip("", "link", "show", "dev", veth))[0].master, CONFIG.bridge);
  assert(await host.pings("c1", CONFIG.gateway));
});
