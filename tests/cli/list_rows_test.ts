import { assertEquals } from "@std/assert";
import { CONFIG, hostTest, type Json, STATE_FOLDER } from "../integration/host.ts";

const { cniVersion, type, bridge } = CONFIG;
const FILE = `${STATE_FOLDER}/podnet.json`;
const BOTH = { ...CONFIG, subnet6: "fd00:88::/64", gateway6: "fd00:88::1" };
const GUARDED = { ...CONFIG, macspoofchk: true };
const LAYER2 = { cniVersion, name: "podnet", type, bridge, ipam: {} };
const SMALL = { ...CONFIG, subnet: "10.86.0.0/30" };
const NO_GATEWAY = {
  ...{ cniVersion, name: "podnet", type, bridge, isGateway: false },
  ipam: { type: "host-local", subnet: "10.86.0.0/24" },
};
const SUB = { ...CONFIG, ipam: { dataDir: `${STATE_FOLDER}/sub` } };
const OTHER = {
  ...CONFIG,
  ...{ name: "anet", bridge: "br1", subnet: "10.87.0.0/24", gateway: "10.87.0.1" },
};
const RANGES = {
  ...NO_GATEWAY,
  ipam: {
    type: "host-local",
    ranges: [[
      { subnet: "10.86.0.0/24", rangeStart: "10.86.0.2", rangeEnd: "10.86.0.9" },
      { subnet: "10.86.0.0/24", rangeStart: "10.86.0.50", rangeEnd: "10.86.0.59" },
    ]],
  },
};
const BR9 = "ip link add br9 type bridge; ip link set dev br9 up";

/** Attachments and a harm; `$V` and `$W` are the host veths of the first two. What a command prints then. */
interface Row {
  readonly name: string;
  readonly added: readonly (readonly [id: string, config: Json])[];
  readonly given: string;
  readonly shows: readonly (readonly [command: string, exit: number, pattern: RegExp])[];
}

const ROWS: readonly Row[] = [
  {
    name: "the second lease records the bridge, and the first is in another one",
    added: [["c1", NO_GATEWAY], ["c2", { ...NO_GATEWAY, macspoofchk: true }]],
    given: `${BR9}; ip link set dev $V master br9`,
    shows: [["list", 1, /c1 .* cut off\n.*c2 .* live\n/]],
  },
  {
    name: "the gateway is the second address of the bridge",
    added: [["c1", CONFIG]],
    given: `ip addr flush dev atomic0; ip addr add 192.0.2.1/24 dev atomic0
      ip addr add 10.86.0.1/24 dev atomic0; ${BR9}; ip link set dev $V master br9`,
    shows: [["list", 1, / cut off\n/]],
  },
  {
    name: "a host veth whose lease may be in the damaged file",
    added: [["c1", CONFIG]],
    given: `printf x >${FILE}`,
    shows: [
      ["list", 2, /^error 104: /],
      ["explain podnet", 2, /^podnet is a network/],
      ["explain 123", 2, /^No network that can be read has an attachment of "123"/],
    ],
  },
  {
    name: "one attachment without addresses, and one whose lease is lost",
    added: [["c0", CONFIG], ["c1", LAYER2], ["c2", CONFIG]],
    given: `ip link del dev $V; rm ${FILE}`,
    shows: [
      ["list", 1, /c1 .* layer 2\n.*c2 .* no lease\n/],
      ["status", 1, /no state file, 1 no lease\n/],
      ["status --metrics", 1, /atomicni_state_readable\{.*"\} 0\n/],
    ],
  },
  {
    name: "a guarded lease without a host veth",
    added: [["c1", GUARDED]],
    given: "ip link del dev $V",
    shows: [["list --json", 1, /"guarded":true,.*"state":"stale"/]],
  },
  {
    name: "a port in no bridge has no bridge",
    added: [["c1", CONFIG], ["c2", CONFIG]],
    given: "ip link set dev $V nomaster",
    shows: [[
      "list --json",
      1,
      /"containerId":"c1"(?:(?!"bridge").)*"containerId":"c2".*"bridge":"atomic0"/,
    ]],
  },
  {
    name: "status takes a network by either form",
    added: [["c1", CONFIG], ["c2", OTHER]],
    given: ":",
    shows: [
      ["status -n podnet", 0, /^NETWORK .*\npodnet [^\n]*\n$/],
      ["status anet", 0, /^NETWORK .*\nanet [^\n]*\n$/],
    ],
  },
  {
    name: "a pool that only stale leases fill is not full",
    added: [["c1", SMALL]],
    given: "ip link del dev $V",
    shows: [["status", 1, /[^,] 1 stale\n$/]],
  },
  {
    name: "stale leases are counted for each range set by itself",
    added: [["c1", BOTH], ["c2", BOTH]],
    given: "ip link del dev $V",
    shows: [["status --json", 1, /"held":2,"stale":1,.*"held":2,"stale":1,/]],
  },
  {
    name: "a container whose ID begins with a code",
    added: [["1012", CONFIG]],
    given: ":",
    shows: [["explain 101", 0, /^Code 101: (?:(?!1012)[\s\S])*$/]],
  },
  {
    name: "a bridge that the network's ports have left",
    added: [["c1", CONFIG]],
    given: `${BR9}; ip link set dev $V master br9`,
    shows: [
      ["explain atomic0", 0, /Networks on it: podnet /],
      ["explain br9", 0, /Networks on it: podnet /],
      ["explain lo", 1, /^No network has an attachment of "lo"\.\nIt is an interface of this host/],
    ],
  },
  {
    name: "addresses of the second family and of the second range",
    added: [["c1", BOTH], ["c2", { ...RANGES, name: "two", bridge: "br2" }]],
    given: ":",
    shows: [
      ["explain fd00:88::55", 1, /In network "podnet" \(fd00:88::\/64\) it is free\./],
      ["explain 10.86.0.55", 1, /In network "two" \(10.86.0.0\/24\) it is free\./],
      ["explain 10.86.0.20", 1, /In network "two" .* it is outside the range of its addresses\./],
    ],
  },
];

for (const { name, added, given, shows } of ROWS) {
  hostTest(`list, status and explain judge the right thing: ${name}`, async (host) => {
    await host.containers(...added.map(([id]) => id));
    const veths: string[] = [];
    for (const [id, config] of added) {
      veths.push((await host.add({ id, config })).interfaces[1].name);
    }
    await host.sh(`V=${veths[0]} W=${veths[1]}\n${given}`);
    for (const [command, exit, pattern] of shows) {
      const { code, stdout, stderr } = await host.program(command.split(" "), "");
      assertEquals(
        [code, pattern.test(stdout)],
        [exit, true],
        `${command}: ${pattern}\n${stdout}${stderr}`,
      );
    }
  });
}

for (
  const [where, config, folder, given] of [
    [
      "in the second of two folders with the network's file",
      SUB,
      `${STATE_FOLDER}/sub`,
      `cp ${STATE_FOLDER}/sub/podnet.json ${FILE}`,
    ],
    ["in a folder without a file of the network", CONFIG, STATE_FOLDER, `rm ${FILE}`],
  ] as const
) {
  hostTest(`list: an ADD is in progress ${where}`, async (host) => {
    await host.containers("c1");
    const { interfaces: [, { name }] } = await host.add({ config });
    await host.sh(given);
    const mark = `${folder}/.podnet.${name}.add`;
    const { code, stdout } = await host.program(["list"], "", {}, ["flock", mark]);
    assertEquals([code, / starting\n$/.test(stdout)], [0, true], stdout);
  });
}

hostTest(
  "status: no attachment, and a folder with characters that a metric's label escapes",
  async (host) => {
    await host.containers("c1");
    const config = { ...CONFIG, ipam: { dataDir: `${STATE_FOLDER}/a\\b"c` } };
    await host.add({ config });
    await host.del({ config });
    const { json } = await host.program(["status", "--json"], "");
    assertEquals([json.networks[0].held, json.networks[0].stale], [0, 0]);
    const { stdout } = await host.program(["status", "--metrics"], "");
    const label = `folder="${STATE_FOLDER}/a\\\\b\\"c"`;
    assertEquals(stdout.includes(`atomicni_pool_stale{network="podnet",${label},`), true, stdout);
  },
);
