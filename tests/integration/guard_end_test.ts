/** The guard is removed and restored: DEL, kills, failures, a bridge that is deleted and created again. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { breakIp } from "./broken_ip.ts";
import { GATEWAYS, GUARDED, permanent, readGuard } from "./guarded.ts";
import { CONFIG, type Host, hostTest, type Json } from "./host.ts";
import { snapshot } from "./snapshot.ts";
import { untilSh } from "../until.ts";

const REQUESTED = { ...GUARDED, runtimeConfig: { mac: "02:00:00:00:00:07" } };

for (
  const [what, config, later] of [
    ["its own MAC", GUARDED, GUARDED],
    ["another MAC", REQUESTED, REQUESTED],
    ["a configuration with another bridge", GUARDED, { ...GUARDED, bridge: "br9" }],
  ] as const
) {
  hostTest(`guard: DEL removes only the neighbours of its container: ${what}`, async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "c2", config: GUARDED });
    const before = await permanent(host, "");
    await host.add({ config });
    assertEquals(Object.keys(await permanent(host, "")).length, 6);
    await host.del({ config: later });
    assertEquals(await permanent(host, ""), before);
    await host.del({ config: later });
    assert(await host.pings("c2", CONFIG.gateway));
  });
}

hostTest("guard: GC removes the neighbours of the attachments that it removes", async (host) => {
  await host.containers("c1", "c2");
  for (const id of ["c2", "c1"]) await host.add({ id, config: GUARDED });
  const valid = { "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }] };
  const { code, stdout } = await host.cni("GC", { config: { ...GUARDED, ...valid } });
  assertEquals([code, stdout], [0, ""]);
  assertEquals(new Set(Object.values(await permanent(host, ""))), new Set(["0a:58:0a:56:00:02"]));
  assert(await host.pings("c2", CONFIG.gateway));
});

for (const command of ["DEL", "GC"]) {
  hostTest(`guard: ${command} without a state removes the neighbours too`, async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "c2", config: GUARDED });
    const before = await permanent(host, "");
    await host.add({ config: REQUESTED });
    await host.sh("rm /var/lib/atomicni/podnet.json");
    const valid = { "cni.dev/valid-attachments": [{ containerID: "c2", ifname: "eth0" }] };
    const { code, stdout } = await host.cni(command, { config: { ...GUARDED, ...valid } });
    assertEquals({ code, stdout }, { code: 0, stdout: "" });
    assertEquals(await permanent(host, ""), before);
    assert(await host.pings("c2", CONFIG.gateway));
  });
}

hostTest("guard: DEL without the bridge", async (host) => {
  await host.containers("c1");
  await host.add({ config: GUARDED });
  await host.sh("ip link del dev atomic0");
  const { code, stdout, stderr } = await host.cni("DEL", { config: GUARDED });
  assertEquals({ code, stdout, stderr }, { code: 0, stdout: "", stderr: "" });
  await host.assertNothingLeft();
});

/** Starts a program and writes its process ID to /run/add.pid. */
const NOTED = ["sh", "-c", 'echo $$ >/run/add.pid; exec "$@"', "sh"];

/** The command at which the `ip` of a killed ADD stops. A late `ip` continues while DEL runs. */
const KILLS: readonly [what: string, rule: string][] = [
  [
    "after its neighbours were set, before its entry",
    `case "$*" in *-B*) sleep 0.3; : >/run/reached; sleep 20 ;; esac`,
  ],
  [
    "after the whole guard was set",
    'case "$in" in *"addr add"*) sleep 0.3; : >/run/reached; sleep 20 ;; esac',
  ],
  [
    "its neighbours are set well after DEL removed the veth",
    `case "$in" in *"neigh replace 10.86"*"dev atomic0"*) : >/run/reached
      ${untilSh("[ -e /run/removed ]")}; sleep 0.5 ;;
    *"link del"*) : >/run/removed ;; esac`,
  ],
];

for (const [what, rule] of KILLS) {
  hostTest(`guard: one DEL cleans up after a killed ADD: ${what}`, async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "c2", config: GUARDED });
    const before = await permanent(host, "");
    await breakIp(host, rule);
    const adding = host.cni("ADD", { config: GUARDED, under: NOTED });
    await host.sh(`${untilSh("[ -e /run/reached ]")}; kill -9 $(cat /run/add.pid)`);
    assertEquals((await adding).code, 137, "the ADD ended before it was killed");
    await host.del({ config: GUARDED });
    await host.sh("sleep 0.5");
    assertEquals(await permanent(host, ""), before);
    assertEquals((await host.hostVeths()).length, 1);
    assertEquals(Object.keys(await host.leases()), ["c2/eth0"]);
    await breakIp(host, "");
    await host.add({ config: GUARDED });
    for (const id of ["c1", "c2"]) assert(await host.pings(id, CONFIG.gateway), id);
  });
}

/** A rule of the fake `ip` that makes a batch fail at this line. */
const failing = (line: string) =>
  `in=$(printf '%s\\n' "$in" | sed 's|^${line}.*|link set dev nosuch up|')`;

const FAILURES: readonly [what: string, rule: string, message: RegExp][] = [
  ["the port can't be locked", failing("link set dev av.* locked on"), /set up the host veth/],
  ["the entry is refused", failing("neigh [a-z]* any"), /Cannot guard the port "av/],
  [
    "the second neighbour is refused",
    failing("neigh replace fd00:88::3"),
    /Cannot guard the port "av/,
  ],
  ["the container can't be configured", failing("route add"), /Cannot configure "eth0"/],
  [
    "the gateway's neighbour is refused in the container",
    failing("neigh replace 10.86.0.1 .*dev eth0"),
    /Cannot configure "eth0"/,
  ],
];

for (const [what, rule, message] of FAILURES) {
  hostTest(`guard: a failed ADD leaves nothing: ${what}`, async (host) => {
    await host.containers("c1", "c2");
    await host.add({ id: "c2", config: GUARDED });
    await breakIp(host, rule);
    const before = await snapshot(host);
    const { code, json, stdout } = await host.cni("ADD", { config: GUARDED });
    assertEquals([code, json?.code], [1, 100], stdout);
    assertMatch(json.msg, message);
    assertEquals(await snapshot(host), before);
    assert(!stdout.includes("could not"), stdout);
    assert(await host.pings("c2", CONFIG.gateway));
  });
}

/** Deletes the bridge; the ADD of another container creates it again. */
async function replaceBridge(host: Host, config: object): Promise<void> {
  await host.sh("ip link del dev atomic0");
  await host.containers("c9");
  await host.add({ id: "c9", config });
}

async function flagsOf(host: Host, veth: string): Promise<Json> {
  const [{ linkinfo, group }] = await host.ip("", "link", "show", "dev", veth);
  const { hairpin, isolated } = linkinfo.info_slave_data;
  return { hairpin, isolated, group };
}

for (
  const [what, config] of [
    ["both families", GUARDED],
    ["another MAC", REQUESTED],
    ["hairpin and isolation", { ...GUARDED, hairpinMode: true, portIsolation: true }],
  ] as const
) {
  hostTest(
    `guard: a bridge that was created again gets its ports back, guarded: ${what}`,
    async (host) => {
      await host.containers("c1");
      const [, { name: veth }] = (await host.add({ config })).interfaces;
      const [whole, flags] = [await readGuard(host, "c1", veth), await flagsOf(host, veth)];
      // The MAC of the lease, because the other MAC was requested only once.
      await replaceBridge(host, { ...config, runtimeConfig: {} });
      const again = await readGuard(host, "c1", veth);
      const own = Object.entries(again.outside).filter(([ip]) => ip in whole.outside);
      assertEquals({ ...again, outside: Object.fromEntries(own) }, whole);
      assertEquals(await flagsOf(host, veth), flags);
      for (const gateway of GATEWAYS) assert(await host.pings("c1", gateway));
    },
  );
}

hostTest(
  "guard: an ADD that sets a bridge up restores the neighbours of its other ports",
  async (host) => {
    await host.containers("c1", "c2", "c9");
    const [, { name: veth }] = (await host.add({ config: GUARDED })).interfaces;
    await host.add({ id: "c2", config: GUARDED });
    const [before, whole] = [await permanent(host, ""), await readGuard(host, "c1", veth)];
    await host.sh("ip link set dev atomic0 down");
    assertEquals(await permanent(host, ""), {});
    await host.add({ id: "c9", config: GUARDED });
    const after = await permanent(host, "");
    for (const [ip, mac] of Object.entries(before)) assertEquals(after[ip], mac, ip);
    const { outside: _, ...own } = await readGuard(host, "c1", veth);
    const { outside: __, ...wanted } = whole;
    assertEquals(own, wanted);
    for (const gateway of GATEWAYS) assert(await host.pings("c1", gateway));
  },
);

const FORCED = {
  ...{ ...CONFIG, subnet: undefined, gateway: undefined, macspoofchk: true },
  ...{ isDefaultGateway: true, forceAddress: true },
  ipam: {
    type: "host-local",
    ranges: [[{ subnet: CONFIG.subnet, gateway: CONFIG.gateway }], [{ subnet: "fd00:88::/64" }]],
  },
};
const SWAPPED =
  `ip addr del ${CONFIG.gateway}/24 dev atomic0; ip addr add 10.86.0.77/24 dev atomic0`;

for (
  const [what, config, damage] of [
    ["restores its address", GUARDED, `ip addr del ${CONFIG.gateway}/24 dev atomic0`],
    ["forces its address", FORCED, SWAPPED],
  ] as const
) {
  hostTest(`guard: an ADD that ${what} restores the neighbours of other ports`, async (host) => {
    await host.containers("c1", "c9");
    await host.add({ config });
    const before = await permanent(host, "");
    await host.sh(damage);
    assert(Object.keys(await permanent(host, "")).length < Object.keys(before).length);
    await host.add({ id: "c9", config });
    const after = await permanent(host, "");
    for (const [ip, mac] of Object.entries(before)) assertEquals(after[ip], mac, ip);
    for (const gateway of GATEWAYS) assert(await host.pings("c1", gateway));
  });
}

const { cniVersion, name, type, bridge } = CONFIG;
const LAYER2 = { cniVersion, name, type, bridge, ipam: {}, macspoofchk: true };

hostTest("guard: ports of a layer-2 network are guarded again", async (host) => {
  await host.containers("c1");
  const [, { name: veth }] = (await host.add({ config: LAYER2 })).interfaces;
  const whole = await readGuard(host, "c1", veth);
  await replaceBridge(host, LAYER2);
  assertEquals(await readGuard(host, "c1", veth), whole);
});

hostTest(
  "guard: a layer-2 container with a neighbour's MAC does not get that neighbour's entry",
  async (host) => {
    await host.containers("c1", "c2");
    const results = [];
    for (const id of ["c1", "c2"]) results.push(await host.add({ id, config: LAYER2 }));
    const ports = results.map(({ interfaces: [, { name: veth }, { mac }] }) => ({ veth, mac }));
    await host.sh(`ip -n c2 link set dev eth0 address ${ports[0]?.mac}`);
    await replaceBridge(host, LAYER2);
    // The host's own data proves each MAC, whatever the container claims.
    for (const { veth, mac } of ports) {
      const { locked, entries } = await readGuard(host, "c1", veth);
      assertEquals({ locked, entries }, { locked: true, entries: [mac] }, veth);
    }
  },
);

hostTest(
  "guard: a requested MAC of a layer-2 container is not guessed when its bridge is made again",
  async (host) => {
    await host.containers("c1", "c2");
    const args = "MAC=02:00:00:00:00:09";
    const [, { name: veth }] = (await host.add({ config: LAYER2, args })).interfaces;
    await host.sh("ip link del dev atomic0");
    const { stderr } = await host.cni("ADD", { id: "c2", config: LAYER2 });
    // Nothing on the host proves that MAC, so the port stays out, and every command says so.
    assertStringIncludes(stderr, `did not put "${veth}" into`);
    assertEquals(await host.ip("", "-B", "neigh", "show", "dev", veth, "nud", "noarp"), []);
    for (const command of ["doctor", "repair"]) {
      const { code, stdout } = await host.program([command], JSON.stringify(LAYER2));
      assertEquals(code, 1, stdout);
      assertStringIncludes(stdout, veth);
      assertStringIncludes(stdout, "which MAC the container has");
    }
  },
);

hostTest(
  "guard: an unguarded container does not keep the MAC of one that is gone",
  async (host) => {
    await host.containers("c1", "c2");
    const config = { ...CONFIG, macspoofchk: true };
    const [, , { mac }] = (await host.add({ config })).interfaces;
    const [, { name: thief }] = (await host.add({ id: "c2" })).interfaces;
    // One frame with the MAC moves the static entry.
    await host.run([
      "sh",
      "-c",
      `ip -n c2 link set dev eth0 address ${mac}
    ip netns exec c2 busybox ping -c 1 -W 1 ${CONFIG.gateway}
    ip -n c2 link set dev eth0 address 02:00:00:00:00:09`,
    ]);
    // While its owner lives, nobody else gets the MAC.
    await host.containers("c3");
    const refused = await host.cni("ADD", {
      id: "c3",
      config: { ...LAYER2, name: "other", runtimeConfig: { mac } },
    });
    assertEquals(refused.json.code, 102, refused.stderr);
    await host.del({ config });
    const [stolen] = await host.ip("", "-B", "neigh", "show", "dev", thief, "nud", "noarp");
    assertEquals(stolen?.lladdr, mac);
    const [, { name: veth }] = (await host.add({ config, args: "IP=10.86.0.2" })).interfaces;
    assertEquals((await readGuard(host, "c1", veth)).entries, [mac]);
    assert(await host.pings("c1", CONFIG.gateway));
  },
);

const V6 = { ...{ cniVersion, type, bridge }, subnet6: "fd09::/64", gateway6: "fd09::1" };
const OTHERS: readonly [what: string, config: Json, more: Json, found: RegExp][] = [
  [
    "with addresses",
    { ...V6, macspoofchk: true },
    {},
    /unverified: "c2\/eth0" has the MAC .* of "c1/,
  ],
  ["of layer 2", LAYER2, {}, /unverified: "c2\/eth0" has the MAC .* of the container of "av/],
  // Only the entry of its port shows that MAC.
  [
    "of layer 2 with a requested MAC",
    LAYER2,
    { args: "MAC=02:00:00:00:00:09" },
    /wrong: "c2\/eth0" .* no static entry at this port, but at "av/,
  ],
];
for (const [what, other, more, found] of OTHERS) {
  hostTest(`guard: repair takes no entry from a port of another network: ${what}`, async (host) => {
    const [one, two] = [{ ...other, name: "other" }, { ...CONFIG, macspoofchk: true }];
    await host.containers("c1", "c2");
    const [, { name: veth }, { mac }] = (await host.add({ config: one, ...more })).interfaces;
    await host.add({ id: "c2", config: two });
    // The state is lost, and the container claims to have had the neighbour's MAC.
    await host.sh(`ip -n c2 link set dev eth0 address ${mac}; rm /var/lib/atomicni/podnet.json`);
    for (let times = 0; times < 2; times++) {
      const { code, stdout } = await host.program(["repair"], JSON.stringify(two));
      assertEquals((await readGuard(host, "c1", veth)).entries, [mac], stdout);
      assertMatch(stdout, found);
      assert(code !== 0, stdout);
    }
  });
}
