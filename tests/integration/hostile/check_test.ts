import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { CONFIG, type Host, hostTest, type Json, STATE_FOLDER } from "../host.ts";

const REFERENCE_LIKE = {
  cniVersion: "1.1.0",
  name: "podnet",
  type: "atomicni",
  bridge: "atomic0",
  isGateway: true,
};

/** Routes that the kernel or `ip` shows in another form than the configuration has. */
const ROUTES: readonly [name: string, route: Json][] = [
  ["table 0", { dst: "10.50.0.0/16", table: 0 }],
  ["table 253, which is called default", { dst: "10.50.0.0/16", table: 253 }],
  ["table 254, which is called main", { dst: "10.50.0.0/16", table: 254 }],
  ["table 100, which rt_tables gives a name", { dst: "10.50.0.0/16", table: 100 }],
  ["table 1000, which has no name", { dst: "10.50.0.0/16", table: 1000 }],
  ["a gateway of 0.0.0.0", { dst: "10.50.0.0/16", gw: "0.0.0.0" }],
  ["a scope that has a name", { dst: "10.50.0.0/16", scope: 253 }],
];

async function addThenCheck(host: Host, config: Json): Promise<void> {
  const added = await host.cni("ADD", { config });
  if (added.code !== 0) {
    // Refused by name before anything is created.
    assertEquals(added.json.code, 7, added.stdout);
    await host.assertNothingLeft();
    return;
  }
  const checked = await host.cni("CHECK", { config: { ...config, prevResult: added.json } });
  assertEquals([checked.code, checked.stdout], [0, ""], JSON.stringify(config.ipam.routes));
  await host.del({ config });
  await host.assertNothingLeft();
}

for (const [name, route] of ROUTES) {
  hostTest(`CHECK passes right after the ADD of a route with ${name}`, async (host) => {
    await host.containers("c1");
    await host.sh(`cp -r /usr/share/iproute2 /run/iproute2
      echo '100 mytable' >>/run/iproute2/rt_tables
      mount --bind /run/iproute2 /usr/share/iproute2
      [ ! -d /etc/iproute2 ] || mount --bind /run/iproute2 /etc/iproute2`);
    await addThenCheck(host, { ...CONFIG, ipam: { routes: [route] } });
    const ipam = { type: "host-local", subnet: "10.88.0.0/24", routes: [route] };
    await addThenCheck(host, { ...REFERENCE_LIKE, ipam });
  });
}

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
      $n addr add 10.88.0.2/24 brd + dev eth0
      $n route add default via 10.88.0.1 dev eth0`);
    assert(!await host.pings("c1", CONFIG.gateway), "it is cut off");
    const { code, json, stdout } = await host.cni("CHECK", call);
    assertEquals([code, json?.code], [1, 106], `a container that is cut off passes: ${stdout}`);
    assertStringIncludes(json.msg, "eth0");
  },
);

for (const bridge of ["made before", "missing"]) {
  hostTest(
    `a FIFO as CNI_NETNS is refused soon, and no ip waits there for ever (bridge ${bridge})`,
    async (host) => {
      await host.containers("c1");
      const added = bridge === "missing" ? undefined : await host.add();
      for (const command of added === undefined ? ["ADD"] : ["ADD", "CHECK"]) {
        await host.sh("mkfifo /run/netns/fifo");
        const began = performance.now();
        const { code, json, stdout } = await host.cni(command, {
          netns: "fifo",
          id: command === "ADD" ? "c2" : "c1",
          config: { ...CONFIG, ...(command === "CHECK" && { prevResult: added }) },
        });
        const took = performance.now() - began;
        // Nothing that enters every namespace may meet the FIFO, nor may the report of a failed test.
        await host.sh("rm /run/netns/fifo");
        assertEquals([code, json?.code], [1, 8], `${command}: ${stdout}`);
        assertStringIncludes(json.msg, "/run/netns/fifo");
        assert(took < 10_000, `${command} took ${Math.round(took)} ms`);
      }
      await host.del({ netns: "fifo", id: "c2" });
      await host.del();
      await host.assertNothingLeft();
    },
  );
}

hostTest(
  "an ADD that could not get the lock does not blame a dead process",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add();
    const lock = `${STATE_FOLDER}/podnet.lock`;
    // A run that was killed with the lock left its note; the present holder writes none.
    await host.sh(`sh -c 'echo $$' >/run/dead
    echo "process $(cat /run/dead) since 2026-01-01T00:00:00.000Z" >${lock}
    timeout 30 flock -F ${lock} sleep 29 >/run/holder 2>&1 & echo $! >/run/holder.pid; sleep 0.2`);
    const dead = (await host.sh("cat /run/dead")).trim();
    const { json, stdout } = await host.cni("ADD", { id: "c2" });
    await host.sh("kill $(cat /run/holder.pid)");
    assertEquals(json?.code, 11, stdout);
    const said = `${json.msg} ${json.details}`;
    assert(!said.includes(`held by process ${dead}`), said);
  },
);
