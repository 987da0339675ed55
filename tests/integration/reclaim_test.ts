import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { breakIp } from "./broken_ip.ts";
import { hostPings, permanent } from "./guarded.ts";
import { CONFIG, type Host, hostTest, STATE_FOLDER } from "./host.ts";

const FOUR = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.5" } };
const IDS = ["c1", "c2", "c3", "c4"];

/** A full pool. The node's reboot removed all its containers. */
async function rebooted(host: Host): Promise<void> {
  await host.containers(...IDS);
  for (const id of IDS) await host.add({ id, config: FOUR });
  await host.sh(`for it in $(ip -o link show type veth | sed 's/^[0-9]*: //; s/[@:].*//')
    do ip link del dev $it; done; ip link del dev ${CONFIG.bridge}
    for it in $(ls /run/netns); do ip netns del $it; done`);
}

hostTest("reclaim: a pool that a reboot left full serves the next ADD at once", async (host) => {
  await rebooted(host);
  await host.containers("n1");
  const status = await host.cni("STATUS", { config: FOUR });
  assertEquals([status.code, status.stdout], [0, ""]);
  const { ips } = await host.add({ id: "n1", config: FOUR });
  assertEquals(ips[0].address, "10.86.0.2/24");
  assertEquals(await host.leases(), { "n1/eth0": "10.86.0.2" });
});

hostTest("reclaim: a requested address that a reboot left held is allocated", async (host) => {
  await rebooted(host);
  await host.containers("n1");
  const { ips } = await host.add({ id: "n1", config: FOUR, args: "IP=10.86.0.4" });
  assertEquals(ips[0].address, "10.86.0.4/24");
});

hostTest(
  "reclaim: the permanent neighbour of the earlier container goes with its lease",
  async (host) => {
    await host.containers("c1", "c2", "c3");
    const two = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.3" } };
    await host.add({ id: "c1", config: two });
    const guarded = { ...two, macspoofchk: true, runtimeConfig: { mac: "02:00:00:00:00:09" } };
    const { interfaces } = await host.add({ id: "c2", config: guarded });
    await host.sh(`ip link del dev ${interfaces[1].name}`);
    assertEquals(await permanent(host, ""), { "10.86.0.3": "02:00:00:00:00:09" });
    assertEquals((await host.add({ id: "c3", config: two })).ips[0].address, "10.86.0.3/24");
    assertEquals(await permanent(host, ""), {});
    assert(await hostPings(host, "10.86.0.3"));
  },
);

hostTest(
  "reclaim: a crashed container that is added again leaves no neighbour of its earlier lease",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "c2" });
    const guarded = { ...CONFIG, macspoofchk: true };
    await host.add({ config: { ...guarded, runtimeConfig: { mac: "02:00:00:00:00:09" } } });
    await host.end("c1");
    await host.containers("c1");
    await host.add({ config: guarded, args: "IP=10.86.0.9" });
    assertEquals(await permanent(host, ""), { "10.86.0.9": "0a:58:0a:56:00:09" });
    await host.end("c1");
    await host.containers("c1");
    // Without the guard, no entry of the ADD replaces an earlier one.
    await host.add();
    assertEquals(await permanent(host, ""), {});
  },
);

hostTest("reclaim: a full pool of live containers stays as it is", async (host) => {
  await host.containers(...IDS, "n1");
  for (const id of IDS) await host.add({ id, config: FOUR });
  const before = await host.leases();
  const { json } = await host.cni("ADD", { id: "n1", config: FOUR });
  assertEquals(json.code, 101);
  const status = await host.cni("STATUS", { config: FOUR });
  assertEquals([status.json.code, status.code], [50, 1]);
  assertEquals(await host.leases(), before);
});

/** A reason why an ADD fails, and the answer of STATUS. */
const IN_THE_WAY: readonly [name: string, shell: string, message: RegExp][] = [
  ["a damaged state", `: >${STATE_FOLDER}/podnet.json`, /podnet\.json" as a state file/],
  ["a read-only folder", `mount -o remount,ro ${STATE_FOLDER}`, /Read-only file system/],
  ["another user's folder", `chown 1000 ${STATE_FOLDER}`, /belongs to user 1000/],
  [
    "no ip",
    `: >/run/none; chmod 644 /run/none; mount --bind /run/none "$(readlink -f /usr/sbin/ip)"`,
    /Cannot run "[^"]*ip" as ip/,
  ],
  [
    "a link that is not a bridge",
    `ip link del dev atomic0; ip link add name atomic0 type veth peer name p9`,
    /Cannot use "atomic0" as the bridge: it is a veth/,
  ],
  [
    "a bridge of another network",
    `ip addr flush dev atomic0; ip addr add 10.77.0.1/24 dev atomic0`,
    /it has 10\.77\.0\.1\/24/,
  ],
];

for (const [name, shell, message] of IN_THE_WAY) {
  hostTest(`STATUS: code 50 with ${name}; it changes nothing`, async (host) => {
    await host.containers("c1");
    await host.add();
    const quiet = await host.cni("STATUS");
    assertEquals([quiet.code, quiet.stdout, quiet.stderr], [0, "", ""]);
    await host.sh(shell);
    const before = await host.sh(`cd ${STATE_FOLDER}; ls -lan --full-time podnet*; cat podnet*`);
    const { code, json } = await host.cni("STATUS");
    assertEquals([code, json?.code], [1, 50]);
    assertMatch(json.msg, message);
    assertEquals(
      await host.sh(`cd ${STATE_FOLDER}; ls -lan --full-time podnet*; cat podnet*`),
      before,
    );
  });
}

hostTest("STATUS and ADD agree about an unowned veth on the bridge", async (host) => {
  await host.containers("c1", "c2", "c3");
  await host.add({ id: "c1" });
  await host.sh(`ip link add mine master atomic0 up type veth peer name eth0 netns c3
    ip -n c3 addr add 10.86.0.9/24 dev eth0`);
  assertEquals((await host.cni("STATUS")).stdout, "");
  const { stdout } = await host.program(["doctor"], JSON.stringify(CONFIG));
  assertStringIncludes(stdout, 'another program made mine (10.86.0.9) on "atomic0"');
  await host.add({ id: "c2" });
  // An older copy of the state: both ask the kernel which addresses are in use without a lease.
  await host.sh(`cd ${STATE_FOLDER}; cp podnet.json /run/copy; cp /run/copy podnet.json`);
  assertEquals((await host.cni("STATUS")).json?.code, 50);
  assertEquals((await host.cni("ADD", { id: "c3", ifname: "eth1" })).json?.code, 104);
});

/** The first dump, or every dump, is cut off. The kernel does so while links come and go, with exit status 0. */
function interrupted(always: boolean): string {
  return `cut() { ${always ? "true" : "mkdir /run/cut 2>/run/err"}; }
  said() { echo 'Dump was interrupted and may be inconsistent.' >&2; }
  case " $* " in
    *' -batch '*) case "$in" in *' show'*) case "$in" in *' dev '*|*add*|*set*|*del*) ;; *)
      if cut; then printf '%s\\n' "$in" | sed 's/.*/[]/'; said; exit 0; fi ;; esac ;; esac ;;
    *' show '*|*' list '*) case " $* " in *' dev '*) ;; *)
      if cut; then echo '[]'; said; exit 0; fi ;; esac ;;
  esac`;
}

for (const always of [false, true]) {
  hostTest(
    `a dump of the links that was interrupted ${
      always ? "each time" : "once"
    } costs no live container its address`,
    async (host) => {
      const config = { ...CONFIG, ipam: { rangeStart: "10.86.0.2", rangeEnd: "10.86.0.3" } };
      await host.containers("c1", "c2", "c3");
      for (const id of ["c1", "c2"]) await host.add({ id, config });
      const before = await host.leases();
      await breakIp(host, interrupted(always));
      const { code, json, stdout } = await host.cni("ADD", { id: "c3", config });
      assertEquals(code, 1, `an address of a live container is allocated: ${stdout}`);
      if (!always) {
        assertEquals(json.code, 101);
        assertEquals((await host.run(["test", "-d", "/run/cut"])).code, 0, "nothing was cut");
      } else {
        assert([11, 100].includes(json.code), stdout);
      }
      await breakIp(host, "");
      // If every dump fails, the ADD may have been unable to roll back its own veth.
      if (always) await host.del({ id: "c3", config });
      assertEquals(await host.leases(), before);
      assertEquals((await host.hostVeths()).length, 2);
    },
  );
}
