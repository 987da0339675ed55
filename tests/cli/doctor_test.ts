import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  CONFIG,
  type Host,
  hostTest,
  type Json,
  MODES,
  STATE_FOLDER,
} from "../integration/host.ts";
import { holdLock } from "../integration/lock_holder.ts";

/** A fault of a host or a configuration, and the finding that doctor must have. */
interface Row {
  readonly name: string;
  /** A shell script that causes the fault. */
  readonly given?: string;
  readonly config?: Json;
  /** The subject and level of the finding, and parts of its text and its remedy. */
  readonly expected: readonly [about: string, level: string, found: string, remedy: string];
  /** The code that an ADD fails with; absent if the ADD works. */
  readonly code?: number;
}

const { gateway: _, ...NO_GATEWAY } = CONFIG;
const HOST_LOCAL = {
  cniVersion: "1.1.0",
  name: "podnet",
  type: "atomicni",
  ipam: { type: "host-local", subnet: "10.86.0.0/24" },
};
const SMALL = { ...CONFIG, subnet: "10.86.0.0/30" };

const ROWS: readonly Row[] = [
  {
    name: "a misspelt key",
    config: { ...NO_GATEWAY, gatway: "10.86.0.1" },
    expected: ["key", "warning", '"gatway" is not known', 'did you mean "gateway"?'],
    code: 7,
  },
  {
    name: "a misspelt key further down",
    config: { ...CONFIG, ipam: { routes: [{ dst: "0.0.0.0/0", metric: 5, gwy: "10.86.0.1" }] } },
    expected: ["key", "warning", '"ipam.routes[0].gwy"', 'did you mean "gw"?'],
  },
  {
    name: "a key of the other dialect",
    config: { ...CONFIG, isGateway: true },
    expected: ["key", "warning", '"isGateway" has no effect', "take it out"],
  },
  {
    name: "a key in the wrong place",
    config: { ...HOST_LOCAL, subnet: "10.86.0.0/24" },
    expected: ["key", "warning", '"subnet" has no effect', 'move it into "ipam"'],
  },
  {
    name: "a key of the reference bridge without effect",
    config: { ...HOST_LOCAL, ipMasq: false },
    expected: ["key", "note", '"ipMasq" belongs to the reference bridge', ""],
  },
  {
    name: "an unsupported key",
    config: { ...CONFIG, ipMasq: true },
    expected: ["configuration", "error", '"ipMasq"', "nftables"],
    code: 2,
  },
  {
    name: "a version that does not exist",
    config: { ...CONFIG, cniVersion: "9.0.0" },
    expected: ["configuration", "error", "incompatible CNI versions", '"1.1.0"'],
    code: 1,
  },
  {
    name: "host bits in the subnet",
    config: { ...CONFIG, subnet: "10.86.0.7/24" },
    expected: ["configuration", "error", "the network is 10.86.0.0/24", "10.86.0.0/24"],
    code: 7,
  },
  {
    name: "an interface that is not a bridge",
    given: "ip link add atomic0 type veth peer name other",
    expected: ["bridge", "error", "it is a veth", "ip link show dev atomic0"],
    code: 105,
  },
  {
    name: "a bridge with another address",
    given: "ip link add atomic0 type bridge && ip addr add 110.86.0.1/24 dev atomic0",
    expected: ["bridge", "error", "it has 110.86.0.1/24", "ip addr del 110.86.0.1/24 dev atomic0"],
    code: 105,
  },
  {
    name: "a bridge with another MTU",
    given: "ip link add atomic0 type bridge && ip link add port mtu 1400 type veth && " +
      "ip link set port master atomic0",
    expected: ["bridge", "warning", "has MTU 1400", '"mtu": 1400, or start each container again'],
  },
  {
    name: "an MTU with which a bridge would lose its IPv6 address",
    given: "ip link add atomic0 type bridge && ip addr add fd00:77::1/64 dev atomic0",
    config: { ...CONFIG, mtu: 1200 },
    expected: ["bridge", "error", "with MTU 1200: it has fd00:77::1", '"mtu" to 1280'],
    code: 105,
  },
  {
    name: "a bridge with the spanning tree protocol",
    given: "ip link add atomic0 type bridge stp_state 1",
    expected: ["bridge", "warning", "spanning tree", "stp_state 0"],
  },
  {
    name: "another interface in the subnet",
    given: "ip link add lan type bridge && ip addr add 10.86.0.9/25 dev lan",
    expected: ["subnet", "warning", '"lan" has 10.86.0.9/25', "ip addr"],
  },
  {
    name: "a route into the subnet",
    given:
      "ip link add vpn type bridge && ip link set vpn up && ip route add 10.86.0.128/25 dev vpn",
    expected: ["subnet", "warning", "a route to 10.86.0.128/25", "ip route"],
  },
  {
    name: "another network in the subnet",
    given: `cat > ${STATE_FOLDER}/other.json <<'E'
{"lastReserved":"","containerToIP":{"x":"10.86.0.9"},"ipToContainer":{"10.86.0.9":"x"}}
E`,
    expected: ["subnet", "warning", 'network "other" holds 10.86.0.9', "choose a subnet"],
  },
  {
    name: "another network's subnet without leases",
    given: `cat > ${STATE_FOLDER}/other.json <<'E'
{"schema":2,"lastReserved":"","containerToIP":{},"ipToContainer":{},"leases":{},"pool":{"subnet":"10.86.0.0/16","gateway":"10.86.0.1","rangeStart":"10.86.0.1","rangeEnd":"10.86.255.254"}}
E`,
    expected: ["subnet", "warning", 'network "other" has 10.86.0.0/16', "choose a subnet"],
  },
  {
    name: "forwarding off",
    given: "echo 0 > /proc/sys/net/ipv4/ip_forward",
    expected: [
      "forwarding",
      "warning",
      "containers reach only each other",
      "sysctl -w net.ipv4.ip_forward=1",
    ],
  },
  {
    name: "a folder that others can read",
    given: `chmod 755 ${STATE_FOLDER}`,
    expected: ["folder", "warning", "others can read it", `chmod 700 ${STATE_FOLDER}`],
  },
  {
    name: "a folder that others can write",
    given: `chmod 777 ${STATE_FOLDER}`,
    expected: ["folder", "warning", "others can write", `chmod 700 ${STATE_FOLDER}`],
  },
  {
    name: "a folder that is a symbolic link",
    given: `mkdir /run/x && ln -s /run/x ${STATE_FOLDER}/sub`,
    config: { ...CONFIG, ipam: { dataDir: `${STATE_FOLDER}/sub` } },
    expected: ["folder", "error", "symbolic link", "mv "],
    code: 5,
  },
  {
    name: "a resolv.conf that does not exist",
    config: { ...CONFIG, ipam: { resolvConf: `${STATE_FOLDER}/resolv.conf` } },
    expected: ["folder", "error", `Cannot read "${STATE_FOLDER}/resolv.conf"`, "ls -ld"],
    code: 5,
  },
  {
    name: "a lock that is a FIFO",
    given: `mkfifo ${STATE_FOLDER}/podnet.lock`,
    expected: ["lock", "error", "it is not a regular file", "rm "],
    code: 5,
  },
  {
    name: "a truncated state file without host veths",
    given: `printf '{"lastRes' > ${STATE_FOLDER}/podnet.json`,
    expected: ["state", "warning", "podnet.json", "nothing has to be done"],
  },
  {
    name: "a truncated state file with a host veth of the network",
    given: `printf '{"lastRes' > ${STATE_FOLDER}/podnet.json
      ip netns add other; ip link add avf07d124eb0652 type veth peer name eth0 netns other
      ip link set avf07d124eb0652 alias podnet/c2/eth0`,
    expected: ["state", "error", "podnet.json", "atomicni repair"],
    code: 104,
  },
  {
    name: "a subnet that was changed",
    given: `cat > ${STATE_FOLDER}/podnet.json <<'E'
{"lastReserved":"","containerToIP":{"x":"10.9.0.9"},"ipToContainer":{"10.9.0.9":"x"}}
E`,
    expected: [
      "state",
      "error",
      "holds 10.9.0.9",
      "put new containers into another network with its own name, bridge and subnet",
    ],
    code: 104,
  },
  {
    name: "leases without a veth",
    given: `cat > ${STATE_FOLDER}/podnet.json <<'E'
{"lastReserved":"","containerToIP":{"x":"10.86.0.9"},"ipToContainer":{"10.86.0.9":"x"}}
E`,
    expected: ["leases", "warning", "10.86.0.9", "atomicni repair"],
  },
  {
    name: "a pool that only stale leases fill",
    config: SMALL,
    given: `cat > ${STATE_FOLDER}/podnet.json <<'E'
{"lastReserved":"","containerToIP":{"x":"10.86.0.2"},"ipToContainer":{"10.86.0.2":"x"}}
E`,
    expected: ["pool", "ok", "1 addresses, 1 held, 1 of them stale, 0 free", ""],
  },
  {
    name: "no folder of namespaces",
    given: "ip netns del c1; umount /run/netns; rmdir /run/netns",
    expected: ["namespaces", "error", "ip can enter none", "mkdir -p /run/netns"],
    code: 8,
  },
  {
    name: "no ip",
    given: "mount --bind /dev/null /usr/bin/ip",
    expected: ["ip", "error", "Permission denied", "--reinstall iproute2"],
    code: 100,
  },
];

for (const { name, given, config = CONFIG, expected, code } of ROWS) {
  hostTest(`doctor finds ${name}, and an ADD agrees`, async (host) => {
    await host.containers("c1");
    await host.sh(`echo 1 > /proc/sys/net/ipv4/ip_forward; ${given ?? ""}`);
    const report = await examined(host, JSON.stringify(config));
    const [about, level, found, remedy] = expected;
    const match = report.json.findings.find((it: Json) =>
      it.about === about && it.level === level && it.found.includes(found)
    );
    assert(match !== undefined, JSON.stringify(report.json.findings, undefined, 1));
    assertStringIncludes(`${match.found} ${match.remedy ?? ""}`, remedy);
    const status = await host.cni("STATUS", { config });
    const added = await host.cni("ADD", { config });
    assertEquals(status.code === 0, code === undefined, `STATUS and ADD: ${status.stdout}`);
    assertEquals(added.json?.code, code, added.stdout);
    assertEquals(report.code === 2, code !== undefined, "doctor and ADD disagree");
    if (code !== undefined) {
      const codes = report.json.findings.map((it: Json) => it.code);
      assert(codes.includes(code), `none of ${codes} is ${code}`);
    }
  });
}

/** Runs doctor. Asserts that lines and JSON agree, and that each warning and error has a remedy. */
async function examined(host: Host, stdin: string): Promise<{ code: number; json: Json }> {
  const people = await host.program(["doctor"], stdin);
  const report = await host.program(["doctor", "--json"], stdin);
  assertEquals(people.code, report.code);
  for (const { level, found, remedy } of report.json.findings) {
    assertStringIncludes(people.stdout, found);
    if (level === "warning" || level === "error") assert((remedy ?? "") !== "", found);
  }
  assertStringIncludes(people.stdout, report.json.verdict);
  assert(!people.stdout.includes("undefined"), people.stdout);
  return report;
}

hostTest("doctor's remedies for forwarding and the MTU of a bridge help", async (host) => {
  await host.sh("echo 1 >/proc/sys/net/ipv4/ip_forward");
  await host.containers("c1", "c2");
  const off = "echo 0 >/proc/sys/net/ipv4/conf";
  const rows: [name: string, given: string, about: string, commands: RegExp][] = [
    ["a new bridge", `${off}/default/forwarding`, "forwarding", /^.*$/],
    ["an existing bridge", `${off}/atomic0/forwarding`, "forwarding", /^.*$/],
    ["an MTU set by hand", "ip link set dev atomic0 mtu 1400", "bridge", /[^(]*mtu 1500(?=\)$)/],
  ];
  for (const [name, given, about, commands] of rows) {
    await host.sh(given);
    const warnings = async () => {
      const { json } = await examined(host, JSON.stringify(CONFIG));
      return json.findings.filter((it: Json) => it.level === "warning" && it.about === about);
    };
    const [{ remedy }] = await warnings();
    await host.sh(commands.exec(remedy)?.[0] ?? `: no command in ${remedy}; false`);
    assertEquals(await warnings(), [], `${name}: ${remedy}`);
    if (name === "a new bridge") await host.add();
  }
});

hostTest(
  "doctor and repair name a bridge that cuts its containers off, and how to fix it",
  async (host) => {
    await host.sh(
      "for it in ipv4/ip_forward ipv6/conf/all/forwarding; do echo 1 >/proc/sys/net/$it; done",
    );
    const config = {
      ...CONFIG,
      subnet6: "fd00:88::/64",
      gateway6: "fd00:88::1",
      macspoofchk: true,
    };
    const stdin = JSON.stringify(config);
    await host.containers("c1");
    await host.add({ config });
    for (
      const [given, found] of [
        ["ip link set dev atomic0 down", '"atomic0" is down'],
        ["ip addr del 10.86.0.1/24 dev atomic0", '"atomic0" lacks 10.86.0.1/24'],
        ["ip addr flush dev atomic0", '"atomic0" lacks 10.86.0.1/24'],
      ] as const
    ) {
      await host.sh(given);
      const repaired = await host.program(["repair", "--json"], stdin);
      assertEquals(repaired.code, 1, repaired.stdout);
      assertStringIncludes(JSON.stringify(repaired.json.findings), found.replaceAll('"', '\\"'));
      const { json, code } = await examined(host, stdin);
      assertEquals(code, 1, JSON.stringify(json));
      const wrong = json.findings.filter((it: Json) => it.about === "bridge" && it.level !== "ok");
      assertStringIncludes(wrong[0]?.found ?? "", found);
      for (const { remedy } of wrong) await host.sh(remedy.split(";")[0]);
      assertEquals((await host.program(["repair"], stdin)).code, 0);
      assertEquals((await examined(host, stdin)).code, 0, given);
      assert(await host.pings("c1", "10.86.0.1"), given);
      assert(await host.pings("c1", "fd00:88::1"), given);
    }
  },
);

hostTest("doctor has no warning on a working host", async (host) => {
  await host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
  for (const config of [CONFIG, HOST_LOCAL]) {
    const fresh = await examined(host, JSON.stringify(config));
    assertEquals(fresh.code, 0, JSON.stringify(fresh.json));
  }
  await host.containers("c1");
  await host.add();
  const before = await host.state();
  assertEquals((await examined(host, JSON.stringify(CONFIG))).code, 0);
  assertEquals(await host.state(), before, "doctor changes nothing");
  assertEquals(await host.files(), ["./podnet.json", "./podnet.lock"]);
}, MODES);

hostTest("doctor reads a conflist with comments as a runtime would send it", async (host) => {
  await host.containers("c1");
  const { code, json } = await examined(
    host,
    `{ // a list
      "cniVersion": "0.4.0", "cniVersions": ["0.4.0", "1.1.0"], "name": "podnet", "plugin": [],
      "plugins": [
        { "type": "atomicni", "bridge": "atomic0", "subnet": "10.86.0.0/24", "gateway": "10.86.0.1" },
        { "type": "portmap", "capabilities": { "portMappings": true } },
      ],
    }`,
  );
  assertEquals(code, 2);
  const found = json.findings.map((it: Json) => it.found).join("\n");
  assertStringIncludes(found, "comments or trailing commas");
  assertStringIncludes(found, '"plugin" is not a key of a list');
  assertStringIncludes(found, 'network "podnet", 10.86.0.0/24 on bridge "atomic0", CNI 1.1.0');
});

hostTest("operator commands use the version of a list that a runtime uses", async (host) => {
  const plugin = {
    ...{ type: "atomicni", bridge: "atomic0", subnet: "10.86.0.0/24", gateway: "10.86.0.1" },
    // A runtime replaces it by the version of the list.
    cniVersion: "1.1.0",
  };
  const list = (versions: object) =>
    JSON.stringify({ name: "podnet", ...versions, plugins: [plugin] });
  const rows: [object, string][] = [
    [{ cniVersion: "1.0.0", cniVersions: ["1.0.0", "1.1.0", "1.2.0"] }, "CNI 1.1.0"],
    [{ cniVersions: ["10.0.0", "0.4.0", "0.3.1"] }, "CNI 0.4.0"],
    [{ cniVersion: "2.0.0", cniVersions: ["1.0.0"] }, "CNI 1.0.0"],
    [{ cniVersion: "1.0.0", cniVersions: ["2.0.0"] }, "CNI 1.0.0"],
    [{ cniVersion: "1.0.0", cniVersions: [] }, "CNI 1.0.0"],
    [{}, "CNI 0.1.0"],
  ];
  for (const [versions, expected] of rows) {
    const { code, json } = await examined(host, list(versions));
    assertEquals(code === 2, false, JSON.stringify(json));
    assertStringIncludes(json.findings.map((it: Json) => it.found).join("\n"), expected);
    for (const command of ["repair", "host-rules"]) {
      const answer = await host.program([command], list(versions));
      assertEquals(answer.code, 0, `${command}: ${answer.stderr}`);
    }
  }
  for (const versions of [{ cniVersion: "2.0.0" }, { cniVersions: ["1.1.0", "x"] }]) {
    assertEquals((await examined(host, list(versions))).code, 2);
  }
});

const LIST =
  '{"cniVersion":"1.0.0","name":"podnet","plugins":[{"type":"atomicni","bridge":"atomic0","subnet":"10.86.0.0/24","gateway":"10.86.0.1"}]}';

hostTest("doctor reports input that is not a configuration", async (host) => {
  const rows: [string, string][] = [
    ["", "stdin is empty"],
    [" \n", "stdin is empty"],
    ["{", "it is not JSON: line 1, column 2"],
    ['{"name":\n\n', "it is not JSON: line 1, column 9"],
    ["[]", "not a JSON object"],
    ['{\n "macspoofchk": True\n}\n', "it is not JSON: Unexpected token 'T'"],
    ['{\n "a": 1,\n "b" 2\n}\n', "it is not JSON: line 3, column 6"],
    ['{\n "a": 1,\n\t"b" 2\n}\n', '\n        \t"b" 2\n        \t    ^\n'],
    ['{"name":"x","plugins":[{"type":"atomcni"}]}', 'did you mean "atomicni"?'],
    ['{"name":"x","plugins":[]}', "there are none"],
    ['{"name":"x","plugins":[{"type":"flannel","delegate":{"type":"x"}}]}', 'there are "flannel"'],
    ['{"name":"x"}', '"type" is required'],
    ['{"name":"x","type":"atomcni"}', '"type" is "atomcni", not "atomicni"'],
    ['{"name":"x","type":"atomcni"}', 'did you mean "atomicni"?'],
    ['{"name":"\\u001b[31mx","plugins":[{"type":"atomicni"}]}', "invalid characters"],
    // A runtime refuses the whole list because of one of its plugins.
    [LIST.replace("]", ',{"typ":"portmap"}]'), 'plugins[1] has no "type"'],
    [LIST.replace("]", ',"portmap"]'), 'plugins[1] has no "type"'],
    [LIST.replace("]", ',{"type":""}]'), 'plugins[1] has no "type"'],
    [LIST.replace("]", ',{"type":"x","capabilities":[]}]'), "plugins[1].capabilities"],
    [LIST.replace("]", ',{"type":"x","capabilities":{"a":"true"}}]'), "plugins[1].capabilities"],
  ];
  for (const [stdin, found] of rows) {
    const { code, stdout } = await host.program(["doctor"], stdin);
    assertEquals(code, 2);
    assertStringIncludes(stdout, found);
    assertStringIncludes(stdout, "An ADD would fail.");
    assert(!stdout.includes("\x1b"));
  }
  const { code, stderr } = await host.program(["doctor"], `\ufeff${LIST}`);
  assertEquals(code, 2);
  assertStringIncludes(stderr, "it begins with a byte order mark");
  const twice = await host.program(["doctor"], LIST.replace("]", ',{"type":"atomicni"}]'));
  assertStringIncludes(twice.stdout, 'warning input: "atomicni" is in the list more than once');
  // The commands that need a configuration read none that a runtime would not read.
  const rules = await host.program(["host-rules"], `${LIST} // a list`);
  assertEquals([rules.code, rules.stdout], [2, ""]);
  assertStringIncludes(rules.stderr, "comments or trailing commas");
});

hostTest("doctor names a path to Deno that others can change", async (host) => {
  const args = ["doctor", "--json", "--open-path", " drwxrwxrwt root root tmp"];
  const { code, json } = await host.program(args, JSON.stringify(CONFIG));
  const found = json.findings.filter(({ about }: Json) => about === "deno");
  assertEquals([code, found.length, found[0]?.level], [2, 1, "error"]);
  assertStringIncludes(found[0].found, 'can change "drwxrwxrwt root root tmp", which leads to');
});

hostTest(
  "doctor distinguishes a pool full of live containers from leftover veths",
  async (host) => {
    await host.containers("c1", "c2");
    await host.add({ config: SMALL });
    const full = await examined(host, JSON.stringify(SMALL));
    assertEquals(full.code, 2);
    assertEquals((await host.cni("ADD", { config: SMALL, id: "c2" })).json.code, 101);
    await host.sh(`rm ${STATE_FOLDER}/podnet.json`);
    const left = await examined(host, JSON.stringify(SMALL));
    // doctor reports no attachment of a live container as stale.
    const match = left.json.findings.find((it: Json) => it.about === "state");
    assertStringIncludes(`${match.found} ${match.remedy}`, '"c1/eth0" holds an address');
    assertEquals((await host.cni("ADD", { config: SMALL, id: "c2" })).json.code, 104);
    assert(!JSON.stringify(left.json).includes("link del"), JSON.stringify(left.json));
  },
);

hostTest(
  "a network without addresses writes no state, so it works on a full disk",
  async (host) => {
    const { cniVersion, name, type, bridge } = CONFIG;
    const layer2 = { cniVersion, name, type, bridge, ipam: {} };
    await host.sh(`mkdir ${STATE_FOLDER}/podnet.lock; mkdir -p -m 700 ${STATE_FOLDER}/.deno
    mount -t tmpfs -o mode=700 tmpfs ${STATE_FOLDER}/.deno
    mount -o remount,size=8m ${STATE_FOLDER}; cat /dev/zero >${STATE_FOLDER}/zero || :`);
    await host.containers("c1");
    const doctor = async (config: Json) => await host.program(["doctor"], JSON.stringify(config));
    const report = await doctor(layer2);
    assertEquals(report.code, 0, report.stdout);
    assertMatch((await doctor(CONFIG)).stdout, /podnet\.lock.*not a regular file/);
    assertEquals((await host.cni("STATUS", { config: layer2 })).stdout, "");
    await host.add({ config: layer2 });
    await host.del({ config: layer2 });
    const files = await host.sh(`ls -A ${STATE_FOLDER} | grep -v '^\\.deno$'`);
    assertEquals(files.split("\n").filter(Boolean), ["podnet.lock", "zero"]);
  },
);

hostTest("doctor names the holder of the lock", async (host) => {
  await host.containers("c1");
  await host.add();
  const holder = await host.program(["doctor", "--json"], JSON.stringify(CONFIG));
  assertEquals(holder.json.findings.find((it: Json) => it.about === "lock").level, "ok");
  const finished = host.run(
    ["flock", `${STATE_FOLDER}/podnet.lock`, "sh", "-c", "mkfifo /run/over; read x < /run/over"],
  );
  while (
    (await host.run(["test", "-p", "/run/over"])).code !== 0
  ) { /* it makes it with the lock held */ }
  const held = await examined(host, JSON.stringify(CONFIG));
  assertEquals(held.json.findings.find((it: Json) => it.about === "lock").level, "error");
  await host.sh("echo > /run/over");
  await finished;
  // Another run holds the lock for a moment only.
  await holdLock(host, 0.9);
  const later = await examined(host, JSON.stringify(CONFIG));
  assertEquals(later.json.findings.find((it: Json) => it.about === "lock").level, "ok");
});

hostTest(
  "STATUS and doctor find another network's range before, behind, around and inside",
  async (host) => {
    await host.containers("c1");
    const part = (first: number, last: number) => ({
      rangeStart: `10.86.0.${first}`,
      rangeEnd: `10.86.0.${last}`,
    });
    const rows: readonly [string, [number, number], boolean][] = [
      ["before", [10, 19], false],
      ["behind", [31, 40], false],
      ["from before into it", [10, 20], true],
      ["from its end on", [30, 40], true],
      ["around it", [10, 40], true],
      ["inside it", [22, 25], true],
      ["the same", [20, 30], true],
    ];
    await host.add({ config: { ...CONFIG, ipam: part(20, 30) } });
    for (const [name, [first, last], isShared] of rows) {
      const config = { ...CONFIG, name: "other", ipam: part(first, last) };
      const { code, json } = await host.cni("STATUS", { config });
      assertEquals([code, json?.code], isShared ? [1, 50] : [0, undefined], name);
      const report = await examined(host, JSON.stringify(config));
      const said = report.json.findings.filter((it: Json) => it.found.includes("allocates it too"));
      assertEquals(said.map((it: Json) => it.level), isShared ? ["warning"] : [], name);
    }
  },
);

hostTest("doctor and STATUS refuse a subnet that another plugin's bridge carries", async (host) => {
  await host.sh("echo 1 > /proc/sys/net/ipv4/ip_forward");
  assertEquals((await host.cni("STATUS", {})).code, 0);
  await host.sh("ip link add cni0 type bridge; ip addr add 10.86.0.1/24 dev cni0");
  const { code, json } = await examined(host, JSON.stringify(CONFIG));
  const found = json.findings.filter(({ level }: Json) => level === "error");
  assertEquals([code, found.length, found[0]?.about], [2, 1, "subnet"], JSON.stringify(found));
  assertStringIncludes(found[0].found, '"cni0" carries it too (10.86.0.1/24)');
  const status = await host.cni("STATUS", {});
  assertEquals(status.json?.code, 50);
  assertStringIncludes(status.json.msg, '"cni0" carries it too');
  // A bridge without a gateway address may itself be a port of that network.
  const plain = { ...HOST_LOCAL, bridge: "lan0", isGateway: false };
  await host.sh("ip addr replace 10.86.0.1/24 dev cni0");
  assertEquals((await host.cni("STATUS", { config: plain })).code, 0);
});
