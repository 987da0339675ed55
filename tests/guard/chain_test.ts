import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Host, hostTest } from "../integration/host.ts";
import { BANDWIDTH, BURST, FIREWALL, PORTMAP, RATE } from "../runtimes/chained.ts";
import { newMark, type Result, TRIES } from "./attack.ts";
import { iAmBob, takeNeighboursMac } from "./attacks.ts";
import { Chain } from "./chain.ts";
import { pause } from "../../lib/base/deadline.ts";
import { BROADCAST, datagram } from "./frames.ts";
import { recordFinding } from "./finding.ts";
import { NETWORK, Scene } from "./scene.ts";
import { until } from "../until.ts";

/** Size of a page in bytes, well above the burst of the bandwidth limit. */
const BLOCK = 1_000_000;

const TUNING = { type: "tuning", sysctl: { "net.core.somaxconn": "99" } };
const PORTS = { ...PORTMAP, capabilities: { portMappings: true } };

const at = (namespace: string, ...command: string[]): string[] =>
  namespace === "" ? command : ["ip", "netns", "exec", namespace, ...command];

async function fetches(host: Host, from: string, url: string): Promise<boolean> {
  const { code, stdout } = await host.run(at(from, "busybox", "wget", "-T", "2", "-qO-", url));
  return code === 0 && stdout === "hello\n";
}

/** Runs a web server in a container while `body` runs. */
async function serving(host: Host, id: string, body: () => Promise<void>): Promise<void> {
  await host.sh(`mkdir -p /run/www; echo hello >/run/www/index.html
head -c ${BLOCK} /dev/zero >/run/www/block`);
  const [program = "", ...args] = host.inside(
    "nsenter",
    `--net=/run/netns/${id}`,
    ...["busybox", "httpd", "-f", "-h", "/run/www"],
  );
  const server = new Deno.Command(program, { args, stdin: "null", stdout: "null" }).spawn();
  try {
    await until("the web server answers", () => fetches(host, id, "http://127.0.0.1/"));
    await body();
  } finally {
    server.kill("SIGKILL");
    await server.status;
  }
}

function assertStopped(results: readonly Result[]): void {
  for (const { attack, stops, got, own: [came, sent] } of results) {
    if (stops.includes("isolation") && stops.length === 1) continue;
    assertEquals([got, came], [0, sent], attack);
  }
}

/** Whether bob's port has hairpin: bob receives his own broadcasts. */
async function assertReflected(scene: Scene): Promise<void> {
  const mark = newMark("hairpin");
  const { mac, ip4 } = scene.at("bob");
  const frame = datagram({
    from: mac,
    to: BROADCAST,
    source: ip4,
    destination: "10.86.0.255",
    mark,
  });
  await scene.agent("bob").raw([frame], TRIES, 2);
  await pause(30);
  assertEquals((await scene.agent("bob").seen(mark)).own, TRIES, "reflected frames");
}

hostTest(
  "the guard in a chain with hairpin, port mapping, bandwidth and two more plugins",
  async (host) => {
    await using scene = await Scene.create(host, { name: "chain", guard: true, hairpin: true });
    const bob = scene.at("bob");
    await assertReflected(scene);
    const chain = new Chain(host, [TUNING, BANDWIDTH, PORTS, FIREWALL]);
    await chain.add(bob);
    await serving(host, "bob", async () => {
      const published = "http://192.0.2.1:8080/";
      for (const from of ["outside", "ann", "bob", ""]) {
        assert(await fetches(host, from, published), `"${from}" does not reach the published port`);
      }
      const [somaxconn] = [await host.sh("ip netns exec bob sysctl -n net.core.somaxconn")];
      assertEquals(somaxconn.trim(), "99");
      assertMatch(await host.sh("iptables-save"), new RegExp(bob.ip4.replaceAll(".", "\\.")));
      const began = performance.now();
      await host.sh(`busybox wget -qO /dev/null http://${bob.ip4}/block`);
      const seconds = (performance.now() - began) / 1000;
      const least = (BLOCK * 8 - BURST) / RATE;
      assert(seconds > least * 0.95, `${seconds} s, the limit allows ${least} s`);
    });
    for (const family of [4, 6] as const) {
      assertStopped(await takeNeighboursMac(scene, family));
      assertStopped(await iAmBob(scene, family));
    }
    await chain.del(bob);
    recordFinding({
      measure: "hairpin, portmap, bandwidth, tuning and firewall with the guard",
      value:
        "a published port from outside, host, neighbour and itself; the limit holds; attacks stopped",
    });
  },
);

/** The guard's objects outside the veth: permanent neighbours, and static entries of the forwarding table. */
async function guardEntries(host: Host): Promise<string> {
  return await host.sh(`
ip neigh show dev ${NETWORK.bridge} nud permanent
bridge fdb show br ${NETWORK.bridge} | grep static || :`);
}

hostTest(
  "the next owner of a guarded address is reachable at once; nothing of the guard stays",
  async (host) => {
    await using scene = await Scene.create(host, { name: "reuse", guard: true });
    const bob = scene.at("bob");
    const both = [bob.ip4, bob.ip6];
    for (
      const [id, mac] of [["rob", undefined], ["roy", "02:00:00:00:00:07"], [
        "ron",
        undefined,
      ]] as const
    ) {
      const gone = id === "rob" ? "bob" : id === "roy" ? "rob" : "roy";
      for (const address of both) await host.run(["busybox", "ping", "-c1", "-W2", address]);
      await scene.unplug(gone);
      const left = await guardEntries(host);
      for (const address of both) assert(!left.includes(`${address} `), left);
      const again = await scene.plug(id, { like: bob, ...(mac !== undefined && { mac }) });
      assertEquals([again.ip4, again.ip6], both);
      // One ping per address, so that a single lost frame fails the test.
      for (const address of both) {
        const { code } = await host.run(["busybox", "ping", "-c1", "-W1", address]);
        assertEquals(code, 0, `${address} of ${id} does not answer`);
      }
      recordFinding({
        measure: `a guarded pair of addresses again${
          mac === undefined ? "" : ", with another MAC"
        }`,
        value: "both answer the host's first ping",
      });
      // A neighbour accepts another MAC only after its entry became stale.
      if (mac === undefined && gone === "bob") {
        for (const address of both) {
          const { code } = await host.run(at("ann", "busybox", "ping", "-c1", "-W1", address));
          assertEquals(code, 0, `${address} of ${id} does not answer ann`);
        }
      }
    }
    for (const id of ["ann", "eve", "ron"]) await scene.unplug(id);
    assertEquals((await guardEntries(host)).trim(), "");
  },
);
