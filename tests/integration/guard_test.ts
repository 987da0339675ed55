import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { breakIp } from "./broken_ip.ts";
import {
  BRIDGE_LINK_LOCAL,
  FIRST,
  FIRST_LINK_LOCAL,
  GATEWAYS,
  GUARDED,
  hostPings,
  permanent,
  readGuard,
  wanted,
} from "./guarded.ts";
import { type Answer, CONFIG, type Host, hostTest, type Json } from "./host.ts";
import { snapshot } from "./snapshot.ts";

const { subnet6, gateway6 } = GUARDED;
const { cniVersion, name, type, bridge } = CONFIG;
const UNGUARDED = { ...GUARDED, macspoofchk: false };
const REQUESTED = "02:00:00:00:00:07";

/** Configurations, and the addresses with a permanent neighbour: on the bridge and in the container. */
const NETWORKS: readonly [what: string, config: object, ips: string[], gateways: string[]][] = [
  ["IPv4", { ...CONFIG, macspoofchk: true }, ["10.86.0.2"], ["10.86.0.1"]],
  [
    "IPv6",
    { cniVersion, name, type, bridge, subnet6, gateway6, macspoofchk: true },
    ["fd00:88::2", "fe80::"],
    [gateway6],
  ],
  ["both families", GUARDED, [...FIRST.ips, "fe80::"], GATEWAYS],
  [
    "a requested MAC",
    { ...GUARDED, runtimeConfig: { mac: REQUESTED } },
    [...FIRST.ips, "fe80::"],
    GATEWAYS,
  ],
  [
    "hairpin and isolation",
    { ...GUARDED, hairpinMode: true, portIsolation: true },
    [...FIRST.ips, "fe80::"],
    GATEWAYS,
  ],
  [
    "the dialect of bridge + host-local, no gateway on the bridge",
    {
      ...{ cniVersion, name, type, bridge, macspoofchk: true },
      ipam: { type: "host-local", subnet: CONFIG.subnet },
    },
    ["10.86.0.2"],
    [],
  ],
];

/** The link-local address that the kernel created. */
async function linkLocal(host: Host, namespace = "c1", ifname = "eth0"): Promise<string> {
  const [link] = await host.ip(namespace, "-6", "addr", "show", "dev", ifname, "scope", "link");
  return link.addr_info.find((it: Json) => it.local !== undefined).local;
}

for (const [what, config, addresses, gateways] of NETWORKS) {
  hostTest(`guard: ${what}: ADD sets the whole guard, and DEL removes it`, async (host) => {
    await host.containers("c1");
    const result = await host.add({ config });
    const [{ mac: bridgeMac }, { name: veth }, { mac }] = result.interfaces;
    const ips = await Promise.all(addresses.map((it) => it === "fe80::" ? linkLocal(host) : it));
    const held = addresses.includes("fe80::") ? [await linkLocal(host, "", "atomic0")] : [];
    const inside = Object.fromEntries([...gateways, ...held].map((ip) => [ip, bridgeMac]));
    assertEquals(await readGuard(host, "c1", veth), wanted(mac, ips, inside));
    if (what === "a requested MAC") assertEquals(mac, REQUESTED);
    const [{ linkinfo }] = await host.ip("", "link", "show", "dev", veth);
    const { hairpin, isolated } = linkinfo.info_slave_data;
    const flags = what === "hairpin and isolation";
    assertEquals([hairpin, isolated], [flags, flags]);
    for (const [index, gateway] of gateways.entries()) {
      assert(await host.pings("c1", gateway), gateway);
      assert(await hostPings(host, addresses[index] ?? ""), addresses[index]);
    }
    const checked = await host.cni("CHECK", { config: { ...config, prevResult: result } });
    assertEquals([checked.code, checked.stdout], [0, ""]);
    await host.del({ config });
    assertEquals(await permanent(host, ""), {});
    await host.assertNothingLeft();
  });
}

hostTest(
  "guard: link-local addresses are derived from the MAC, and each side pins that of the other",
  async (host) => {
    await host.containers("c1");
    // The host's default is random link-local addresses, in the container and for new bridges.
    await host.sh(`ip netns exec c1 sysctl -qw net.ipv6.conf.default.addr_gen_mode=3
    sysctl -qw net.ipv6.conf.default.addr_gen_mode=3`);
    const { interfaces } = await host.add({ config: GUARDED });
    assertEquals(await linkLocal(host), FIRST_LINK_LOCAL);
    assertEquals(await linkLocal(host, "", "atomic0"), BRIDGE_LINK_LOCAL);
    assertEquals((await permanent(host, "c1", "eth0"))[BRIDGE_LINK_LOCAL], interfaces[0].mac);
    assertEquals((await permanent(host, ""))[FIRST_LINK_LOCAL], interfaces[2].mac);
  },
);

hostTest(
  "guard: a layer-2 container can't request the bridge's MAC, guarded or not",
  async (host) => {
    await host.containers("c1", "c2");
    for (const macspoofchk of [false, true]) {
      const config = { ...LAYER2, macspoofchk };
      const [{ mac }] = (await host.add({ config })).interfaces;
      const asking = { id: "c2", config: { ...config, runtimeConfig: { mac } } };
      const { code, json } = await host.cni("ADD", asking);
      assertEquals([code, json?.code], [1, 102]);
      await host.del({ config });
      await host.assertNothingLeft();
    }
  },
);

const LAYER2 = { cniVersion, name, type, bridge, ipam: {}, macspoofchk: true };

/** Two containers without a lease that chose their own addresses. */
async function addLayer2(host: Host): Promise<Json[]> {
  await host.containers("c1", "c2");
  const results = [];
  for (const [id, ip] of [["c1", "10.77.0.1"], ["c2", "10.77.0.2"]] as const) {
    results.push(await host.add({ id, config: LAYER2 }));
    await host.sh(`ip -n ${id} addr add ${ip}/24 dev eth0`);
  }
  return results;
}

hostTest(
  "guard: a layer-2 network: the port accepts only the container's own MAC",
  async (host) => {
    const [{ interfaces }] = await addLayer2(host);
    const [, { name: veth }, { mac }] = interfaces;
    assertEquals(await readGuard(host, "c1", veth), wanted(mac, [], {}));
    assert(await host.pings("c1", "10.77.0.2"));
    await host.sh(`ip -n c1 link set dev eth0 address ${REQUESTED}; ip -n c2 neigh flush dev eth0`);
    assert(!await host.pings("c1", "10.77.0.2"), "another MAC passes");
    await host.sh(`ip -n c1 link set dev eth0 address ${mac}; ip -n c2 neigh flush dev eth0`);
    assert(await host.pings("c1", "10.77.0.2"), "its own does not");
    for (const id of ["c1", "c2"]) await host.del({ id, config: LAYER2 });
    await host.assertNothingLeft();
  },
);

/** Damage, the message of CHECK, and whether `repair` restores it; `$h` is the host veth. */
const DAMAGE: readonly [string, RegExp][] = [
  [
    `ip -B neigh del any lladdr ${FIRST.mac} dev $h`,
    /guard of av[0-9a-f]{13}: expected the static entry 0a:58:0a:56:00:02, found none/,
  ],
  [
    `ip -B neigh del any lladdr ${FIRST.mac} dev $h
    ip -B neigh replace any lladdr 02:00:00:00:00:09 nud noarp dev $h`,
    /expected the static entry 0a:58:0a:56:00:02, found 02:00:00:00:00:09/,
  ],
  [
    "ip link set dev $h type bridge_slave locked off",
    /guard of av[0-9a-f]{13}: locked: expected true, found false/,
  ],
  [
    "ip link set dev $h type bridge_slave learning on",
    /guard of av[0-9a-f]{13}: learning: expected false, found true/,
  ],
  [
    "ip link set dev $h type bridge_slave group_fwd_mask 0",
    /guard of av[0-9a-f]{13}: bridges reserved frames: expected true, found false/,
  ],
  ...[...FIRST.ips, FIRST_LINK_LOCAL].flatMap((ip): [string, RegExp][] => [
    [
      `ip neigh del ${ip} dev atomic0`,
      new RegExp(
        `guard of av.* on atomic0: expected ${FIRST.mac} as permanent neighbour ${ip}, found none`,
      ),
    ],
    [
      `ip neigh replace ${ip} lladdr 02:00:00:00:00:09 dev atomic0 nud permanent`,
      new RegExp(`expected ${FIRST.mac} as permanent neighbour ${ip}, found 02:00:00:00:00:09`),
    ],
  ]),
  ...[...GATEWAYS, BRIDGE_LINK_LOCAL].flatMap((ip): [string, RegExp][] => [
    [
      `ip -n c1 neigh del ${ip} dev eth0`,
      new RegExp(`guard of eth0: expected .* as permanent neighbour ${ip}, found none`),
    ],
    [
      `ip -n c1 neigh replace ${ip} lladdr 02:00:00:00:00:09 dev eth0 nud permanent`,
      new RegExp(`guard of eth0: .* neighbour ${ip}, found 02:00:00:00:00:09`),
    ],
  ]),
  [
    "ip link set dev $h nomaster",
    /master of av.*: expected atomic0, found none.*expected the static entry/,
  ],
];

hostTest(
  "guard: CHECK reports each missing or wrong part, and repair restores it",
  async (host) => {
    await host.containers("c1", "c2");
    const result = await host.add({ config: GUARDED });
    await host.add({ id: "c2", config: GUARDED });
    const { name: veth } = result.interfaces[1];
    const whole = await readGuard(host, "c1", veth);
    const check = () => host.cni("CHECK", { config: { ...GUARDED, prevResult: result } });
    const repair = () => host.program(["repair", "--json"], JSON.stringify(GUARDED));
    assertEquals((await check()).stdout, "");
    assertEquals((await repair()).json.findings, []);
    assertMatch(
      (await host.program(["repair"], JSON.stringify(GUARDED))).stdout,
      /Nothing to repair/,
    );
    for (const [damage, message] of DAMAGE) {
      await host.sh(`h=${veth}\n${damage}`);
      const { code, json } = await check();
      assertEquals([code, json?.code], [1, 106], damage);
      assertMatch(json.msg, message);
      const { findings } = (await repair()).json;
      // An entry without a known owner stays, because root may have added it.
      await host.run([
        "ip",
        "-B",
        ..."neigh del any lladdr 02:00:00:00:00:09 dev".split(" "),
        veth,
      ]);
      assertEquals(findings.map(({ level }: Json) => level), ["note"], damage);
      assertStringIncludes(findings[0].found, `"c1/eth0" (${veth}): `);
      assertEquals(await readGuard(host, "c1", veth), whole, `after repair of: ${damage}`);
      const healthy = await check();
      assertEquals([healthy.code, healthy.stdout], [0, ""], `after repair of: ${damage}`);
      for (const gateway of GATEWAYS) assert(await host.pings("c1", gateway), damage);
    }
  },
);

hostTest("guard: repair removes the neighbours of a lease that it drops", async (host) => {
  await host.containers("c1", "c2");
  await host.add({ config: GUARDED });
  await host.add({ id: "c2", config: GUARDED });
  const kept = await permanent(host, "");
  const [c1] = (await host.program(["list", "--json"], "")).json.attachments;
  // A container can delete its interface, which also removes the host veth.
  await host.sh("ip -n c1 link del dev eth0");
  const { json } = await host.program(["repair", "--json"], JSON.stringify(GUARDED));
  assertEquals(json.dropped.map(({ owner }: Json) => owner), ["c1/eth0"]);
  const gone = Object.entries(kept).filter(([, mac]) => mac === c1.mac);
  assertEquals(
    gone.length,
    3,
    "neighbours to remove: an address of each family and the link-local address",
  );
  const left = Object.entries(kept).filter(([, mac]) => mac !== c1.mac);
  assertEquals(Object.entries(await permanent(host, "")).sort(), left.sort());
});

/** Runs the real `ip` and removes `"locked"` from its output; `line` may change the batch first. */
function withoutLocked(version: string, line = ""): string {
  return `[ "$*" != -V ] || { echo "ip utility, iproute2-${version}, libbpf 1.5.0"; exit; }
${line}
out=$(printf '%s\\n' "$in" | /run/ip.real "$@"); status=$?
printf '%s\\n' "$out" | sed 's/"locked":[a-z]*,//g; s/,"locked":[a-z]*//g'
exit $status`;
}

const OLD: readonly [what: string, rule: string, doctor: RegExp][] = [
  [
    "an ip without locked",
    withoutLocked("5.15.0", `in=$(printf '%s\\n' "$in" | sed 's/ locked / unheard-of /')`),
    /iproute2-5\.15\.0.* can't lock a port, which "macspoofchk": true needs/,
  ],
  ["a kernel without locked", withoutLocked("6.15.0"), /the port "av.*" can't be locked/],
];

async function assertTooOld(host: Host, answer: Answer): Promise<void> {
  assertEquals([answer.code, answer.json?.code], [1, 2], answer.stdout);
  assertMatch(answer.json.msg, /Cannot do "macspoofchk": true: the port "av.*" can't be locked/);
  assertMatch(answer.json.details, /5\.18/);
  assertEquals(await permanent(host, ""), {});
}

for (const [what, rule, found] of OLD) {
  hostTest(`guard: ${what}: ADD refuses with code 2 and leaves nothing`, async (host) => {
    await host.containers("c1", "n1");
    await breakIp(host, rule);
    // There is no bridge yet. The ADD rolls back all but the bridge, which others may use already.
    await assertTooOld(host, await host.cni("ADD", { config: GUARDED }));
    await host.assertNothingLeft();
    assertEquals(await host.links(), ["atomic0"]);
    await host.add({ id: "n1", config: UNGUARDED });
    const before = await snapshot(host);
    await assertTooOld(host, await host.cni("ADD", { config: GUARDED }));
    assertEquals(await snapshot(host), before);
    assert(await host.pings("n1", CONFIG.gateway));
  });

  hostTest(`guard: ${what}: STATUS and doctor report it`, async (host) => {
    await host.containers("n1");
    await host.add({ id: "n1", config: UNGUARDED });
    assertEquals((await host.cni("STATUS", { config: GUARDED })).stdout, "");
    await breakIp(host, rule);
    const status = await host.cni("STATUS", { config: GUARDED });
    assertEquals(status.json?.code, 50, status.stdout);
    assertMatch(status.json.msg, /"macspoofchk": true.* can't be locked/);
    const doctor = await host.program(["doctor"], JSON.stringify(GUARDED));
    assertEquals(doctor.code, 2, doctor.stdout);
    assertMatch(doctor.stdout, found);
    // Without the guard the plugin works as usual.
    assertEquals((await host.cni("STATUS", { config: UNGUARDED })).stdout, "");
  });
}

hostTest("guard: STATUS reports a too old ip before a port exists", async (host) => {
  const [[, rule] = []] = OLD;
  await breakIp(host, rule ?? "");
  const { json, stdout } = await host.cni("STATUS", { config: GUARDED });
  assertEquals(json?.code, 50, stdout);
  assertMatch(json.msg, /macspoofchk.*5\.15\.0/);
  assertEquals((await host.cni("STATUS", { config: UNGUARDED })).stdout, "");
});
