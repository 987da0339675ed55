import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { breakIp } from "./broken_ip.ts";
import { type CniCall, CONFIG, type Host, hostTest, MODES, STATE_FOLDER } from "./host.ts";

/** DELs that have all they need. Each is tried on an existing attachment. */
const ENOUGH: readonly [string, CniCall][] = [
  ["everything", {}],
  ["no namespace", { netns: "" }],
  ["a deleted namespace", { netns: "gone" }],
  ["a path that is not a namespace", { netns: "/etc/passwd" }],
  ["only the name", { config: { cniVersion: "1.1.0", name: "podnet" } }],
  ["invalid arguments", { args: "x;y=" }],
  ["a bad subnet", { config: { ...CONFIG, subnet: "10.86.0.7/33", gateway: 7, mtu: -1 } }],
  ["an unsupported key", { config: { ...CONFIG, ipMasq: true, ipam: { type: "dhcp" } } }],
  ["ipam of the wrong type", { config: { ...CONFIG, ipam: 7, bridge: ["x"] } }],
  ["an invalid prevResult", { config: { ...CONFIG, prevResult: { ips: 7 } } }],
  ["an old version", { config: { ...CONFIG, cniVersion: "0.3.0" } }],
  ["no version", { config: { ...CONFIG, cniVersion: undefined } }],
];

hostTest("DEL needs only the name, the container ID and the interface", async (host) => {
  await host.containers("c1", "n1");
  await host.add({ id: "n1" });
  for (const [name, call] of ENOUGH) {
    await host.add();
    await host.del(call);
    assertEquals(Object.keys(await host.leases()), ["n1/eth0"], name);
    assertEquals((await host.hostVeths()).length, 1, name);
    assertEquals(await host.ip("c1", "link", "show", "dev", "eth0"), [], name);
  }
  assert(await host.pings("n1", CONFIG.gateway));
});

hostTest("DEL of a missing attachment succeeds, however often it is called", async (host) => {
  await host.del();
  assertEquals(await host.files(), []);
  await host.containers("c1");
  await host.add();
  await host.sh("ip netns del c1");
  for (let times = 0; times < 3; times++) await host.del({ netns: "" });
  await host.assertNothingLeft();
}, MODES);

hostTest(
  "DEL leaves the container's other interfaces and the namespace's next container alone",
  async (host) => {
    await host.containers("c1");
    const second = { id: "c1", ifname: "eth1", config: { ...CONFIG, ipam: { routes: [] } } };
    await host.add();
    await host.add(second);
    await host.del(second);
    assertEquals(await host.leases(), { "c1/eth0": "10.86.0.2" });
    assert(await host.pings("c1", CONFIG.gateway));
    // The namespace now belongs to another container, with an eth0 that this plugin did not create.
    await host.del({ id: "c9", netns: "c1" });
    assertEquals(await host.addresses("c1", "eth0"), ["10.86.0.2/24"]);
  },
);

hostTest(
  "DEL that can't remove the veth keeps the address, and the next one frees both",
  async (host) => {
    await host.containers("c1");
    await host.add();
    await breakIp(host, 'case "$in" in *"link del"*) echo no >&2; exit 2 ;; esac');
    const { code, json } = await host.cni("DEL");
    assertEquals([code, json.code], [1, 100]);
    assertMatch(json.msg, /Cannot remove the host veth/);
    assertEquals(await host.leases(), { "c1/eth0": "10.86.0.2" });
    await breakIp(host, "");
    await host.del();
    await host.assertNothingLeft();
  },
);

hostTest("DEL with a damaged state removes the veth and names the damaged file", async (host) => {
  await host.containers("c1", "c2");
  const [, { name: veth }] = (await host.add()).interfaces;
  const [, { name: other }] = (await host.add({ id: "c2" })).interfaces;
  await host.sh(`cp ${STATE_FOLDER}/podnet.json /run/save; : >${STATE_FOLDER}/podnet.json`);
  const { code, json } = await host.cni("DEL");
  assertEquals([code, json.code], [1, 104]);
  assertEquals(await host.hostVeths(), [other]);
  assertStringIncludes(json.msg, `Cannot read "${STATE_FOLDER}/podnet.json" as a state file`);
  const remedy = `the host veth ${veth} is gone; atomicni repair releases its lease, or a DEL once`;
  assertStringIncludes(json.details, remedy);
  // Both remedies work.
  await host.program(["repair"], JSON.stringify(CONFIG));
  assertEquals(await host.leases(), { "c2/eth0": "10.86.0.3" });
  await host.sh(`cp /run/save ${STATE_FOLDER}/podnet.json`);
  await host.del();
  await host.del({ id: "c2" });
  await host.assertNothingLeft();
});

hostTest(
  "DEL of the last container frees everything, in whatever condition the state is",
  async (host) => {
    await host.containers("c1");
    await host.add();
    await host.sh(`: >${STATE_FOLDER}/podnet.json`);
    await host.del();
    assertEquals(await host.hostVeths(), []);
    assertEquals((await host.add()).ips[0].address, "10.86.0.2/24");
    await host.del();
    await host.assertNothingLeft();
  },
);

hostTest(
  "DEL that can neither read the state nor remove the veth does not call the veth gone",
  async (host) => {
    await host.containers("c1");
    await host.add();
    await host.sh(`: >${STATE_FOLDER}/podnet.json`);
    await breakIp(host, 'case "$*$in" in *"link del"*) echo no >&2; exit 2 ;; esac');
    const { json } = await host.cni("DEL");
    assertEquals(json.code, 104);
    assertMatch(json.details, /then: Cannot remove the host veth/);
    assert(!json.details.includes("is gone"), json.details);
  },
);

/** Pauses a DEL after it looked at its veth, until `/run/added` exists, at most 8 s. */
const LOOKED_WAITS = `case "$in" in *"link del"*) [ -e /run/looked ] || {
  : >/run/looked; for i in $(seq 160); do [ -e /run/added ] && break; sleep 0.05; done; } ;; esac`;

/** Pauses a DEL after its veth was removed, until `/run/added` exists, at most 8 s. */
const REMOVED_WAITS = `case "$*$in" in *"link del"*) [ -e /run/removed ] || {
  case " $* " in *' -batch '*) printf '%s\\n' "$in" | /run/ip.real "$@" ;; *) /run/ip.real "$@" ;; esac
  : >/run/removed; for i in $(seq 160); do [ -e /run/added ] && break; sleep 0.05; done; exit 0; } ;; esac`;

/** Runs `before` and an ADD of c1 while its DEL pauses by `rule`, which makes `paused`. The new attachment has to live. */
async function addDuringDel(
  host: Host,
  [rule, paused]: readonly [rule: string, paused: string],
  before: () => Promise<unknown> = () => Promise.resolve(),
): Promise<void> {
  await host.containers("c1");
  await host.add();
  await breakIp(host, rule);
  const removing = host.cni("DEL");
  await host.sh(`for i in $(seq 400); do [ -e ${paused} ] && exit; sleep 0.02; done; exit 1`);
  await before();
  await host.add();
  await host.sh(": >/run/added");
  assertEquals((await removing).code, 0);
  assertEquals(Object.keys(await host.leases()), ["c1/eth0"]);
  assert(await host.pings("c1", CONFIG.gateway));
}

hostTest("a DEL leaves the lease of an ADD that came after it removed the veth", async (host) => {
  await addDuringDel(host, [REMOVED_WAITS, "/run/removed"]);
});

hostTest(
  "a DEL leaves the veth of an ADD that came between its look and its removal",
  async (host) => {
    await addDuringDel(host, [LOOKED_WAITS, "/run/looked"], () => host.del());
    await host.del();
    await host.assertNothingLeft();
  },
);

hostTest(
  "a DEL without a veth succeeds with a damaged state only if no veth on the bridge has an address",
  async (host) => {
    await host.containers("c1", "x");
    await host.add();
    await host.del();
    await host.sh(`printf x >${STATE_FOLDER}/podnet.json
      ip link add veth0 master atomic0 up type veth peer name eth0 netns x`);
    assertEquals((await host.cni("DEL")).code, 0);
    await host.sh("ip -n x addr add 10.86.0.9/24 dev eth0");
    assertEquals((await host.cni("DEL")).json.code, 104);
  },
);
