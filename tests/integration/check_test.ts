import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  type Answer,
  CONFIG,
  type Host,
  hostTest,
  type Json,
  MODES,
  STATE_FOLDER,
} from "./host.ts";

const FLAGGED = { ...CONFIG, hairpinMode: true, portIsolation: true };

async function check(host: Host, prevResult: Json, config: object = FLAGGED): Promise<Answer> {
  return await host.cni("CHECK", { config: { ...config, prevResult } });
}

/** Damage, the commands that repair it, and the message of CHECK; `$h` is the host veth. */
const DAMAGE: readonly [string, string, RegExp][] = [
  [
    "ip link set dev atomic0 down",
    "ip link set dev atomic0 up",
    /state of atomic0: expected up, found down/,
  ],
  [
    "ip addr del 10.86.0.1/24 dev atomic0; ip addr add 110.86.0.1/24 dev atomic0",
    "ip addr flush dev atomic0; ip addr add 10.86.0.1/24 brd + dev atomic0",
    /address of atomic0: expected 10\.86\.0\.1\/24, found 110\.86\.0\.1\/24/,
  ],
  [
    "ip link set dev atomic0 address 02:00:00:00:00:09",
    "ip link set dev atomic0 address 0a:58:0a:56:00:01",
    /MAC of atomic0: expected 0a:58:0a:56:00:01, found 02:00:00:00:00:09/,
  ],
  [
    "ip link set dev $h nomaster",
    "ip link set dev $h master atomic0; ip link set dev $h type bridge_slave hairpin on isolated on",
    /master of av[0-9a-f]{13}: expected atomic0, found none/,
  ],
  [
    "ip link set dev $h down",
    "ip link set dev $h up",
    /state of av[0-9a-f]{13}: expected up, found down/,
  ],
  [
    "ip link set dev $h type bridge_slave hairpin off isolated off",
    "ip link set dev $h type bridge_slave hairpin on isolated on",
    /hairpin mode of av.*: expected true, found false; isolation of av.*: expected true, found false/,
  ],
  [
    "ip link set dev $h mtu 1400",
    "ip link set dev $h mtu 1500",
    /MTU of av.*: expected 1500, found 1400/,
  ],
  [
    "ip -n c1 link set dev eth0 mtu 1400",
    "ip -n c1 link set dev eth0 mtu 1500",
    /MTU of eth0: expected 1500, found 1400/,
  ],
  [
    "ip -n c1 link set dev eth0 address 02:00:00:00:00:09",
    "ip -n c1 link set dev eth0 address 0a:58:0a:56:00:02",
    /MAC of eth0: expected 0a:58:0a:56:00:02, found 02:00:00:00:00:09/,
  ],
  [
    "ip -n c1 route del default",
    "ip -n c1 route add default via 10.86.0.1",
    /route to 0\.0\.0\.0\/0: expected via 10\.86\.0\.1 on eth0, found none/,
  ],
  [
    "ip -n c1 route replace default via 10.86.0.9",
    "ip -n c1 route replace default via 10.86.0.1",
    /route to 0\.0\.0\.0\/0: expected via 10\.86\.0\.1 on eth0, found one via 10\.86\.0\.9/,
  ],
  [
    "ip -n c1 link add other0 up type veth peer name other1; ip -n c1 link set dev other1 up; ip -n c1 route replace default via 10.86.0.1 dev other0 onlink",
    "ip -n c1 link del other0; ip -n c1 route add default via 10.86.0.1",
    /route to 0\.0\.0\.0\/0: expected via 10\.86\.0\.1 on eth0, found none/,
  ],
  [
    "ip -n c1 addr del 10.86.0.2/24 dev eth0; ip -n c1 addr add 10.86.0.7/24 dev eth0",
    "ip -n c1 addr flush dev eth0; ip -n c1 addr add 10.86.0.2/24 brd + dev eth0; ip -n c1 route replace default via 10.86.0.1",
    /address of eth0: expected 10\.86\.0\.2\/24, found 10\.86\.0\.7\/24/,
  ],
  [
    "ip -n c1 link set dev eth0 down",
    "ip -n c1 link set dev eth0 up; ip -n c1 route add default via 10.86.0.1",
    /state of eth0: expected up, found down/,
  ],
  [
    `cp ${STATE_FOLDER}/podnet.json /run/save
     echo '{"containerToIP":{},"ipToContainer":{}}' >${STATE_FOLDER}/podnet.json`,
    `cp /run/save ${STATE_FOLDER}/podnet.json`,
    /lease in network podnet: expected 10\.86\.0\.2, found none/,
  ],
  [
    `cp ${STATE_FOLDER}/podnet.json /run/save; sed -i 's/"10.86.0.2"/"10.86.0.77"/g' ${STATE_FOLDER}/podnet.json`,
    `cp /run/save ${STATE_FOLDER}/podnet.json`,
    /lease in network podnet: expected 10\.86\.0\.2, found 10\.86\.0\.77/,
  ],
  [
    "ip -n c1 link set dev eth0 name other0",
    "ip -n c1 link set dev other0 name eth0",
    /interface eth0: expected in \/run\/netns\/c1, found none/,
  ],
];

hostTest(
  "CHECK reports each kind of damage, expected and found, and changes nothing",
  async (host) => {
    await host.containers("c1");
    const result = await host.add({ config: FLAGGED });
    const h = `h=${result.interfaces[1].name}`;
    assertEquals([(await check(host, result)).code, (await check(host, result)).stdout], [0, ""]);
    for (const [damage, repair, message] of DAMAGE) {
      await host.sh(`${h}; ${damage}`);
      const { code, json } = await check(host, result);
      assertEquals([code, json?.code], [1, 106], damage);
      assertMatch(json.msg, message);
      await host.sh(`${h}; ${repair}`);
      const healthy = await check(host, result);
      assertEquals([healthy.code, healthy.stdout], [0, ""], `after: ${repair}`);
    }
  },
  MODES,
);

hostTest("CHECK reports all damage in one answer", async (host) => {
  await host.containers("c1");
  const result = await host.add({ config: FLAGGED });
  await host.sh(`ip addr flush dev atomic0; ip link set dev ${result.interfaces[1].name} nomaster
    ip -n c1 link set dev eth0 mtu 1400; ip -n c1 route del default
    echo '{"containerToIP":{},"ipToContainer":{}}' >${STATE_FOLDER}/podnet.json`);
  const { json } = await check(host, result);
  assertEquals(json.code, 106);
  for (const what of [/address of atomic0/, /master of av/, /MTU of eth0/, /route to/, /lease/]) {
    assertMatch(json.msg, what);
  }
});

hostTest("CHECK reports a missing veth or bridge", async (host) => {
  await host.containers("c1");
  const result = await host.add();
  await host.sh("ip link del dev atomic0");
  assertMatch(
    (await check(host, result)).json.msg,
    /bridge atomic0: expected a bridge, found none/,
  );
  await host.sh(`ip link del dev ${result.interfaces[1].name}`);
  const { json } = await check(host, result);
  assertMatch(json.msg, /host veth av[0-9a-f]{13}: expected a veth in atomic0, found none/);
  assertMatch(json.msg, /interface eth0: expected in \/run\/netns\/c1, found none/);
});

hostTest("CHECK accepts what later plugins added", async (host) => {
  await host.containers("c1");
  const result = await host.add();
  await host.sh(
    `ip -n c1 addr add 10.99.0.2/24 dev eth0; ip -n c1 route add 10.98.0.0/16 via 10.86.0.1
    ip addr add 192.0.2.1/24 dev atomic0`,
  );
  const more = {
    ...result,
    interfaces: [...result.interfaces, { name: "ifb0", mac: "02:00:00:00:00:01" }],
    ips: [...result.ips, { interface: 2, address: "10.99.0.2/24" }],
  };
  assertEquals((await check(host, more, CONFIG)).code, 0);
});

hostTest(
  "CHECK without prevResult, of an unknown container, and of a version without CHECK",
  async (host) => {
    await host.containers("c1");
    const missing = await host.cni("CHECK");
    assertEquals(missing.json.code, 7);
    assertMatch(missing.json.msg, /prevResult/);
    const result = await host.add();
    const unknown = await host.cni("CHECK", {
      id: "c7",
      netns: "c1",
      config: { ...CONFIG, prevResult: result },
    });
    assertEquals(unknown.json.code, 3);
    const old = await host.cni("CHECK", { config: { ...CONFIG, cniVersion: "0.3.1" } });
    assertEquals(old.json.code, 1);
    const gone = await host.cni("CHECK", {
      netns: "gone",
      config: { ...CONFIG, prevResult: result },
    });
    assertEquals(gone.json.code, 8);
  },
);

hostTest(
  "CHECK fails for a container whose eth0 was renamed and replaced by a similar veth",
  async (host) => {
    await host.containers("c1");
    const prevResult = await host.add();
    const call = { config: { ...CONFIG, prevResult } };
    assertEquals((await host.cni("CHECK", call)).code, 0);
    const mac = prevResult.interfaces[2].mac;
    await host.sh(`set -e
      n="ip -n c1"
      $n link set eth0 down; $n link set eth0 name old0; $n addr flush dev old0
      $n link set old0 up
      $n link add eth0 type veth peer name x0
      $n link set eth0 address ${mac} up; $n link set x0 up
      $n addr add 10.86.0.2/24 brd + dev eth0
      $n route add default via 10.86.0.1 dev eth0`);
    assert(!await host.pings("c1", CONFIG.gateway), "it is cut off");
    const { code, json, stdout } = await host.cni("CHECK", call);
    assertEquals([code, json?.code], [1, 106], `a container that is cut off passes: ${stdout}`);
    assertStringIncludes(json.msg, "eth0");
  },
);
